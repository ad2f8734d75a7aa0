	.text
	.file	"z2.c"
	.section	.text.work,"ax",@progbits
	.globl	work                            # -- Begin function work
	.p2align	4, 0x90
	.type	work,@function
work:                                   # @work
# %bb.0:
	callq	__fentry__
	pushq	%rbx
	movq	%rdi, %rbx
	movq	$.L.str, %rsi
	movq	$work.__key, %rdx
	callq	init
	movl	(%rbx), %eax
	addl	$7, %eax
	popq	%rbx
	retq
.Lfunc_end0:
	.size	work, .Lfunc_end0-work
                                        # -- End function
	.section	.text.pick,"ax",@progbits
	.globl	pick                            # -- Begin function pick
	.p2align	4, 0x90
	.type	pick,@function
pick:                                   # @pick
# %bb.0:
	callq	__fentry__
	cmpl	$4, %edi
	ja	.LBB1_7
# %bb.1:
	movl	%edi, %eax
	jmpq	*.LJTI1_0(,%rax,8)
.LBB1_2:
	movq	$.L.str.1, %rdi
	movl	$3, %esi
	jmp	outside                         # TAILCALL
.LBB1_7:
	movl	%edi, %eax
	retq
.LBB1_3:
	movq	$.L.str.2, %rdi
	movl	$9, %esi
	jmp	outside                         # TAILCALL
.LBB1_4:
	movq	$.L.str.3, %rdi
	movl	$1, %esi
	jmp	outside                         # TAILCALL
.LBB1_5:
	movq	$.L.str.4, %rdi
	movl	$4, %esi
	jmp	outside                         # TAILCALL
.LBB1_6:
	movq	$.L.str.5, %rdi
	xorl	%esi, %esi
	jmp	outside                         # TAILCALL
.Lfunc_end1:
	.size	pick, .Lfunc_end1-pick
	.section	.rodata.pick,"a",@progbits
	.p2align	3
.LJTI1_0:
	.quad	.LBB1_2
	.quad	.LBB1_3
	.quad	.LBB1_4
	.quad	.LBB1_5
	.quad	.LBB1_6
                                        # -- End function
	.section	.text.spread,"ax",@progbits
	.globl	spread                          # -- Begin function spread
	.p2align	4, 0x90
	.type	spread,@function
spread:                                 # @spread
# %bb.0:
	callq	__fentry__
	pushq	%rbx
	movq	%rdi, %rbx
	movq	$.L.str.6, %rsi
	movq	$spare, %rdx
	callq	init
	movl	(%rbx), %eax
	cmpq	$4, %rax
	ja	.LBB2_8
# %bb.1:
	jmpq	*.LJTI2_0(,%rax,8)
.LBB2_2:
	movq	$.L.str.1, %rdi
	movl	$3, %esi
	jmp	.LBB2_7
.LBB2_3:
	movq	$.L.str.2, %rdi
	movl	$9, %esi
	jmp	.LBB2_7
.LBB2_4:
	movq	$.L.str.3, %rdi
	movl	$1, %esi
	jmp	.LBB2_7
.LBB2_5:
	movq	$.L.str.4, %rdi
	movl	$4, %esi
	jmp	.LBB2_7
.LBB2_6:
	movq	$.L.str.5, %rdi
	xorl	%esi, %esi
.LBB2_7:
	callq	outside
                                        # kill: def $eax killed $eax def $rax
.LBB2_8:
	addl	$1, %eax
                                        # kill: def $eax killed $eax killed $rax
	popq	%rbx
	retq
.Lfunc_end2:
	.size	spread, .Lfunc_end2-spread
	.section	.rodata.spread,"a",@progbits
	.p2align	3
.LJTI2_0:
	.quad	.LBB2_2
	.quad	.LBB2_3
	.quad	.LBB2_4
	.quad	.LBB2_5
	.quad	.LBB2_6
                                        # -- End function
	.type	work.__key,@object              # @work.__key
	.section	.bss.work.__key,"aw",@nobits
work.__key:
	.size	work.__key, 0

	.type	.L.str,@object                  # @.str
	.section	.rodata.str1.1,"aMS",@progbits,1
.L.str:
	.asciz	"lock"
	.size	.L.str, 5

	.type	.L.str.1,@object                # @.str.1
.L.str.1:
	.asciz	"zero"
	.size	.L.str.1, 5

	.type	.L.str.2,@object                # @.str.2
.L.str.2:
	.asciz	"one"
	.size	.L.str.2, 4

	.type	.L.str.3,@object                # @.str.3
.L.str.3:
	.asciz	"two"
	.size	.L.str.3, 4

	.type	.L.str.4,@object                # @.str.4
.L.str.4:
	.asciz	"three"
	.size	.L.str.4, 6

	.type	.L.str.5,@object                # @.str.5
.L.str.5:
	.asciz	"four"
	.size	.L.str.5, 5

	.type	.L.str.6,@object                # @.str.6
.L.str.6:
	.asciz	"other"
	.size	.L.str.6, 6

	.type	spare,@object                   # @spare
	.section	.bss.spare,"aw",@nobits
spare:
	.size	spare, 0

	.ident	"Debian clang version 14.0.6"
	.section	".note.GNU-stack","",@progbits

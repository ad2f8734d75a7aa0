	.text
	.file	"a.c"
	.section	.text.entry,"ax",@progbits
	.globl	entry
	.p2align	4, 0x90
	.type	entry,@function
entry:
	callq	__fentry__
	pushq	%rax
	addl	%edi, counter.llvm.8825694496613874063(%rip)
	callq	helper.llvm.8825694496613874063
	addl	counter.llvm.8825694496613874063(%rip), %eax
	popq	%rcx
	retq
.Lfunc_end0:
	.size	entry, .Lfunc_end0-entry

	.section	.text.helper.llvm.8825694496613874063,"ax",@progbits
	.hidden	helper.llvm.8825694496613874063
	.globl	helper.llvm.8825694496613874063
	.p2align	4, 0x90
	.type	helper.llvm.8825694496613874063,@function
helper.llvm.8825694496613874063:
	callq	__fentry__
	pushq	%rbx
	movl	%edi, %ebx
	leal	1(%rbx), %esi
	movq	$.L.str.1, %rdi
	callq	outside
	andl	$3, %ebx
	addl	table(,%rbx,4), %eax
	popq	%rbx
	retq
.Lfunc_end1:
	.size	helper.llvm.8825694496613874063, .Lfunc_end1-helper.llvm.8825694496613874063

	.section	.text.other,"ax",@progbits
	.globl	other
	.p2align	4, 0x90
	.type	other,@function
other:
	callq	__fentry__
	pushq	%rbx
	movl	%edi, %ebx
	movl	counter.llvm.8825694496613874063(%rip), %esi
	movq	$.L.str, %rdi
	callq	outside
	addl	%ebx, %eax
	popq	%rbx
	retq
.Lfunc_end2:
	.size	other, .Lfunc_end2-other

	.hidden	counter.llvm.8825694496613874063
	.type	counter.llvm.8825694496613874063,@object
	.section	.data.counter.llvm.8825694496613874063,"aw",@progbits
	.globl	counter.llvm.8825694496613874063
	.p2align	2
counter.llvm.8825694496613874063:
	.long	5
	.size	counter.llvm.8825694496613874063, 4

	.type	.L.str,@object
	.section	.rodata.str1.1,"aMS",@progbits,1
.L.str:
	.asciz	"other"
	.size	.L.str, 6

	.type	.L.str.1,@object
.L.str.1:
	.asciz	"helped"
	.size	.L.str.1, 7

	.type	table,@object
	.section	.rodata.cst16,"aM",@progbits,16
	.p2align	4
table:
	.long	1
	.long	2
	.long	3
	.long	5
	.size	table, 16

	.ident	"Debian clang version 14.0.6"
	.section	".note.GNU-stack","",@progbits

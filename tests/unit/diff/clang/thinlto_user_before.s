	.text
	.file	"b.c"
	.section	.text.user,"ax",@progbits
	.globl	user
	.p2align	4, 0x90
	.type	user,@function
user:
	callq	__fentry__
	pushq	%rax
	addl	%edi, counter.llvm.18324628785452668989(%rip)
	callq	helper.llvm.18324628785452668989
	movl	counter.llvm.18324628785452668989(%rip), %ecx
	addl	%ecx, %eax
	addl	$1, %eax
	popq	%rcx
	retq
.Lfunc_end0:
	.size	user, .Lfunc_end0-user

	.hidden	counter.llvm.18324628785452668989
	.hidden	helper.llvm.18324628785452668989
	.ident	"Debian clang version 14.0.6"
	.ident	"Debian clang version 14.0.6"
	.section	".note.GNU-stack","",@progbits

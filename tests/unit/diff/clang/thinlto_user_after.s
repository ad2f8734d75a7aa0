	.text
	.file	"b.c"
	.section	.text.user,"ax",@progbits
	.globl	user
	.p2align	4, 0x90
	.type	user,@function
user:
	callq	__fentry__
	pushq	%rax
	addl	%edi, counter.llvm.8825694496613874063(%rip)
	callq	helper.llvm.8825694496613874063
	movl	counter.llvm.8825694496613874063(%rip), %ecx
	addl	%ecx, %eax
	addl	$1, %eax
	popq	%rcx
	retq
.Lfunc_end0:
	.size	user, .Lfunc_end0-user

	.hidden	counter.llvm.8825694496613874063
	.hidden	helper.llvm.8825694496613874063
	.ident	"Debian clang version 14.0.6"
	.ident	"Debian clang version 14.0.6"
	.section	".note.GNU-stack","",@progbits

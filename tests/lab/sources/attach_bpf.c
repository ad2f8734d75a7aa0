// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attach_bpf KIND FUNCTION [KIND FUNCTION]...
 *
 * Attach an empty BPF program to each function of the core kernel, in order, and wait for a signal.
 * KIND is fentry, fexit, fmod_ret (of functions security_*) or lsm (of functions bpf_lsm_*).  The ids of functions are read from /sys/kernel/btf/vmlinux
 * (Documentation/bpf/btf.rst).
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *types;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static void read_types(void)
{
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY);
	struct stat about;
	size_t at = 0;

	if (fd < 0 || fstat(fd, &about))
		die("/sys/kernel/btf/vmlinux");
	types = malloc(about.st_size);
	while (at < (size_t)about.st_size) {
		ssize_t some = read(fd, types + at, about.st_size - at);

		if (some <= 0)
			die("read");
		at += some;
	}
	close(fd);
}

/* How many bytes follow the struct btf_type. */
static size_t rest(const struct btf_type *type)
{
	size_t members = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return 4;
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_DATASEC:
	case BTF_KIND_ENUM64:
		return 12 * members;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO:
		return 8 * members;
	}
	return 0;
}

static int id_of(const char *function)
{
	const struct btf_header *header = (void *)types;
	const char *at = types + header->hdr_len + header->type_off;
	const char *end = at + header->type_len;
	const char *strings = types + header->hdr_len + header->str_off;
	int id;

	for (id = 1; at < end; id++) {
		const struct btf_type *type = (void *)at;

		if (BTF_INFO_KIND(type->info) == BTF_KIND_FUNC &&
		    !strcmp(strings + type->name_off, function))
			return id;
		at += sizeof(*type) + rest(type);
	}
	fprintf(stderr, "no type of %s\n", function);
	exit(1);
}

static const struct {
	const char *name;
	int program, attached;
} kinds[] = {
	{ "fentry", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY },
	{ "fexit", BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT },
	{ "fmod_ret", BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN },
	{ "lsm", BPF_PROG_TYPE_LSM, BPF_LSM_MAC },
	{ NULL },
};

static int kind_of(const char *name)
{
	int of;

	for (of = 0; kinds[of].name; of++)
		if (!strcmp(kinds[of].name, name))
			return of;
	fprintf(stderr, "no kind %s\n", name);
	exit(1);
}

static void attach(const char *kind, const char *function)
{
	int of = kind_of(kind);
	/* For fmod_ret and lsm, 0 means that the program objects to nothing. */
	struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = {
		.prog_type = kinds[of].program,
		.expected_attach_type = kinds[of].attached,
		.insns = (unsigned long)code,
		.insn_cnt = 2,
		.license = (unsigned long)"GPL",
		.attach_btf_id = id_of(function),
		.prog_name = "watcher",
	};
	int program = bpf(BPF_PROG_LOAD, &attr);

	if (program < 0)
		die("BPF_PROG_LOAD");
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.prog_fd = program;
	if (bpf(BPF_RAW_TRACEPOINT_OPEN, &attr) < 0)
		die("BPF_RAW_TRACEPOINT_OPEN");
	printf("%s of %s\n", kind, function);
	fflush(stdout);
}

int main(int count, char **words)
{
	int one;

	read_types();
	for (one = 1; one + 1 < count; one += 2)
		attach(words[one], words[one + 1]);
	pause();
	return 0;
}

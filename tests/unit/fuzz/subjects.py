# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read, what a good one of it looks like, how to damage it, and everything that is done
with it."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import lz4.block
import zstandard
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Delegations, Metadata, Root, Targets

from suture.arch.x86_64 import boot_relocations
from suture.arch.x86_64.virtual_machine import VIRTUAL_MACHINE
from suture.core import probes
from suture.diff.changes import compare
from suture.diff.escapes import escapes
from suture.elf import reader, writer
from suture.errors import Refusal
from suture.fleet import plan_file, rollouts, semaphore
from suture.fleet.decide import Observed, decide
from suture.fleet.lock_server import identity
from suture.fleet.rollout import RolloutOffer, RolloutState
from suture.fleet.rollouts import StoredRollout
from suture.fleet.web import WebRequest
from suture.formats import diff, makefile, suse, written
from suture.kernel import boot_image, config, image, kallsyms, modules, symtab, symvers
from suture.kernel.btf import Btf
from suture.kernel.types import struct_sizes
from suture.lab import complaints
from suture.link import klp
from suture.model import Fix
from suture.module import fixes, notes, sign, signature, staying, versions
from suture.module.inspect import inspect
from suture.module.renaming import renamed
from suture.objects.special import Entries
from suture.objects.view import View
from suture.report import document, html
from suture.report.shipped_code import ModuleCode
from suture.verify.addresses import Addresses
from suture.verify.examination import FunctionCheck, PrototypeResult
from suture.verify.live.kcore import Kcore
from suture.verify.shipped import ShippedImage, lay_out
from suture.workspace import command, configuration, includes
from suture.workspace import words as tree_words
from suture.workspace.generated import _numbers
from suture.workspace.lines import renumber
from tests.live_root import kcore
from tests.obedient_hosts import PLAN
from tests.unit.conftest import bzimage as make_bzimage
from tests.unit.fuzz.damage import Edit, Fields, LineEdit, damaged, damaged_text, elf_fields, words
from tests.unit.link import module
from tests.unit.module import test_fixes, test_staying
from tests.unit.module import test_kpatch as kpatch_tables
from tests.unit.objects.test_special import MACROS
from tests.unit.report.example import REPORT
from tests.unit.toolchain import SIZES, Anything, assemble, compile_c, select_with, side
from tests.unit.verify import kernel

SOURCE = r"""
static int counter = 5;
extern int outside(const char *, int);
extern void complain(const char *);
struct point { int x, y; };
static const struct point points[] = { { 1, 2 }, { 3, 4 }, { 5, 6 } };
static const char *const names[] = { "one", "two", "three" };
static const char *current = "one";
int shared[4];
static __attribute__((noinline)) int helper(int x)
{
    static int calls;
    if (__builtin_expect(x > 1000, 0))
        complain(__func__);
    return outside("a text", x + counter + calls++);
}
static __attribute__((noinline)) int twin(const char *what) { return outside(what, points[what[0] & 1].y); }
int chosen(int x)
{
    switch (x) {
    case 1: return 17; case 2: return 23; case 3: return 5; case 4: return 99; case 5: return 1; case 6: return 44;
    }
    return twin(names[x & 1]) + twin(current);
}
int entry(int x)
{
    static int calls;
    shared[x & 3] = calls++;
    return helper(x) + chosen(x);
}
"""
CHANGED = SOURCE.replace("return helper(x)", "return outside(names[2], 3) + helper(x + 1)")
SPECIAL = (
    MACROS
    + r"""
int entry(int x)
{
    if (branch(&key_one))
        x = outside(x);
    if (cpu_has())
        x++;
    asm volatile(ALTERNATIVE("nop\nnop\nnop\nnop\nnop", "call slow_path", 3) : : );
    asm volatile(LOCK "incl %0" : "+m"(x));
    BUG_AT(7);
    return x;
}
int other(int x) { return branch(&key_two) ? entry(x) : outside(x); }
"""
)
SPECIAL_CHANGED = SPECIAL.replace("x++", "x += 5")
ORC = r"""
.section .text.entry,"ax"
.type entry,@function
.globl entry
entry: 1: call __fentry__
push %rbp
2: call outside
pop %rbp
ret
.size entry, .-entry
.section __mcount_loc,"a"
.quad 1b
.section .orc_unwind_ip,"a"
.long 1b - .
.long 2b - .
.section .orc_unwind,"a"
.long 1, 2, 3
.section .rodata.str1.1,"aMS",@progbits,1
.string "text"
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """:ivar make: good files; made when first needed, since most take a compiler.
    :ivar use: reads one and does with it what Suture does; may end in a `Refusal`.
    :ivar fields: where its numbers are; None for text.
    :ivar separator: between the words of a line of text.
    :ivar expected: the codes that good files end in; None for no refusal.
    """

    name: str
    make: Callable[[], Sequence[bytes]]
    use: Callable[[bytes], object]
    fields: Fields | None = None
    is_text: bool = False
    separator: str = " "
    expected: frozenset[str | None] = frozenset({None})

    def damaged(self, good: bytes, changes: Sequence[Edit], lines: Sequence[LineEdit]) -> bytes:
        if self.is_text:
            return damaged_text(good, lines, self.separator)
        return damaged(good, changes, self.fields)


# --- objects


@cache
def objects() -> tuple[bytes, ...]:
    c = (compile_c(text) for text in (SOURCE, CHANGED, SPECIAL, SPECIAL_CHANGED))
    return (
        *c,
        compile_c(SOURCE, sections=False),
        assemble(ORC),
        assemble(ORC.replace("pop", "nop\npop")),
    )


def use_object(data: bytes) -> None:
    """All that is done to an object before it is linked, with each good one as the other side."""
    obj = reader.read(data, "bad.o")
    again = reader.read(writer.write(obj), "again.o")
    assert len(again.symbols) == len(obj.symbols)
    assert sum(map(len, again.relocations.values())) == sum(map(len, obj.relocations.values()))
    view = View(obj)
    for unit in view.units:
        list(view.references(unit))
    Entries(view, SIZES)
    plain, changed, special, special_changed, *_ = objects()
    refusals = [_compared(plain, data), _compared(special, data), _compared(data, changed)]
    refusals += [_compared(data, special_changed), _proved(data)]
    for refusal in refusals:
        if refusal is not None:
            raise refusal


def _compared(original: bytes, patched: bytes) -> Refusal | None:
    try:
        found = select_with(compare(side(original), side(patched)), Anything())
        writer.write(found.obj)
    except Refusal as refusal:
        return refusal
    return None


def _proved(data: bytes) -> Refusal | None:
    shipped = (kernel.shipped(SOURCE), kernel.shipped_module(SOURCE))
    last = None
    for place in shipped:
        view = View(reader.read(data, "bad.o"))
        addresses = Addresses(view, place)
        for unit in view.units:
            address = addresses.find(unit)
            if isinstance(address, Refusal):
                last = address
            else:
                addresses.name_at(unit, address)
    return last


# --- modules


@cache
def live_patches() -> tuple[bytes, ...]:
    output = module.cut(SOURCE, CHANGED, module.Kernel())
    pending = module.linked(output, module.cut(SPECIAL, SPECIAL_CHANGED, module.Kernel()))
    return writer.write(klp.finish(pending)), writer.write(pending)


OUTSIDE = {
    "__fentry__",
    "klp_enable_patch",
    "outside",
    "complain",
    "key_one",
    "key_two",
    "slow_path",
    "features",
}
"""What the good ones refer to."""


def use_module(data: bytes) -> None:
    refusals = []
    for use in (_laid_out, _finished, _inspected, _modinfo, _reported):
        try:
            use(data)
        except Refusal as refusal:
            refusals.append(refusal)
    if refusals:
        raise refusals[0]


def _laid_out(data: bytes) -> None:
    shipped = lay_out(reader.read(data, "mod"), "mod")
    for address in list(shipped.by_address)[:50]:
        shipped.read(address, 64)
        shipped.names(address)
        shipped.is_discarded(address)


def _finished(data: bytes) -> None:
    found = reader.read(data, "live.ko")
    writer.write(klp.finish(found))
    klp.refuse_unresolved(found, frozenset(OUTSIDE))


def _inspected(data: bytes) -> None:
    _ = inspect(reader.read(data, "live.ko")).release


def _modinfo(data: bytes) -> None:
    modules.modinfo(data, "live.ko")


def _reported(data: bytes) -> None:
    """Read what a report has of another tool's module: versions, and code beside the kernel's."""
    obj = reader.read(data, "live.ko")
    versions.read(obj)
    shipped = kernel.shipped(SOURCE)
    (address,) = shipped.addresses("entry")
    code = ModuleCode(obj)
    for objname, function in inspect(obj).patch.each_function():
        unknown = PrototypeResult.UNKNOWN
        code.beside(FunctionCheck(objname, function, address, 0, 0, unknown), shipped)


@cache
def report_pages() -> tuple[bytes, ...]:
    return (html.render(REPORT).encode(), document.encoded(REPORT))


def use_report(data: bytes) -> None:
    html.read(data)
    document.parse(data)


@cache
def staying_modules() -> tuple[bytes, ...]:
    obj = reader.read(compile_c(test_staying.MODULE), "live.ko")
    said = fixes.with_note(staying.with_note(obj, test_staying.SAID), [test_fixes.FIX])
    return (writer.write(said),)


def use_staying(data: bytes) -> None:
    """Read it as a live patch that stays in memory, look for what it hands out, and rename it."""
    found = reader.read(data, "live.ko")
    staying.of_module(found)
    fixes.parse_note(notes.contents(found))
    escapes([found])
    _inspected(renamed(data, "live.ko", "livepatch_fix_2"))


@cache
def kpatch_modules() -> tuple[bytes, ...]:
    text = kpatch_tables.text
    made = (
        text(kpatch_tables.FUNC, kpatch_tables.DYNRELA, kpatch_tables.CALLS),
        text(kpatch_tables.FUNC, kpatch_tables.INTERMEDIATE),
    )
    return tuple(compile_c(one) for one in made)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "xz": lzma.compress,
    "zst": zstandard.compress,
    "gz": gzip.compress,
}


def packed_modules() -> list[bytes]:
    return [pack(live_patches()[0]) for pack in PACKERS.values()]


def use_packed(data: bytes) -> None:
    with on_disk(data) as path:
        modules.modinfo(modules.read(path), str(path))


@cache
def signatures() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as made:
        pair = sign.new_key(Path(made), "key", "Signer of the test")
        signed = sign.sign(b"", "good", sign.Signer(str(pair.key), pair.certificate))
    return (signed[: -len(signature.MAGIC) - signature.STRUCT.size],)


def use_signature(data: bytes) -> None:
    described = signature.STRUCT.pack(0, 0, signature.PKCS7, 0, 0, len(data))
    found = signature.read(data + described + signature.MAGIC, "bad")
    assert found is not None
    signature.signer(found)


@contextlib.contextmanager
def on_disk(data: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        path = Path(made, "file")
        path.write_bytes(data)
        yield path


# --- kernel images


@cache
def linked() -> tuple[bytes, ...]:
    return (kernel.vmlinux(SOURCE),)


@cache
def boot_images() -> tuple[bytes, ...]:
    vmlinux = b"\x7fELF" + b"all work and no play makes a dull kernel " * 300
    size = struct.pack("<I", len(vmlinux))
    block = lz4.block.compress(vmlinux, store_size=False)
    packed = (
        gzip.compress(vmlinux),
        bz2.compress(vmlinux) + size,
        lzma.compress(vmlinux, lzma.FORMAT_XZ) + size,
        lzma.compress(vmlinux, lzma.FORMAT_ALONE) + size,
        zstandard.compress(vmlinux) + size,
        b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block + size,
    )
    return tuple(make_bzimage(payload) for payload in packed)


def boot_image_fields(data: bytes) -> list[list[tuple[int, int]]]:
    """The setup header, the payload's first bytes and its last (the recorded size)."""
    start, end = 5 * 512 + 32, len(data) - len(b"trailing boot code")
    header = [(0x1F1, 1), (0x1FE, 2), (0x202, 4), (0x206, 2), (0x248, 4), (0x24C, 4)]
    return [
        header,
        [(at, 1) for at in range(start, start + 32)],
        [(end - 4, 4)],
        [(at, 1) for at in range(start, end)],
    ]


def use_vmlinux(data: bytes) -> None:
    with on_disk(data) as path:
        listing = symtab.listing(data, "vmlinux")
        found = image.read(path)
        boot_relocations.read(found.behind())
        for name in (".text", ".BTF", ".rodata", "nothing"):
            found.section(name)
        _ = found.release
        symbols = kallsyms.parse(listing, "vmlinux") if listing else kernel.symbols(linked()[0])
        shipped = ShippedImage(found, symbols)
        for symbol in symbols.symbols[:50]:
            symbols.sympos(symbol)
            symbols.size(symbol)
            symbols.containing(symbol.address)
            shipped.read(symbol.address, 64)
        addresses = Addresses(kernel.original(SOURCE), shipped)
        for unit in addresses.view.units:
            address = addresses.find(unit)
            if isinstance(address, int):
                addresses.name_at(unit, address)


def core_files() -> list[bytes]:
    note = b"\0\0\0\0VMCOREINFO\0\0KERNELOFFSET=1a00000\n"
    return [kcore(note, [(0xFFFFFFFF81000000, b"kernel text"), (0xFFFFFFFFC0000000, b"a module")])]


def use_core_file(data: bytes) -> None:
    with on_disk(data) as path:
        try:
            core = Kcore(path)
        except ValueError:  # what is wrong with it
            return
        core.read(0xFFFFFFFF81000000, 64)
        core.close()


# --- tables


@cache
def btf() -> tuple[bytes, ...]:
    """Documentation/bpf/btf.rst: an int, an array, structures with members, an enum, a function
    type."""
    strings = b"\0int\0alt_instr\0bug_entry\0jump_entry\0member\0"
    name = {
        text: strings.index(text)
        for text in (b"int", b"alt_instr", b"bug_entry", b"jump_entry", b"member")
    }

    def entry(kind: int, called: bytes, vlen: int, size: int, *more: int) -> bytes:
        return struct.pack(f"<III{len(more)}I", name.get(called, 0), kind << 24 | vlen, size, *more)

    types = (
        entry(1, b"int", 0, 4, 32)
        + entry(3, b"", 0, 0, 1, 1, 4)
        + entry(4, b"alt_instr", 2, 14, name[b"member"], 1, 0, name[b"member"], 1, 32)
        + entry(6, b"", 2, 4, name[b"member"], 0, name[b"member"], 1)
        + entry(13, b"", 1, 1, name[b"member"], 1)
        + entry(4, b"bug_entry", 1, 12, name[b"member"], 2, 0)
        + entry(19, b"", 1, 8, name[b"member"], 1, 1)
        + entry(4, b"jump_entry", 0, 16)
    )
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return (header + types + strings,)


def use_btf(data: bytes) -> None:
    sizes = struct_sizes(data, ("alt_instr", "bug_entry", "jump_entry"), "bad")
    found = View(reader.read(objects()[2], "special.o"))
    Entries(found, {".altinstructions": sizes.get("alt_instr", 0), **SIZES})
    types = Btf(data, "bad")
    for number in range(min(len(types), 50)):
        types.spelled(number)
        types.prototype(types.plain(number))
    types.functions("member")


# --- texts

SYMVERS = b"".join(
    b"0x%08x\tname_%d\t%s\tEXPORT_SYMBOL%s\t%s\n" % (number * 77, number, holder, kind, namespace)
    for number, (holder, kind, namespace) in enumerate(
        [
            (b"vmlinux", b"", b""),
            (b"drivers/net/tun", b"_GPL", b""),
            (b"sound/core/snd-pcm", b"_GPL", b"NAMED"),
        ]
        * 3
    )
)
CONFIG = b"""#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_CC_VERSION_TEXT="gcc-12 (Debian 12.2.0-14) 12.2.0"
CONFIG_CC_IS_GCC=y
CONFIG_LIVEPATCH=y
CONFIG_NR_CPUS=8192
CONFIG_EXT4_FS=m
# CONFIG_KASAN is not set
CONFIG_CMDLINE="a \\"quoted\\" text"
"""
LISTING = b"""0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000040 t same
ffffffff81000080 t same
ffffffffc0000000 t same\t[tun]
ffffffffc0000010 T tun_get\t[tun]
ffffffff82000000 D counter
"""
PATCH = b"""From 0123456789 Mon Sep 17 00:00:00 2001
From: =?UTF-8?q?A=2E_=C3=9Cthor?= <a@example.org>
Date: Sat, 28 Nov 2026 12:00:00 +0100
Subject: [PATCH] two files, one of them new

commit 0123456789012345678901234567890123456789 upstream.

Fixes: 1da177e4c3f4 ("Linux-2.6.12-rc2")
Link: https://lore.kernel.org/r/x@y
---
 fs/proc/version.c | 1 +
diff --git a/fs/proc/version.c b/fs/proc/version.c
index 1234567..89abcde 100644
--- a/fs/proc/version.c
+++ b/fs/proc/version.c
@@ -9,6 +9,7 @@

 static int version_proc_show(struct seq_file *m, void *v)
 {
+\tseq_puts(m, "Sutured ");
 \tseq_printf(m, linux_proc_banner,
 \t\tutsname()->sysname,
 \t\tutsname()->release,
@@ -30,3 +31,2 @@ static int x(void)
 a
-b
 c
diff --git a/fs/new.c b/fs/new.c
new file mode 100644
--- /dev/null
+++ b/fs/new.c
@@ -0,0 +1,2 @@
+int a;
+int b;
diff --git a/old.c b/new.c
similarity index 90%
rename from old.c
rename to new.c
--- a/old.c
+++ b/new.c
@@ -1 +1 @@
-x
+y
\\ No newline at end of file
--
2.39.2
"""
SAVED = rb"""savedcmd_fs/x.o := gcc-12 -Wp,-MMD,fs/.x.o.d -DMODULE -DKBUILD_MODNAME='"m"' -c -o fs/x.o fs/x.c ; ./o $$x

source_fs/x.o := fs/x.c

deps_fs/x.o := \
    $(wildcard include/config/MMU) \
  include/linux/a.h \
  fs/../lib/b.h \

fs/x.o: $(deps_fs/x.o)

$(deps_fs/x.o):
"""
MANIFEST = b"""suture = 1
name = "fix"
replace = false
patch_data = ["table"]
source = [{ format = "diff", path = "a.patch", strip_level = 1 }]

[[object]]
name = "vmlinux"
callback = ["pre_patch"]
function = [{ old_name = "f", sympos = 2 }]
"""
MAKEFILE = b"""# a comment
KDIR ?= /lib/modules/$(shell uname -r)/build
ifneq ($(KERNELRELEASE),)
PARTS = one.o \\
\tsub/two.o
obj-m += fix.o
fix-y := $(PARTS)
obj-$(CONFIG_LIVEPATCH) += one.o
ccflags-y := -I$(src)/sub -DLEVEL=2
else
default:
\t$(MAKE) -C $(KDIR) M=$(PWD) modules
endif
"""
FIXES = b"""vmlinux version_proc_show klpp_version_proc_show
null_blk c_next,2 klpp_c_next IS_ENABLED(CONFIG_A) && !defined(B)

"""
FIX_OPTIONS = b"CFLAGS_a.o += -Werror\nCFLAGS_a/a.o += -Wall -Wno-error=unused\n"
LOG = b"""[    0.000000] Linux version 6.1.0 (a@b) (gcc) #1 SMP
[    1.234567] ------------[ cut here ]------------
[    1.234568] WARNING: CPU: 0 PID: 1 at kernel/livepatch/core.c:1 f+0x1/0x2
[    1.234569] Call Trace:
[    1.234570]  <TASK> ? g+0x2/0x3
[    1.234571] ---[ end trace 0000000000000000 ]---
[    2.000000] BUG: unable to handle page fault for address: 0000
[    3.000000] rcu: INFO: rcu_sched self-detected stall on CPU
[    4.000000] Kernel panic - not syncing: Fatal exception
"""
PROBES = b"""ffffffffc0579030  k  livepatch_cmdline_proc_show+0x0  livepatch_sample [FTRACE]
ffffffffc0579060  k  gone+0x0  livepatch_sample [GONE]
  f0                                                        2               0
  f1                                                       40               2
"""
INCLUDES = rb"""fs/a.c:#include <linux/fs.h>
fs/a.c:#include "b.h"
fs/b.h:#  include /* a comment */ "../include/linux/fs.h"
include/trace/x.h:#define TRACE_INCLUDE_FILE x
include/trace/y.h:#include TRACE_INCLUDE(TRACE_INCLUDE_FILE)
fs/c.c:#include MACRO
kernel/bpf/Makefile:$(obj)/relo_core.o: $(srctree)/tools/lib/bpf/relo_core.c FORCE
fs/Makefile:ccflags-y += -include $(src)/b.h
"""
C_TEXT = rb"""#include <x.h>
#define M(a, b) do { \
	f(a, b); \
} while (0)
/* a comment
   of two lines */
#if A
int f(int x) { return g("text", 'c',
	x); }
#else
int f(void);
#endif
"""


def use_saved_command(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    command.dependencies(text)
    with contextlib.suppress(ValueError):  # which is how it says so
        made = command.parse("fs/x.o", text)
        _ = made.modname, made.text, made.reads, made.redirected("/tmp/a.o", "/tmp/a.d")


def use_manifest(data: bytes) -> None:
    written.parse("livepatch.toml", data, Path("/nonexistent"))


def use_makefile(data: bytes) -> None:
    files = frozenset(("one.c", "sub/two.c"))
    makefile.read(
        "Makefile", data.decode("utf-8", "replace"), config.parse(CONFIG, "config"), files
    )


def use_fixes(data: bytes) -> None:
    main = b"@@KLP_PATCHES_INCLUDES@@\n@@KLP_PATCHES_OBJS@@\n@@KLP_PATCHES_INIT_CALLS@@;\n"
    header = b"int livepatch_a_init(void);\nvoid livepatch_a_cleanup(void);\n"
    files = {suse.MAIN: main, "a/livepatch_a.h": header, f"a/{suse.TABLE}": data}
    suse.expand("fixes", files, "6.1")


def use_fix_options(data: bytes) -> None:
    suse.described("a", {"a/a.c": data})
    suse.expand("fixes", {suse.MAIN: b"", f"uname_patch/{suse.OPTIONS}": data}, "6.1")


def use_log(data: bytes) -> None:
    complaints.find(data.decode("utf-8", "replace"), VIRTUAL_MACHINE.complaints)


def use_probes(data: bytes) -> None:
    probes.armed_functions(data.decode("utf-8", "replace"), "livepatch_sample")
    probes.profile(data.decode("utf-8", "replace"))


def use_include_lines(data: bytes) -> None:
    lines = data.decode(errors="surrogateescape")
    includes.users(
        Path("/nonexistent"), includes.of_c_files(lines) + lines, ["include/linux/fs.h", "fs/b.h"]
    )
    includes.of_text("fs/x.c", data)


@cache
def word_index() -> bytes:
    """A part of an index of words."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "a.h").write_bytes(b"#define MAKE(x) make_##x\nint make_a(int a);\n")
        return tree_words.part_contents(Path(directory), [("a.h", (45, 1))])


def use_word_index(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        tree, parts = Path(directory, "tree"), Path(directory, "words")
        (tree / "arch/x86").mkdir(parents=True)
        parts.mkdir()
        (parts / "000").write_bytes(data)
        with contextlib.suppress(ValueError):
            index = tree_words.WordIndex(tree, "x86", parts)
            index.files_with(b"make_a")
            index.known(frozenset({b"int"}))


def use_listing(data: bytes) -> None:
    found = kallsyms.parse(data, "bad")
    for symbol in found.symbols[:50]:
        found.sympos(symbol)
        found.size(symbol)
        found.containing(symbol.address)


def use_config(data: bytes) -> None:
    _ = config.parse(data, "bad").compiler
    configuration.check_same("6.1", CONFIG, data)


def use_generated(data: bytes) -> None:
    _numbers(data)


def repository_files() -> list[bytes]:
    """Metadata of each kind, and the documents that it vouches for."""
    from suture.repo import documents

    patch = documents.PublishedPatch(
        *("6.1", "fix", "0" * 64, 1, "ab", True, ("vmlinux:f",), (Fix("a", cves=("CVE-1",)),)),
        *(("a",), (), {".html": "0" * 64}, {"kernel": "6.1"}, "2030-01-31", "2026-01-01T00:00:00Z"),
    )
    chosen = documents.ChosenPatch("fix", "0" * 64)
    since = "2026-01-01T00:00:00Z"
    choice = documents.RingChoice("all", "6.1", chosen, None, 500, "s", since)
    gone = documents.Withdrawal("fix", "0" * 64, "wrong", since)
    key = CryptoSigner.generate_ed25519().public_key
    root, targets = Root(), Targets(delegations=Delegations({}, {}))
    root.add_key(key, "root")
    public = {"keyid": key.keyid, **key.to_dict()}
    return [
        *(patch.content(), choice.content(), documents.Withdrawals("6.1", (gone,)).content()),
        *(Metadata(root).to_bytes(), Metadata(targets).to_bytes(), json.dumps(public).encode()),
    ]


def use_repository_file(data: bytes) -> None:
    """Read it as each kind of file that a repository has."""
    from suture.repo import documents, keys, tree

    kinds = (documents.PublishedPatch, documents.RingChoice, documents.Withdrawals)
    readers: list[Callable[[], object]] = [partial(kind.parse, data, "bad") for kind in kinds]
    readers += [partial(tree.parsed, Root, data, "bad"), partial(tree.parsed, Targets, data, "bad")]
    with tempfile.TemporaryDirectory() as work:
        path = Path(work, "key.pub")
        path.write_bytes(data)
        readers += [lambda: keys.read_public(path), lambda: keys.signer_of(str(path))]
        for read in readers:
            with contextlib.suppress(Refusal):
                read()


def follow_files() -> list[bytes]:
    """What a host is told to follow, and what it remembers."""
    from tests.unit.repo.test_settings import GOOD, WHOLE

    state = json.dumps({"format": 1, **asdict(WHOLE)}).encode()
    return [f'{GOOD}delay = "2h"\nat-boot = true\ntimeout = 60\n'.encode(), state]


def use_follow_file(data: bytes) -> None:
    from suture.core import following
    from suture.repo import settings

    for read in (
        lambda: following.parse(data, "bad"),
        lambda: settings.parse(data, b'{"signed": {"_type": "root"}}', "bad"),
        lambda: settings.checked_root(data, "bad"),
    ):
        with contextlib.suppress(Refusal):
            read()


def use_plan(data: bytes) -> None:
    plan_file.parse(data.decode(errors="replace"), "bad")


SEMAPHORE = b'{"total_slots":2,"holders":["a","c"],"since":{"a":"2026-11-29T22:00:00+00:00"}}'


def use_semaphore(data: bytes) -> None:
    found = semaphore.parse(data, "bad")
    assert semaphore.parse(semaphore.dump(found.taken_by("b", "")), "bad").holders
    found.released_by("a")


def stored_rollout() -> bytes:
    plan = plan_file.parse(PLAN, "plan.toml")
    state = RolloutState(offer=RolloutOffer(1), serial=1, failed={"h1": 0}, known=frozenset({"h2"}))
    return StoredRollout("fix", PLAN, plan, state, 1e9).dump()


def use_rollout(data: bytes) -> None:
    found = rollouts.parse("fix", data, 1)
    decide(found.plan, found.state, [], Observed(), 1e9)


LOCK_REQUEST = b'{"client_params": {"group": "default", "id": "c988d2509fdf5cdcbed39037c56406fb"}}'


def use_lock_request(data: bytes) -> None:
    request = WebRequest("POST", "/v1/pre-reboot", {"fleet-lock-protocol": "true"}, data)
    found = identity(request)
    assert isinstance(found, str) or all(isinstance(part, str) for part in found)


NO_LIVE_PATCH = (
    None,
    "no-code-change",
    "function-not-traceable",
    "pre-image-mismatch",
    "function-not-in-kernel",
)
"""What two good objects can come to that were not made from two versions of one file."""

SUBJECTS = (
    Subject("object", objects, use_object, elf_fields, expected=frozenset(NO_LIVE_PATCH)),
    Subject("module", live_patches, use_module, elf_fields),
    Subject("staying module", staying_modules, use_staying, elf_fields),
    Subject("kpatch module", kpatch_modules, _inspected, elf_fields),
    Subject("packed module", packed_modules, use_packed),
    Subject("signature", signatures, use_signature),
    Subject("vmlinux", linked, use_vmlinux, elf_fields),
    Subject(
        "boot image",
        boot_images,
        lambda data: boot_image.decompress(data, "bad"),
        boot_image_fields,
    ),
    Subject("core file", core_files, use_core_file),
    Subject("btf", btf, use_btf, words),
    Subject(
        "symvers",
        lambda: [SYMVERS],
        lambda d: symvers.parse(d, "bad"),
        is_text=True,
        separator="\t",
    ),
    Subject("report", report_pages, use_report, is_text=True),
    Subject("repository", repository_files, use_repository_file, is_text=True, separator='"'),
    Subject("following", follow_files, use_follow_file, is_text=True, separator='"'),
    Subject("config", lambda: [CONFIG], use_config, is_text=True, separator="="),
    Subject("kallsyms", lambda: [LISTING], use_listing, is_text=True),
    Subject("patch", lambda: [PATCH], lambda data: diff.parse("bad.patch", data), is_text=True),
    Subject(
        "manifest",
        lambda: [MANIFEST],
        use_manifest,
        is_text=True,
        expected=frozenset({"written-form-invalid"}),
    ),
    Subject("makefile", lambda: [MAKEFILE], use_makefile, is_text=True),
    Subject("patched_funcs.csv", lambda: [FIXES], use_fixes, is_text=True),
    Subject("Kbuild.inc", lambda: [FIX_OPTIONS], use_fix_options, is_text=True),
    Subject("saved command", lambda: [SAVED], use_saved_command, is_text=True),
    Subject("kernel log", lambda: [LOG], use_log, is_text=True),
    Subject("probes", lambda: [PROBES], use_probes, is_text=True),
    Subject("include lines", lambda: [INCLUDES], use_include_lines, is_text=True),
    Subject("word index", lambda: [word_index()], use_word_index),
    Subject("plan", lambda: [PLAN.encode()], use_plan, is_text=True, separator="="),
    Subject("semaphore", lambda: [SEMAPHORE], use_semaphore, is_text=True, separator=","),
    Subject("rollout", lambda: [stored_rollout()], use_rollout, is_text=True, separator=","),
    Subject("lock request", lambda: [LOCK_REQUEST], use_lock_request, is_text=True, separator=","),
    Subject("C text", lambda: [C_TEXT], lambda data: renumber(C_TEXT, data), is_text=True),
    Subject("assembly", lambda: [b'\t.ascii "->NAME $5 sizeof(x)"\n'], use_generated, is_text=True),
)

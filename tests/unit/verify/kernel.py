# SPDX-License-Identifier: GPL-2.0-or-later
"""A shipped kernel made of C files: compiled as the kernel is, without a section per function, and
linked by ld."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from suture.kernel import image
from suture.kernel.kallsyms import Kallsyms, KernelSymbol
from suture.model import VMLINUX
from suture.objects.view import Unit, View
from suture.verify.addresses import Addresses
from suture.verify.preimage import Match, Mismatch, match_at
from suture.verify.shipped import ShippedImage, ShippedModule, lay_out
from tests.unit.toolchain import compile_c, link, read, tool

STUBS = """
__attribute__((no_instrument_function)) void __fentry__(void) {}
int outside(const char *what, int x) { return what[x]; }
int elsewhere(const char *what, int x) { return what[x] + 1; }
void complain(const char *what) { outside(what, 0); }
const char linux_banner[] = "Linux version 6.1.0-toy (a@b) (gcc) #1 SMP";
"""

LAYOUT = (
    "-Ttext=0xffffffff81000000",
    "-e0",
    "--no-relax",
    "-z",
    "max-page-size=4096",
    "-z",
    "noexecstack",
)


@cache
def vmlinux(*sources: str, options: tuple[str, ...] = ()) -> bytes:
    """An executable with its symbols."""
    objects = [compile_c(source, *options, sections=False) for source in (*sources, STUBS)]
    return link(*objects, options=LAYOUT)


@cache
def symbols(linked: bytes) -> Kallsyms:
    """As nm reads them, in the order of /proc/kallsyms."""
    lines = (line.split() for line in tool("nm", "-n", data=linked).splitlines())
    return Kallsyms(
        [
            KernelSymbol(int(line[0], 16), line[1], line[2], VMLINUX)
            for line in lines
            if len(line) == 3
        ]
    )


@cache
def shipped(*sources: str, options: tuple[str, ...] = ()) -> ShippedImage:
    linked = vmlinux(*sources, options=options)
    with tempfile.TemporaryDirectory() as made:
        path = Path(made, "vmlinux")
        path.write_bytes(linked)
        return ShippedImage(image.read(path), symbols(linked))


@cache
def shipped_module(*sources: str) -> ShippedModule:
    return lay_out(
        read(link(*(compile_c(source, sections=False) for source in sources)), "mod.ko"), "mod"
    )


def original(source: str, *options: str) -> View:
    """The same file, compiled to be compared: a section per function."""
    return View(read(compile_c(source, *options)))


def unit(view: View, name: str) -> Unit:
    (found,) = view.by_name[name]
    return found


def addresses(source: str, kernel: ShippedImage | ShippedModule) -> Addresses:
    return Addresses(original(source), kernel)


def match(
    source: str, name: str, kernel: ShippedImage | ShippedModule, number: int = 0
) -> Match | Mismatch:
    view = original(source)
    return match_at(view, unit(view, name), kernel, kernel.addresses(name)[number])

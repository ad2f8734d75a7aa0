# SPDX-License-Identifier: GPL-2.0-or-later
"""What x86 kernels write into their own code."""

from __future__ import annotations

from collections.abc import Iterator

from suture.arch.live_code import CodeRewriting, FeatureBits, LiveText, RewriteTable
from suture.arch.x86_64 import boot_relocations
from suture.arch.x86_64 import live_instructions as code
from suture.arch.x86_64.live_alternatives import alternatives, paravirt
from suture.arch.x86_64.live_tables import (
    call_thunks,
    constants,
    counting,
    locks,
    retpolines,
    return_thunks,
    returns,
    sealed,
    thunk_size,
)

RETURNS_ZERO = "__static_call_return0"
CLEARS = (bytes.fromhex("2e2e2e31c0"), bytes.fromhex("66664831c0"))
"""``arch/x86/kernel/static_call.c: xor5rax``, in place of a call of `RETURNS_ZERO`; and until
5.16."""

RETURNS = b"\xc3\xcc\xcc\xcc\xcc"
"""``arch/x86/kernel/static_call.c: retinsn``"""


def _tables(text: LiveText) -> Iterator[RewriteTable]:
    """In the order of ``alternative_instructions()``."""
    yield paravirt(text)
    yield retpolines(text)
    yield returns(text)
    places, table = alternatives(text)
    yield table
    yield call_thunks(text, places)
    yield sealed(text)
    yield locks(text)
    yield from constants(text)


def _static_call(address: int, function: int, before: bytes, text: LiveText) -> Iterator[bytes]:
    """``arch/x86/kernel/static_call.c: __static_call_transform()``

    :param before: the call, the jump or the conditional jump of the compiler.
    """
    opcode = before[:1]
    if opcode == b"\x0f":
        targets = [function] if function else [*return_thunks(text), _named(text, "return")]
        yield from (code.near(before[:2], address, target) for target in targets)
    elif opcode == code.JUMP:
        if function:
            yield code.near(code.JUMP, address, function)
        else:
            yield from (code.near(code.JUMP, address, thunk) for thunk in return_thunks(text))
            yield RETURNS
    elif not function:
        yield code.NOPS[code.NEAR]
    elif function == text.symbol(RETURNS_ZERO):
        yield from CLEARS
    else:
        yield code.near(code.CALL, address, function)
        if thunk_size(text):  # callthunks_translate_call_dest()
            yield code.near(code.CALL, address, function - thunk_size(text))


def _probe_size(live: bytes) -> int:
    """``arch/x86/kernel/kprobes/core.c: arch_arm_kprobe()``, ``opt.c: arch_optimize_kprobes()``"""
    return {code.INT3: len(code.INT3), code.JUMP: code.NEAR}.get(live[:1], 0)


def _named(text: LiveText, name: str) -> int:
    return text.symbol(f"__static_call_{name}") or 0


LIVE_CODE = CodeRewriting(
    # arch/x86/include/asm/cpufeature.h: boot_cpu_has()
    features=FeatureBits("boot_cpu_data", "cpuinfo_x86", "x86_capability"),
    tables=_tables,
    relocations=boot_relocations.read,
    normal=code.normal,
    no_op=code.no_op,
    jump=code.jump,
    static_call=_static_call,
    before_entry=counting,
    call_size=code.NEAR,
    call_target=code.call_target,
    tracers=frozenset({"ftrace_caller", "ftrace_regs_caller"}),
    probe_size=_probe_size,
)

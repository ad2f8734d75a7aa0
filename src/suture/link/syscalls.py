# SPDX-License-Identifier: GPL-2.0-or-later
"""Wrappers around functions with plain arguments that replace system calls.

Since Linux 4.17 the entry of a system call takes ``struct pt_regs *``: an author's
``sys_newuname(struct new_utsname __user *)`` replaces ``__x64_sys_newuname(const struct pt_regs
*)``. Suture writes a wrapper for each entry of the target with the macros of the target's own
``SYSCALL_DEFINE``, so that arguments come out of the same registers and are narrowed in the same
way.

A wrapper calls the author's function and does not jump to it: the core looks for the wrapper on the
stack of a task that sleeps in the author's function (kernel/livepatch/transition.c:
klp_check_stack_func()).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from suture.errors import PROTOTYPE_DIFFERS, Refusal
from suture.kernel.btf import PTR, Btf, BtfPrototype
from suture.verify.prototypes import NAMED, NUMBERS
from suture.verify.syscalls import Definition

_SPELLINGS = {
    "unsigned": "unsigned int",
    "long": "long int",
    "unsigned long": "long unsigned int",
    "short": "short int",
    "unsigned short": "short unsigned int",
    "long long": "long long int",
    "unsigned long long": "long long unsigned int",
}
"""Usual spelling of a C type -> the spelling in BTF, which is DWARF's."""


def wrappers(
    definition: Definition, entries: Mapping[str, str], function: str, number: int
) -> dict[str, str]:
    """Return C for each of `entries`: name of the new function -> its definition.

    :param entries: the entries of `suture.verify.syscalls.Call.entries` that the target has.
    :param function: the global name of the author's function.
    :param number: makes the names unique in the module.
    """
    count = len(definition.types)
    pairs = "".join(f", {kind}, a{place}" for place, kind in enumerate(definition.types))
    structures = sorted(set(re.findall(r"\b(?:struct|union) \w+", " ".join(definition.types))))
    forward = "".join(f"{name};\n" for name in structures)
    arguments = (
        ", ".join(f"{kind} a{place}" for place, kind in enumerate(definition.types)) or "void"
    )
    cast = "__SC_DELOUSE" if definition.call.compat else "__SC_CAST"
    inner = f"livepatch_syscall_{number}"
    shared = f"{forward}extern long {function}({arguments});\n"
    if count:
        shared += (
            f"static long {inner}(__MAP({count}, __SC_LONG{pairs}))\n{{\n"
            f"{_returning(f'{function}(__MAP({count}, {cast}{pairs}))')}}}\n"
        )
    made: dict[str, str] = {}
    for entry, registers in entries.items():
        name = f"livepatch_{entry.strip('_')}"
        called = f"{inner}({registers}({count}{pairs}))" if count else f"{function}()"
        made[name] = (
            f"{shared}static long {name}(const struct pt_regs *regs)\n{{\n{_returning(called)}}}\n"
        )
        shared = ""
    return made


def _returning(called: str) -> str:
    """Return C that returns the result of a call, with a barrier so that no tail call is made."""
    return f"\tlong result = {called};\n\n\tbarrier();\n\treturn result;\n"


def refuse_differing(
    where: str, name: str, definition: Definition, kernel: Btf | None, new: Btf, ours: BtfPrototype
) -> None:
    """Refuse an author's function with other arguments than the system call.

    For example, ``kill`` has ``(pid_t pid, int sig)``.  An author's function may leave arguments
    out at the end, but a ``long sig`` would take a register that the wrapper has narrowed to an
    ``int``.

    :raises Refusal: ``prototype-differs``
    """
    theirs = ", ".join(definition.types) or "no arguments"
    if len(ours.parameters) > len(definition.types):
        found = (
            f"{name}() takes {len(ours.parameters)} arguments; "
            f"the target's system call has {theirs}"
        )
        raise Refusal(PROTOTYPE_DIFFERS, where, found)
    for place, (kind, parameter) in enumerate(
        zip(definition.types, ours.parameters, strict=False), 1
    ):
        if not _fits(kind, kernel, new, parameter):
            found = (
                f"{name}(): its argument {place} is {new.spelled(parameter)}, "
                f"that of the system call is {kind}"
            )
            raise Refusal(PROTOTYPE_DIFFERS, where, found)


def _fits(kind: str, kernel: Btf | None, new: Btf, parameter: int) -> bool:
    plain = new[new.plain(parameter)]
    if "*" in kind:
        named = re.fullmatch(r"(?:const )?(?:struct|union) (\w+) \*", kind)
        pointee = new[new.plain(plain.value)] if plain.kind == PTR else None
        return pointee is not None and (
            named is None or pointee.kind not in NAMED or pointee.name == named[1]
        )
    words = kind.removeprefix("const ").strip()
    known = kernel.integer(_SPELLINGS.get(words, words)) if kernel is not None else None
    if kernel is None or known is None:
        return plain.kind in NUMBERS
    wanted = kernel[kernel.plain(known)]
    return plain.kind in NUMBERS and (wanted.kind not in NUMBERS or wanted.value == plain.value)

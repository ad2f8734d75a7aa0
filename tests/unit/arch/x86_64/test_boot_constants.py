# SPDX-License-Identifier: GPL-2.0-or-later
"""Code that reads a variable in place of a constant, against what the assembler makes of it."""

from __future__ import annotations

import pytest

from suture.arch.x86_64.boot_constants import BOOT_CONSTANTS
from tests.unit.toolchain import assemble, read

WIDE = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
NARROW = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", *(f"r{n}d" for n in range(8, 16)))


def code(text: str) -> bytes:
    obj = read(assemble(f".globl it\nit:\n{text}\n"))
    index = obj.section_named(".text")
    assert index is not None
    return obj.sections[index].data


def becomes(kind: str, before: str, constant: bytes, after: str, *, behind: int = 0) -> None:
    """Both are two instructions behind others, and the field is where the assembler has it.

    :param behind: bytes of the new code behind its field.
    """
    head = "inc %rax\n"
    text = code(head + before)
    made = BOOT_CONSTANTS.reading(kind, text, text.index(constant))
    assert made is not None
    patched = text[: made.start] + made.code + text[made.start + len(made.code) :]
    assert patched == code(head + after)
    assert made.field == len(patched) - behind - 4


@pytest.mark.parametrize("register", WIDE)
def test_a_pointer_is_loaded(register: str) -> None:
    becomes(
        "ptr",
        f"movabs $0x0123456789abcdef, %{register}",
        (0x0123456789ABCDEF).to_bytes(8, "little"),
        f"mov 0(%rip), %{register}\nnopl (%rax)",
        behind=3,
    )


@pytest.mark.parametrize("register", NARROW[1:])
def test_a_mask_is_applied_from_memory(register: str) -> None:
    constant = (0x12345678).to_bytes(4, "little")
    becomes("mask", f"and $0x12345678, %{register}", constant, f"and 0(%rip), %{register}")


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        # five bytes, of which a load needs six
        ("mask", "and $0x12345678, %eax", 1),
        ("mask", "or $0x12345678, %ecx", 2),
        ("mask", ".long 0x12345678", 0),
        ("shift", "shr $12, %eax", 2),
        ("ptr", "movl $0x12345678, 8(%rcx)", 3),
        ("ptr", ".quad 0x0123456789abcdef", 0),
        ("another", "movabs $0x0123456789abcdef, %rax", 2),
    ],
)
def test_other_code_has_no_room_or_is_not_known(kind: str, text: str, place: int) -> None:
    assert BOOT_CONSTANTS.reading(kind, code(text), place) is None

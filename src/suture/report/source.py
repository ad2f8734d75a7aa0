# SPDX-License-Identifier: GPL-2.0-or-later
"""The hunks of a patch as they apply to the target's own source, and what each of them changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from suture.report.content import Mark, SourceHunk, SourceLine
from suture.state.places import functions, lines_of
from suture.workspace.applying import Changed

CONTEXT = 3

_DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)")
_TAGGED = re.compile(r"^(?:typedef\s+)?(?:struct|union|enum)\s+(\w+)[^;(]*$")
_BEGINS = re.compile(
    r"^(?:(?:static|asmlinkage|noinline)\s+)?(\w+)\(\s*(\w*)(?!.*[;}]\s*$)", re.ASCII
)
_SYSTEM_CALL = re.compile(r"^(?:__(?:x64|ia32|s390x?|arm64|se|do)_)?(?:compat_)?sys_(\w+)$")
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class SourceDefinition:
    """A function, macro or type in a source file.

    :ivar first: its first line, `last`: its last one, from 1.
    :ivar words: the identifiers in it.
    """

    name: str
    first: int
    last: int
    words: frozenset[str]


def hunks(changes: Iterable[Changed]) -> tuple[SourceHunk, ...]:
    """Compare all files before and after the patch."""
    return tuple(hunk for change in changes for hunk in _of_file(change))


def definitions(text: bytes) -> list[SourceDefinition]:
    """Return the functions, macros and types of a C file, by line."""
    lines = lines_of(text)
    found = list(_functions(text, lines))
    inside = {number for one in found for number in range(one.first, one.last + 1)}
    for number, line in enumerate(lines, 1):
        if number not in inside and (made := _macro_or_type(lines, number, line)):
            found.append(made)
    return sorted(found, key=lambda one: one.first)


def spoken_name(function: str) -> str:
    """Return the name by which the source defines a function.

    Example: ``__do_sys_newuname`` and ``__x64_sys_newuname`` are ``SYSCALL_DEFINE1(newuname, ...)``
    there (include/linux/syscalls.h).
    """
    plain = function.partition(".")[0]
    match = _SYSTEM_CALL.match(plain)
    return f"SYSCALL_DEFINE({match[1]})" if match else plain


def _functions(text: bytes, lines: Sequence[str]) -> Iterator[SourceDefinition]:
    for body in functions(text):
        last = body.lines[-1][0] + 1 if body.lines else body.line
        inside = " ".join(line for _, line in body.lines)
        yield SourceDefinition(body.name, body.line, last, frozenset(_WORD.findall(inside)))
    for number, line in enumerate(lines, 1):
        if match := _BEGINS.match(line):
            last = _end_of_body(lines, number)
            if last:
                inside = " ".join(lines[number:last])
                name = _defined_by(match[1], match[2])
                yield SourceDefinition(name, number, last, frozenset(_WORD.findall(inside)))


def _defined_by(word: str, argument: str) -> str:
    """Return the name that a definition defines which begins with one word.

    Examples: ``SYSCALL_DEFINE1(newuname, ...)``; ``BPF_CALL_2(bpf_skb_load_bytes, ...)``, in
    capital letters as most macros are; ``ext4_ext_handle_unwritten_extents(``, with its type in the
    line before.
    """
    if "SYSCALL_DEFINE" in word:
        return f"SYSCALL_DEFINE({argument})"
    return argument if word.isupper() and argument else word


def _end_of_body(lines: Sequence[str], number: int) -> int:
    """Return the number of the line that ends the body which begins below a line; 0 for none."""
    begins = next((n for n in range(number, len(lines)) if not lines[n].startswith((" ", "\t"))), 0)
    if not begins or not lines[begins].startswith("{"):
        return 0
    return next((n + 1 for n in range(begins, len(lines)) if lines[n].startswith("}")), 0)


def _macro_or_type(lines: Sequence[str], number: int, line: str) -> SourceDefinition | None:
    if match := _DEFINE.match(line):
        last = number
        while lines[last - 1].rstrip().endswith("\\") and last < len(lines):
            last += 1
    elif match := _TAGGED.match(line):
        last = number
        while last < len(lines) and not lines[last - 1].startswith("}"):
            last += 1
    else:
        return None
    inside = " ".join(lines[number - 1 : last])
    return SourceDefinition(match[1], number, last, frozenset(_WORD.findall(inside)))


def _of_file(change: Changed) -> Iterator[SourceHunk]:
    old, new = lines_of(change.old or b""), lines_of(change.new)
    before, after = definitions(change.old or b""), definitions(change.new)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for group in matcher.get_grouped_opcodes(CONTEXT):
        lines = tuple(_lines(group, old, new))
        yield SourceHunk(change.path, _inside(lines, before, after), lines)


def _lines(
    group: Sequence[tuple[str, int, int, int, int]], old: Sequence[str], new: Sequence[str]
) -> Iterator[SourceLine]:
    for tag, first, end, new_first, new_end in group:
        if tag == "equal":
            for offset in range(end - first):
                numbers = first + offset + 1, new_first + offset + 1
                yield SourceLine(Mark.SAME, *numbers, old[first + offset])
            continue
        for index in range(first, end):
            yield SourceLine(Mark.REMOVED, index + 1, 0, old[index])
        for index in range(new_first, new_end):
            yield SourceLine(Mark.ADDED, 0, index + 1, new[index])


def _inside(
    lines: Iterable[SourceLine],
    before: Sequence[SourceDefinition],
    after: Sequence[SourceDefinition],
) -> tuple[str, ...]:
    """Return the names of what a hunk changes, in order."""
    names: dict[str, None] = {}
    for line in lines:
        if line.mark is Mark.REMOVED:
            names.update(dict.fromkeys(_at(before, line.old)))
        elif line.mark is Mark.ADDED:
            names.update(dict.fromkeys(_at(after, line.new)))
    return tuple(names)


def _at(known: Sequence[SourceDefinition], number: int) -> Iterator[str]:
    return (one.name for one in known if one.first <= number <= one.last)

# SPDX-License-Identifier: GPL-2.0-or-later
"""The names by which a change in a header can reach an object at all.

A macro that nobody mentions leaves nothing in the preprocessed text; a static inline function, a
prototype, a type or an enumerator that nobody mentions leaves nothing in the object.  So an object
changes only if what it is compiled from mentions one of these names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from suture.workspace.comments import code, is_doubtful
from suture.workspace.lines import renumber
from suture.workspace.preprocessed import NESTED, is_kept, split

_MACRO = re.compile(rb"#\s*(?:define|undef)\s+([A-Za-z_]\w*)")
_OPENS = re.compile(rb"#\s*if")
_MIDDLE = re.compile(rb"#\s*el")
_CLOSES = re.compile(rb"#\s*endif")
_WORD = re.compile(rb"[A-Za-z_]\w*")
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')

_TYPE = re.compile(rb"(?:struct|union|enum)\s+([A-Za-z_]\w*)\s*(?:\{(.*)\}[\s\w]*)?", re.DOTALL)
_INNER = re.compile(rb"\b(?:struct|union)\s+([A-Za-z_]\w*)\s*\{")
_VARIABLE = re.compile(rb"extern\s[\w\s*]*?\b([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)*((?:\s+__\w+)*)")
_TYPE_NAME = re.compile(
    rb"typedef\s[\w\s*]*?(?:\b([A-Za-z_]\w*)|\(\s*\*\s*([A-Za-z_]\w*)\s*\)\s*" + NESTED + rb")"
)
_FUNCTION = re.compile(
    rb"(?!static\b|typedef\b)[\w\s*]*[\w*][\s*]+([A-Za-z_]\w*)\s*(?:" + NESTED + rb")[\s\w]*"
)
_ENUMERATION = re.compile(rb"enum(?:\s+([A-Za-z_]\w*))?\s*\{")
_ENUMERATOR = re.compile(rb"\s*([A-Za-z_]\w*)\s*(?:=.*)?", re.DOTALL)

_VALUE = re.compile(
    rb"\s*[A-Za-z_]\w*\s*(?:=\s*\(?(0[xX][0-9a-fA-F]+|0|[1-9][0-9]*)[uU]?\s*(?:<<\s*([0-9]{1,2}))?\)?)?\s*"
)
_LARGE = 1 << 30
"""Enumerators behind it count on from there; there are fewer than that."""

Line = tuple[int, bytes]
"""Number and text of a line of code, without comments; what was spliced is one."""


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """What a change in a header comes to.

    :ivar names: the names through which it can reach an object.
    :ivar common: the lines of code that stay.
    """

    names: frozenset[bytes]
    common: tuple[bytes, ...]


def header_change(old: bytes, new: bytes) -> HeaderChange | None:
    """Return the names through which the change of a header can reach an object; None where it can
    do so otherwise, or where that is in doubt.

    Example: ``#define FOLL_PCI_P2PDMA 0x100000`` is added to include/linux/mm.h, which nearly all
    objects read, and mm/gup.c alone mentions it.
    """
    if is_doubtful(old) or is_doubtful(new):
        return None
    before, after = code(old), code(renumber(old, new))
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    names: set[bytes] = set()
    common: list[bytes] = []
    sides = _HeaderVersion.of(before), _HeaderVersion.of(after)
    for tag, first, last, start, stop in matcher.get_opcodes():
        if tag == "equal":
            common += [line for _, line in before[first:last]]
            continue
        for side, begin, end in ((sides[0], first, last), (sides[1], start, stop)):
            found = side.names(begin, end)
            if found is None:
                return None
            names |= found
    return HeaderChange(frozenset(names), tuple(common))


def leads_to(lines: Sequence[bytes], names: frozenset[bytes]) -> frozenset[bytes] | None:
    """Return the macros, static inline functions and enumerators of a header that mention one of
    `names`; None where anything else in it does.

    :param lines: of code, without comments, what was spliced joined.
    """
    header = _HeaderVersion.of(list(enumerate(lines)))
    found: set[bytes] = set()
    for index, line in enumerate(lines):
        if not _mentions(line, names):
            continue
        if header.functions[index]:
            found.add(header.functions[index])
        elif macro := _MACRO.match(line):
            found.add(macro[1])
        else:
            enumerators = None if line.startswith(b"#") else header.enumerators_from(index)
            if enumerators is None:
                return None
            found |= enumerators
    return frozenset(found - names)


def code_lines(text: bytes) -> list[bytes]:
    """The lines of code of a header, for `leads_to`."""
    return [line for _, line in code(text)]


def _mentions(text: bytes, names: frozenset[bytes]) -> bool:
    return not names.isdisjoint(_WORD.findall(text))


@dataclass(frozen=True, slots=True)
class _HeaderVersion:
    """One version of a header.

    :ivar functions: for each line the static inline function that it is part of, or b"".
    :ivar depth: how many braces are open before each line.
    """

    lines: Sequence[bytes]
    functions: Sequence[bytes]
    depth: Sequence[int]

    @classmethod
    def of(cls, numbered: Sequence[Line]) -> _HeaderVersion:
        """Read the lines of code of a header."""
        lines = [line for _, line in numbered]
        functions: list[bytes] = []
        for part in split(lines):
            functions += [part.name] * len(part.lines)
        depth, depths = 0, []
        for line in lines:
            depths.append(depth)
            if not line.startswith(b"#"):
                plain = _LITERAL.sub(b"", line)
                depth += plain.count(b"{") - plain.count(b"}")
        return cls(lines, functions, depths)

    def names(self, begin: int, end: int) -> set[bytes] | None:
        """Return the names that some lines declare; None where they do anything else."""
        if not self._has_whole_conditionals(begin, end):
            return None
        found: set[bytes] = set()
        plain: list[bytes] = []  # lines of declarations; empty ones stand between them
        for index in range(begin, end):
            line = self.lines[index]
            if self.functions[index] or self._is_within(begin, index):
                names = self._names_at(index)
                if names is None:
                    return None
                found |= names
                plain.append(b"")
            elif macro := _MACRO.match(line):
                found.add(macro[1])
            elif line.startswith(b"#"):
                plain.append(b"")
            elif any(plain) or self._is_between(index):
                plain.append(line)
            else:
                return None
        declared = _declared_in(plain)
        return None if declared is None else found | declared

    def _has_whole_conditionals(self, begin: int, end: int) -> bool:
        """Whether some lines close each ``#if`` that they open, and have no other directives than
        these and macros; those in functions aside."""
        nesting = 0
        for index in range(begin, end):
            line = self.lines[index]
            if self.functions[index] or not line.startswith(b"#") or _MACRO.match(line):
                continue
            opens, closes = bool(_OPENS.match(line)), bool(_CLOSES.match(line))
            nesting += opens - closes
            if not (opens or closes or _MIDDLE.match(line)):
                return False
            if nesting < 0 or (nesting == 0 and not closes):
                return False
        return nesting == 0

    def _is_within(self, begin: int, index: int) -> bool:
        """Whether a line of code is in braces that were open before `begin`, too."""
        is_code = not self.lines[index].startswith(b"#")
        return is_code and self.depth[index] > 0 and self.depth[begin] > 0

    def _names_at(self, index: int) -> set[bytes] | None:
        """Return the static inline function around a line, or the enumeration and its enumerators
        from there on."""
        function = self.functions[index]
        return {function} if function else self.enumerators_from(index)

    def enumerators_from(self, index: int) -> set[bytes] | None:
        """Return the tag of the enumeration around a line, and its enumerators from there on, whose
        numbers may change; None where the line is part of anything else."""
        if not self.depth[index]:
            return None
        first = next(one for one in range(index, -1, -1) if not self.depth[one])
        last = next((one for one in range(index, len(self.lines)) if not self.depth[one]), -1) - 1
        opening = _ENUMERATION.fullmatch(self.lines[first])
        if opening is None or last <= index or self.lines[last] != b"};":
            return None
        rest = b"\n".join(one for one in self.lines[index:last] if not one.startswith(b"#"))
        tag = None if self.is_unsigned(first, last) else opening[1]
        return _of_type(b"enum", tag, rest)

    def is_unsigned(self, first: int, last: int) -> bool:
        """Whether the enumerators of an enumeration are numbers from 0 to the greatest ``int``, as
        far as can be read.

        GCC then makes it an ``unsigned int``, and nothing changes for who has one (GCC manual,
        "Structures, Unions, Enumerations, and Bit-Fields Implementation").
        """
        lines = self.lines[first + 1 : last]
        if any(line.startswith(b"#") for line in lines):
            return False
        return all(_is_small(one) for one in b"\n".join(lines).split(b",") if one.strip())

    def _is_between(self, index: int) -> bool:
        """Whether a line begins a declaration of its own, outside all braces."""
        if self.depth[index]:
            return False
        before = next(
            (line for line in reversed(self.lines[:index]) if not line.startswith(b"#")), b";"
        )
        return before.endswith((b";", b"}"))


def _declared_in(lines: Sequence[bytes]) -> set[bytes] | None:
    found: set[bytes] = set()
    for text in _texts(lines):
        declared = _declared(text)
        if declared is None:
            return None
        found |= declared
    return found


def _texts(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Yield what stands between empty lines."""
    text: list[bytes] = []
    for line in [*lines, b""]:
        if line:
            text.append(line)
        elif text:
            yield b"\n".join(text)
            text = []


def _declared(text: bytes) -> set[bytes] | None:
    """Return the names that declarations declare; None where there is more than declarations."""
    if is_kept(text) or b'"' in text or b"asm" in text or not text.endswith(b";"):
        return None
    found: set[bytes] = set()
    for statement in _statements(text):
        names = _declared_by(statement)
        if names is None:
            return None
        found |= names
    return found


def _statements(text: bytes) -> Iterator[bytes]:
    """Yield the statements, without the semicolons that end them."""
    depth = start = 0
    for match in re.finditer(rb"[{}();]", text):
        if match[0] in b"{(":
            depth += 1
        elif match[0] in b"})":
            depth -= 1
        elif depth == 0:
            yield text[start : match.start()].strip()
            start = match.end()


def _declared_by(statement: bytes) -> set[bytes] | None:
    if declared := _TYPE.fullmatch(statement):
        return _of_type(statement, declared[1], declared[2])
    if b"{" in statement or b"=" in statement:
        return None
    if declared := _TYPE_NAME.fullmatch(statement):
        return {declared[1] or declared[2]}
    if declared := _VARIABLE.fullmatch(statement):
        return {declared[1], *declared[2].split()}  # one of those may be the name: extern int __x
    declared = _FUNCTION.fullmatch(statement)
    # In capitals, a macro that may make anything: const DEFINE_MUTEX(lock).
    return {declared[1]} if declared and not declared[1].isupper() else None


def _is_small(enumerator: bytes) -> bool:
    """Whether an enumerator has no value of its own, or a number that is not large."""
    value = _VALUE.fullmatch(enumerator)
    if value is None:
        return False
    number = int(value[1] or b"0", 0) << int(value[2] or b"0")
    return number <= _LARGE


def _of_type(statement: bytes, tag: bytes | None, body: bytes | None) -> set[bytes] | None:
    tags = {tag} if tag else set()
    if body is None:
        return tags
    if not statement.startswith(b"enum"):
        inner = {match[1] for match in _INNER.finditer(body)}
        return None if re.search(rb"\benum\b[\s\w]*\{", body) else tags | inner
    found = tags
    for one in body.split(b","):
        enumerator = _ENUMERATOR.fullmatch(one)
        if enumerator:
            found.add(enumerator[1])
        elif one.strip():
            return None
    return found

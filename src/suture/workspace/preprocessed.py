# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of a preprocessed file that decides about its object.

Two preprocessed files of the same `essence`, compiled with the same options, have the same
functions:

- The compiler proper sees only the text; ``__LINE__``, ``__FILE__`` and ``__COUNTER__`` are
  constants in it.  Line markers give the place of a token, which goes into debugging information
  (none is made, ``-g0``), into messages, into ``__builtin_LINE()``, and into the reports of the
  sanitizers (``struct source_location`` in ``lib/ubsan.h``).  Where one of these is in use, markers
  and empty lines count.
- A static inline function that nothing mentions leaves no code (GCC manual, "An Inline Function is
  As Fast As a Macro"), unless an attribute keeps it.  So functions that no other function or
  variable leads to are left out.  A mention is the name anywhere, also in a string (assembly): too
  many mentions rather than too few.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(rb"[A-Za-z_]\w*")
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_BEGINS = re.compile(rb"static\b[^;={]*?\b(?:inline|__inline|__inline__)\b")
NESTED = rb"\((?:[^()]++|\((?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\))*+\)"
"""Parentheses, and what stands between them; the expression is a group of its own."""
_ATTRIBUTE = re.compile(rb"\b__attribute(?:__)?\s*" + NESTED)
_DECLARES = re.compile(rb"[\w\s*]*?\b([A-Za-z_]\w*)\s*" + NESTED + rb"\s*")
_KEPT = re.compile(
    rb"\b(?:__)?(?:used|retain|constructor|destructor|alias|ifunc|externally_visible)(?:__)?\b|^#|\b_Pragma\b",
    re.MULTILINE,
)
_HINTS = (b"used", b"retain", b"structor", b"alias", b"ifunc", b"visible", b"#", b"_Pragma")
"""What makes the compiler keep a function that nobody mentions, or a variable in it, and what
reaches beyond its end. `_HINTS`: without one of these it is not there; looking for them first takes
a tenth of the time."""

_UNUSED = b"__attribute__((__unused__))"
"""Silences a warning (``include/linux/compiler_types.h``: ``inline`` has it).  It hides that
nothing is `_KEPT`."""

_BRACE = re.compile(rb"[{}]")
_PRAGMA = re.compile(rb"#\s*pragma\b")
"""May say something of the function that follows; other directives are in headers only, and gone
when it counts."""
_HEADERS_HAVE = 1 << 14
"""Static inline functions in all headers together, roughly; most objects read the same ones."""

_POSITIONS = (b"__builtin_LINE", b"__builtin_COLUMN")


@dataclass(frozen=True, slots=True)
class Essence:
    """The part of a preprocessed text that decides about the compiled code.

    :ivar digest: equal for texts that compile to the same functions.
    :ivar unmentioned: the static inline functions of the text that leave no code, whatever they
        contain.
    """

    digest: bytes
    unmentioned: frozenset[bytes]


def essence(text: bytes, options: Iterable[str]) -> Essence:
    """Return the essence of a preprocessed file, C or assembly.

    :param options: the compiler's options.
    """
    if any(each in text for each in _POSITIONS) or any(
        option.startswith("-fsanitize") for option in options
    ):
        return Essence(hashlib.sha256(text).digest(), frozenset())
    text = text.replace(_UNUSED, b"")
    lines = [
        line for each in text.split(b"\n") if (line := each.strip()) and not line.startswith(b"# ")
    ]
    parts = list(split(lines))
    functions = {part.name for part in parts if part.name}
    unmentioned = frozenset(functions - _mentioned(parts))
    stays = b"\n".join(part.text for part in parts if part.lines and part.name not in unmentioned)
    return Essence(hashlib.sha256(stays).digest(), unmentioned)


@dataclass(frozen=True, slots=True)
class TextPart:
    """Consecutive lines of preprocessed C.

    :ivar name: of the function that they define, if the compiler drops it where it is not used;
        else empty.
    """

    name: bytes
    lines: Sequence[bytes]

    @property
    def text(self) -> bytes:
        """The lines, joined by newlines."""
        return b"\n".join(self.lines)


def _mentioned(parts: Sequence[TextPart]) -> set[bytes]:
    """Return the functions that the kept text leads to."""
    bodies: dict[bytes, list[bytes]] = {}
    for part in parts:
        if part.name:
            bodies.setdefault(part.name, []).append(part.text)
    waiting = [frozenset(_WORD.findall(b"\n".join(part.text for part in parts if not part.name)))]
    mentioned: set[bytes] = set()
    while waiting:
        new = (bodies.keys() & waiting.pop()) - mentioned
        mentioned |= new
        waiting += [_words(text) for name in new for text in bodies[name]]
    return mentioned


def split(lines: Sequence[bytes]) -> Iterator[TextPart]:
    """Split a text at functions that begin and end with a line, as those in headers do; the rest
    stays together.

    :param lines: of a preprocessed file or a header, without surrounding white space, comments and
        empty lines.
    """
    start = index = depth = 0
    after = b";"  # how the line before ended
    while index < len(lines):
        line = lines[index]
        if (
            depth == 0
            and line.startswith(b"static")
            and after in (b";", b"}")
            and _BEGINS.match(line)
        ):
            end = _end(lines, index)
            text = b"\n".join(lines[index:end])
            if name := _goes_unmentioned(text):
                yield TextPart(b"", lines[start:index])
                yield TextPart(name, lines[index:end])
                start = index = end
                after = b"}"
                continue
        if b"{" in line or b"}" in line:
            depth += _opened(line)
        if not line.startswith(b"#"):
            after = line[-1:]
        elif _PRAGMA.match(line):
            after = b""
        index += 1
    yield TextPart(b"", lines[start:])


def _end(lines: Sequence[bytes], start: int) -> int:
    """Return the index after the line that closes the first opened braces."""
    depth = 0
    for index in range(start, len(lines)):
        line = lines[index]
        closes = b"}" in line
        if closes or b"{" in line:
            depth += _opened(line)
        if depth <= 0 and (closes or line.endswith(b";")):
            return index + 1
    return len(lines)


def _opened(line: bytes) -> int:
    """Return how many more braces a line opens than it closes."""
    if b'"' in line or b"'" in line:
        line = _LITERAL.sub(b"", line)
    return line.count(b"{") - line.count(b"}")


def is_kept(text: bytes) -> bool:
    """Whether the compiler keeps a function of that text although nobody mentions it, or whether
    the text reaches beyond the function."""
    return any(hint in text for hint in _HINTS) and _KEPT.search(text) is not None


@lru_cache(_HEADERS_HAVE)
def _words(text: bytes) -> frozenset[bytes]:
    return frozenset(_WORD.findall(text))


@lru_cache(_HEADERS_HAVE)
def _goes_unmentioned(text: bytes) -> bytes:
    """Return the name if `text` is exactly one function that the compiler drops where nothing
    mentions it; else b""."""
    head, brace, _ = text.partition(b"{")
    if not brace or not text.endswith(b"}") or is_kept(text):
        return b""
    depth = 0
    body = _LITERAL.sub(b"", text) if b'"' in text or b"'" in text else text
    for match in _BRACE.finditer(body):
        depth += 1 if match[0] == b"{" else -1
        if depth == 0 and match.end() != len(body):
            return b""
    declared = _DECLARES.fullmatch(_ATTRIBUTE.sub(b"", head))
    return declared[1] if declared and depth == 0 else b""

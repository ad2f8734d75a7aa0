# SPDX-License-Identifier: GPL-2.0-or-later
"""Uses of the macros of kpatch and Ksplice in source files, for messages about wrong ones.

The object file shows the effect of a macro, but an author needs the line.  Errors that the text
already shows, such as an unknown macro or a function that the file does not mention, are refused
before the compiler prints a page of messages about them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from suture.errors import CALLBACK_DUPLICATE, PATCH_MACRO_UNKNOWN, Refusal
from suture.formats import headers

_USE = re.compile(rb"^[ \t]*(KPATCH_\w+|ksplice_\w+)[ \t]*\(([^()\n]*)\)?")
_DEFINED = re.compile(rb"^#define[ \t]+(KPATCH_\w+|ksplice_\w+)\(", re.MULTILINE)
_SKIPPED = re.compile(rb"/\*.*?\*/|//[^\n]*", re.DOTALL)
_NAMED = re.compile(r"[\w.]+")

ONCE = tuple(
    f"KPATCH_{kind}_CALLBACK" for kind in ("PRE_PATCH", "POST_PATCH", "PRE_UNPATCH", "POST_UNPATCH")
)
"""Macros that a file may use once (suture.diff.hooks: Stage.several)."""

WITHOUT_FUNCTION = (
    "KPATCH_IGNORE_SECTION",
    "KPATCH_SYSCALL",
    "KPATCH_STATIC_CALL",
    "KPATCH_PRINTK",
    "KPATCH_WARN",
)
HINTS = ("ksplice_assume_rodata", "ksplice_match_data_early", "ksplice_call_")


@dataclass(frozen=True, slots=True)
class MacroUse:
    """One use of a macro of kpatch or Ksplice.

    :ivar argument: as written, without quotes.
    :ivar line: from 1.
    """

    macro: str
    argument: str
    line: int


def uses(text: bytes) -> Iterator[MacroUse]:
    """Yield the macros that begin a line of a file, outside comments."""
    plain = _SKIPPED.sub(lambda comment: b"\n" * comment[0].count(b"\n"), text)
    for number, line in enumerate(plain.split(b"\n"), 1):
        match = _USE.match(line)
        if match:
            argument = match[2].decode(errors="replace").strip().strip('"')
            yield MacroUse(match[1].decode(), argument, number)


def check(contents: Mapping[str, bytes]) -> None:
    """Check the macros in files that include a header of kpatch or Ksplice.

    :param contents: the patched files, by path.
    :raises Refusal: ``patch-macro-unknown``, ``callback-duplicate``
    """
    for path, text in contents.items():
        if path.endswith(".c") and any(True for _ in headers.included(text)):
            _check_file(path, text)


def located(refusal: Refusal, text: bytes) -> Refusal:
    """Return the same refusal with the line of the macro that caused it, if one is found.

    :param text: the patched file; `refusal.where` is its path.
    """
    words = set(_NAMED.findall(refusal.found))
    found = list(uses(text))
    about = [use for use in found if use.argument in words] or [
        use for use in found if _makes(use, words)
    ]
    if not about:
        return refusal
    where = f"{refusal.where}:{about[0].line}"
    return Refusal(
        refusal.kind,
        where,
        refusal.found,
        why=refusal.why,
        remedy=refusal.remedy,
        evidence=refusal.evidence,
    )


def _makes(use: MacroUse, words: Collection[str]) -> bool:
    """Tell whether one of the words is a section that the macro makes: ``.kpatch.hooks.load``,
    ``.ksplice_call_apply``."""
    stage = use.argument.partition(",")[0]
    endings = [
        word.rpartition(".")[2].removeprefix("ksplice_call_").rstrip("s")
        for word in words
        if word[0] == "."
    ]
    return any(ending == stage or ending in use.macro.lower() for ending in endings)


@cache
def _known() -> frozenset[str]:
    names: set[str] = set()
    for text in headers.ours().values():
        names.update(name.decode() for name in _DEFINED.findall(text))
    return frozenset(names)


def _check_file(path: str, text: bytes) -> None:
    seen: dict[str, MacroUse] = {}
    own = {name.decode() for name in _DEFINED.findall(text)}
    for use in uses(text):
        where = f"{path}:{use.line}"
        if use.macro not in _known() | own and not use.macro.startswith("KPATCH_SYSCALL_DEFINE"):
            near = get_close_matches(use.macro, _known(), 1, 0)
            raise Refusal(
                PATCH_MACRO_UNKNOWN,
                where,
                f"uses {use.macro}()",
                evidence=[f"nearest: {near[0]}()"],
            )
        if use.macro in ONCE and use.macro in seen:
            first = seen[use.macro]
            found = (
                f"{use.macro}({use.argument}), but line {first.line} already registers "
                f"{first.argument}"
            )
            raise Refusal(CALLBACK_DUPLICATE, where, found)
        seen[use.macro] = use
        named = not use.macro.startswith((*WITHOUT_FUNCTION, *HINTS)) and re.fullmatch(
            r"\w+", use.argument
        )
        if named and len(re.findall(rf"\b{use.argument}\b".encode(), text)) < 2:
            found = f"{use.macro}({use.argument}), but nothing else in the file has this name"
            raise Refusal(PATCH_MACRO_UNKNOWN, where, found)

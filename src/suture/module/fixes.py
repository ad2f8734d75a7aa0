# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch is for, in its module's file and in the running kernel.

``.modinfo`` has an entry ``livepatch_fix`` for each `Fix`, and a note the same, all in one
(`suture.module.notes`): the first is for modinfo(8), the second for the running kernel, which keeps
no ``.modinfo``.  Both are JSON objects with the fields of `Fix` that are not empty.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from suture.model import Fix
from suture.module import notes

if TYPE_CHECKING:
    from suture.elf.object import ObjectFile

_TEXTS = ("title", "author", "date", "commit")
_LISTS = ("cves", "links", "fixes")
"""The fields of `Fix`, in order: single texts, then lists of them."""


def with_note(module: ObjectFile, fixes: Sequence[Fix]) -> ObjectFile:
    """Return the module with a note about what it is for; as it is where that is not known."""
    if not fixes:
        return module
    description = json.dumps([_plain(fix) for fix in fixes]).encode()
    return notes.with_note(module, notes.NT_FIXES, description)


def parse_note(section: bytes, prefix: str = "=") -> tuple[Fix, ...]:
    """Read the note among those of a section; nothing where there is none, or another's."""
    description = notes.description(section, notes.NT_FIXES, prefix)
    listed = _loaded((description or b"").decode("utf-8", "replace"))
    found = map(_fix, listed) if isinstance(listed, list) else ()
    return tuple(fix for fix in found if fix is not None)


def written(fix: Fix) -> str:
    """Return the entry of ``.modinfo`` for a fix."""
    return json.dumps(_plain(fix))


def parse(entry: str) -> Fix | None:
    """Read the result of `written`; None for any other text."""
    return _fix(_loaded(entry))


def _plain(fix: Fix) -> dict[str, object]:
    return {name: value for name, value in asdict(fix).items() if value}


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _fix(plain: object) -> Fix | None:
    """Return a fix from its fields; None unless they are all of the right kind."""
    if not isinstance(plain, dict) or not plain.get("title"):
        return None
    if not all(isinstance(plain.get(name, ""), str) for name in _TEXTS):
        return None
    if not all(_is_texts(plain.get(name, [])) for name in _LISTS):
        return None
    texts = (plain.get(name, "") for name in _TEXTS)
    return Fix(*texts, *(tuple(plain.get(name, ())) for name in _LISTS))


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)

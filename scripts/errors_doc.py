# SPDX-License-Identifier: GPL-2.0-or-later
"""Write docs/errors.md from the table of refusals in src/suture/errors.py: the rooms, and each code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from suture import errors

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "errors.md"

HEADING = re.compile(r"^# --- (.+?) -+$")
CONSTANT = re.compile(r"^([A-Z][A-Z0-9_]*) = Kind\($")

HEAD = """\
<!-- Made by 'make docs' from src/suture/errors.py. -->

# Refusals

When Suture cannot do what was asked, it says what it found and where, why that cannot be done, and what to do, and
ends with status 1. With `--json` the same is one document on stdout: `{"error": {"code": ..., "where": ...,
"found": ..., "why": ..., "remedy": ..., "evidence": [...]}}`.

A code never changes its meaning, so scripts can rely on it. Where Suture knows more about a case, it says more than
the general texts here.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(sections()) + "\n"


def sections() -> Iterator[str]:
    """The kinds in the order and under the headings in which ``errors.py`` has them."""
    for line in Path(errors.__file__).read_text().splitlines():
        if heading := HEADING.match(line):
            yield f"\n## {heading[1][0].upper()}{heading[1][1:]}"
        elif constant := CONSTANT.match(line):
            kind: errors.Kind = getattr(errors, constant[1])
            yield f"\n### `{kind.code}`\n\n{kind.why}\n\n{kind.remedy}"


if __name__ == "__main__":
    PAGE.write_text(page())

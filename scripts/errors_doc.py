# SPDX-License-Identifier: GPL-2.0-or-later
"""Write docs/errors.md from the table of refusals in src/suture/errors/: the rooms, and each code
in them."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

from suture import errors

TOP = Path(__file__).resolve().parent.parent
PAGE = TOP / "docs" / "errors.md"

ROOMS = (
    *("host", "cli", "elf", "diff", "kernel", "workspace", "formats", "cmodule", "lab", "verify"),
    *(
        "state",
        "link",
        "builder",
        "core",
        "store",
        "rebuild",
        "fixes",
        "signing",
        "report",
        "repo",
        "fleet",
    ),
)
"""The modules of ``suture.errors``, in the order in which a reader meets them."""

RECORD = TOP / "scripts" / "error_examples.json"
EXAMPLES: dict[str, str] = json.loads(RECORD.read_text())
"""Code -> the first line that the program prints for such a case; ``tests/examples.py`` makes most
of them anew."""

CONSTANT = re.compile(r"^([A-Z][A-Z0-9_]*) = Kind\($", re.MULTILINE)

HEAD = """\
<!-- Made by 'make docs' from src/suture/errors/. -->

# Refusals

A refusal says what Suture found and where, why that cannot be done, and what to do. The command
ends with status 1. With `--json` the refusal is one document on stdout: `{"error": {"code": ...,
"where": ..., "found": ..., "why": ..., "remedy": ..., "evidence": [...]}}`.
Where it is about a kernel, both say which: a line `Kernel: RELEASE`, and the key `kernel`.
Wrong usage is `usage-wrong`, with status 2.

A code never changes its meaning, so scripts can rely on it. Where Suture knows more about a case,
it says more than the general texts here.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(sections()) + "\n"


def sections() -> Iterator[str]:
    """The kinds in the order in which the modules have them, under the first line of their
    docstrings."""
    for room in ROOMS:
        module = importlib.import_module(f"suture.errors.{room}")
        yield f"\n## {(module.__doc__ or room).rstrip('.')}"
        for name in CONSTANT.findall(inspect.getsource(module)):
            kind: errors.Kind = getattr(errors, name)
            example = EXAMPLES.get(kind.code)
            shown = f"\n\n```\n{example}\n```" if example else ""
            yield f"\n### `{kind.code}`{shown}\n\n{kind.why}\n\n{kind.remedy}"


if __name__ == "__main__":
    PAGE.write_text(page())

# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples on the page of refusals, made anew by tests.

Where a test refuses what the page shows, it says `shows`, and fails when the program prints
something else.  To write down what is printed now: ``SUTURE_WRITE_EXAMPLES=1 pytest TESTS; make
docs``.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from scripts.errors_doc import EXAMPLES, RECORD
from suture.errors import Finding, Refusal
from suture.host.files import write_atomic


def shows(refusal: Refusal | Finding | str, code: str) -> None:
    """The refusal, or what a command has printed of it, is of this code, and the page has it as the
    example."""
    line = _of_no_host(str(refusal).splitlines()[0])
    assert line.startswith((f"error[{code}]: ", f"warning[{code}]: ", f"note[{code}]: "))
    if os.environ.get("SUTURE_WRITE_EXAMPLES"):
        written = json.loads(RECORD.read_text()) | {code: line}
        write_atomic(
            RECORD,
            f"{json.dumps(dict(sorted(written.items())), indent=2, ensure_ascii=False)}\n".encode(),
        )
    else:
        assert _of_no_day(line) == _of_no_day(EXAMPLES[code])


def _of_no_host(line: str) -> str:
    """Without the directories that a test makes for itself and those that it works in."""
    return re.sub(
        rf"(/[^\s:]*/(pytest-\d+/(popen-gw\d+/)?[^/\s:]+|tmp\w+|ready)|{re.escape(str(Path.home()))})(/tree)?/",
        "",
        line,
    )


def _of_no_day(line: str) -> str:
    """Without what another release, compiler or run says otherwise."""
    return re.sub(r"0x[0-9a-f]+|(?<=serial number )[0-9a-f]+|\d+ tasks?|\d+", "0", line)

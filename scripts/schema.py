# SPDX-License-Identifier: GPL-2.0-or-later
"""Write the JSON schemas in docs/ from the types that are read and written: that of livepatch.toml,
and that of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from suture.formats import written
from suture.report import document

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "livepatch.schema.json"
REPORT_PAGE = DOCS / "report.schema.json"


def text() -> str:
    """The schema of livepatch.toml."""
    return _text("livepatch.toml", written.schema())


def report_text() -> str:
    """The schema of reports."""
    return _text("A report on a live patch module", document.schema())


def _text(title: str, schema: dict[str, Any]) -> str:
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}
    return json.dumps(whole, indent=2) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
    REPORT_PAGE.write_text(report_text())

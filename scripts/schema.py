# SPDX-License-Identifier: GPL-2.0-or-later
"""Write docs/livepatch.schema.json, the JSON schema of livepatch.toml, from the types that read
it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from suture.formats import written

PAGE = Path(__file__).resolve().parent.parent / "docs" / "livepatch.schema.json"


def document() -> dict[str, Any]:
    """The schema, with what it is for."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "livepatch.toml",
        **written.schema(),
    }


def text() -> str:
    return json.dumps(document(), indent=2) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())

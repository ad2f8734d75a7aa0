# SPDX-License-Identifier: GPL-2.0-or-later
"""Look at pages as a browser shows them, and print what is wrong with each as JSON.

    python scripts/page_check.py CHROMIUM AXE PICTURES PAGE...

Each page is shown at three widths, in light and in dark, without a network.  axe-core checks its
accessibility, and a picture of it is written to the directory PICTURES.  Run by the Python of
`scripts/browser.py`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

WIDTHS = (360, 820, 1440)
SCHEMES = ("light", "dark")


def main(chromium: str, axe: str, pictures: str, *pages: str) -> int:
    from playwright.sync_api import sync_playwright

    script = Path(axe).read_text()
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"], env=dict(os.environ)
        )
        for page, width, scheme in product(map(Path, pages), WIDTHS, SCHEMES):
            # The page's own policy forbids scripts, axe-core's too.
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
                bypass_csp=True,
                offline=True,
            )
            picture = Path(pictures, f"{page.stem}-{width}-{scheme}.png")
            where = f"{page.name} at {width}, {scheme}"
            problems += [f"{where}: {one}" for one in _look(context, page, script, picture)]
            context.close()
        browser.close()
    print(json.dumps(problems))
    return 0


def _look(context: Any, path: Path, axe: str, picture: Path) -> Iterator[str]:
    """Yield what is wrong with a page."""
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"the console says {message.text}"))
    page.on("request", lambda request: said.append(f"it fetches {request.url}"))
    page.goto(path.resolve().as_uri())
    own = f"it fetches {path.resolve().as_uri()}"
    yield from (one for one in said if one != own)
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if width > 0:
        yield f"it is {width} pixels too wide"
    page.evaluate(axe)
    for rule in page.evaluate("axe.run()")["violations"]:
        first = rule["nodes"][0]["html"]
        yield f"{rule['id']} ({rule['impact']}), {len(rule['nodes'])} places: {first}"
    page.screenshot(path=picture, full_page=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

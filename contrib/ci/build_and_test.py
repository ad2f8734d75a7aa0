#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a live patch for each kernel of a list, and test each module on its kernel.

    build_and_test.py --kernel '6.1.*-amd64' --script check.sh --out out fix.patch

It calls ``suture`` as a user does, and needs no rights: kernels come from the archive's package
lists that Suture keeps itself (``--suite``), and are booted in a virtual machine.

In the directory ``--out`` it leaves, for each kernel, ``RELEASE/`` with the module and a report,
and for all of them ``junit.xml`` and ``results.json``.  The exit status is 0 where each kernel has
a module that passed, or has the fix already; else 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

HAS_IT = "patch-already-applied"
"""The code of the refusal for a kernel that needs no live patch."""


@dataclass(frozen=True)
class Step:
    """What became of one step for one kernel.

    :ivar name: ``build`` or ``test``.
    :ivar outcome: ``passed``, ``has the fix`` or ``failed``.
    :ivar found: the module, or what was wrong.
    """

    release: str
    name: str
    outcome: str
    seconds: float
    found: str


def main(words: Sequence[str]) -> int:
    """Run one command line."""
    asked = arguments(words)
    known = offered(asked.suite)
    releases = [name for name in known if matches(name, asked.kernel)]
    if not releases:
        print(f"no kernel of these names is on offer: {', '.join(asked.kernel)}", file=sys.stderr)
        print(f"on offer: {', '.join(known) or 'none'}", file=sys.stderr)
        return 1
    out = asked.out.resolve()
    inputs = [str(path.resolve()) for path in asked.inputs]
    script = ["--script", str(asked.script.resolve())] if asked.script else []
    steps: list[Step] = []
    for release in releases:
        done = of_kernel(release, inputs, asked.suite, script, out / release)
        for step in done:
            print(f"{release}  {step.name}  {step.outcome}  {step.found}", flush=True)
        steps += done
    (out / "results.json").write_text(json.dumps([asdict(step) for step in steps], indent=2) + "\n")
    (out / "junit.xml").write_bytes(junit(steps))
    return int(any(step.outcome == "failed" for step in steps))


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernel", action="append", required=True, help="a release or a pattern")
    parser.add_argument("--suite", action="append", default=[], help="by default bookworm")
    parser.add_argument("--script", type=Path, help="as for 'suture test'")
    parser.add_argument("--out", type=Path, default=Path("out"), help="by default out")
    parser.add_argument("inputs", nargs="+", type=Path, help="as for 'suture build'")
    asked = parser.parse_args(words)
    asked.suite = asked.suite or ["bookworm"]
    return asked


def offered(suites: Sequence[str]) -> list[str]:
    """Return the releases on offer, oldest first."""
    status, document = suture("kernel", "list", *repeated("--suite", suites))
    if status != 0:
        raise SystemExit(told(document))
    return list(dict.fromkeys(offer["release"] for offer in reversed(document["offers"])))


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a release matches one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def of_kernel(
    release: str, inputs: Sequence[str], suites: Sequence[str], script: Sequence[str], place: Path
) -> list[Step]:
    """Build and test for one kernel, whatever became of the others."""
    place.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    status, document = suture("kernel", "fetch", release, *repeated("--suite", suites))
    if status == 0:
        report = ("--report", "build.html")
        status, document = suture("build", *inputs, "--kernel", release, *report, place=place)
    seconds = time.monotonic() - started
    if status != 0:
        has_it = document.get("error", {}).get("code") == HAS_IT
        outcome = "has the fix" if has_it else "failed"
        return [Step(release, "build", outcome, seconds, told(document))]
    modules = document.get("modules", [document])
    steps = [Step(release, "build", "passed", seconds, ", ".join(m["module"] for m in modules))]
    for module in modules:
        steps.append(tested(release, module["module"], script, place))
    return steps


def tested(release: str, module: str, script: Sequence[str], place: Path) -> Step:
    """Test one module on its kernel."""
    started = time.monotonic()
    status, document = suture("test", module, *script, place=place)
    seconds = time.monotonic() - started
    (place / "test.json").write_text(json.dumps(document, indent=2) + "\n")
    outcome = "passed" if status == 0 else "failed"
    return Step(release, "test", outcome, seconds, module if status == 0 else told(document))


def suture(*words: str, place: Path | None = None) -> tuple[int, dict[str, Any]]:
    """Run a command of Suture's, and return its exit status and its document."""
    command = ["suture", *words, "--json"]
    finished = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, text=True, check=False)
    return finished.returncode, json.loads(finished.stdout or "{}")


def repeated(option: str, values: Sequence[str]) -> list[str]:
    """Return an option with each of its values."""
    return [word for value in values for word in (option, value)]


def told(document: dict[str, Any]) -> str:
    """Return in one line what a document says went wrong."""
    error = document.get("error") or document.get("failure") or {}
    if error:
        return f"{error['code']}: {error['where']}: {error['found']}"
    complaints = [complaint["what"] for complaint in document.get("complaints", ())]
    return "; ".join(complaints) or "the script failed on the new code"


def junit(steps: Sequence[Step]) -> bytes:
    """Return the steps as JUnit's XML, which CI systems show."""
    suite = ElementTree.Element("testsuite", name="live patches", tests=str(len(steps)))
    suite.set("failures", str(sum(step.outcome == "failed" for step in steps)))
    for step in steps:
        case = ElementTree.SubElement(suite, "testcase", classname=step.release, name=step.name)
        case.set("time", f"{step.seconds:.1f}")
        if step.outcome == "failed":
            ElementTree.SubElement(case, "failure", message=step.found)
        elif step.outcome != "passed":
            ElementTree.SubElement(case, "skipped", message=step.found)
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

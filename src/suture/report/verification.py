# SPDX-License-Identifier: GPL-2.0-or-later
"""A report on a module that was not built here: what the module and the target show."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from suture import __version__
from suture.elf import reader
from suture.kernel import config
from suture.kernel.release import Target, names_kernel
from suture.model import RecordedFinding
from suture.module import notes, signature
from suture.report import rows
from suture.report.accounts import of_tables
from suture.report.content import (
    FORMAT,
    FileHash,
    FindingRow,
    Origin,
    PatchReport,
    ReportVerdict,
)
from suture.report.live import live_memory, live_not_shown, live_shown
from suture.report.words import count
from suture.verify.debug_types import types_of_debug
from suture.verify.examination import Examination, PrototypeResult, examine
from suture.verify.kernel import Kernel
from suture.verify.live.outcome import LiveOutcome, compare_live

NAMED = "The module's tables name it."


@names_kernel
def of_module(data: bytes, where: str, target: Target, root: Path | None = None) -> PatchReport:
    """Verify a live patch module, whichever tool built it.

    :param where: its name in messages.
    :param root: the directory with ``/proc`` and ``/sys`` of the host whose memory is compared with
        the target; None for no such comparison.
    :raises Refusal: ``object-malformed``, ``not-a-live-patch`` and others where the file is no live
        patch module; what keeps one from fitting is in the report
    """
    started = time.monotonic()
    module = reader.read(data, where)
    kernel = Kernel(target)
    found = examine(module, where, kernel, types=types_of_debug(module, data))
    live = None if root is None else compare_live(found, kernel, root)
    patch = found.inspection.patch
    digest = hashlib.sha256(data).hexdigest()
    return PatchReport(
        FORMAT,
        Origin.VERIFIED,
        patch.name,
        target.release,
        target.version,
        _verdict(found, live, patch.name, target.release),
        replace=patch.replace,
        fixes=patch.fixes,
        functions=tuple(of_tables(module, found.functions, kernel, NAMED)),
        checks=rows.checks(found, kernel),
        findings=tuple(map(_finding, patch.findings)),
        symbols=rows.symbols(found, kernel, kernel),
        callbacks=rows.callbacks(patch),
        shadow_variables=tuple(map(str, patch.shadow_variables)),
        stays=patch.stays,
        files=(FileHash("module", where, digest), *rows.target_files(target)),
        build_id=notes.build_id_of(module),
        signed=data.endswith(signature.MAGIC),
        size=len(data),
        compiler=config.read(target.config).compiler,
        suture=__version__,
        made=rows.now(),
        seconds=round(time.monotonic() - started, 1),
        live=None if live is None else live_memory(live),
    )


def _verdict(
    found: Examination, live: LiveOutcome | None, name: str, release: str
) -> ReportVerdict:
    misfits = found.refusals
    changed = live.refusals if live is not None else ()
    problems = tuple(map(rows.problem, (*misfits, *changed)))
    if misfits:
        headline = f"{name} does not fit {release}: {count(len(misfits), 'problem')}."
    elif changed:
        functions = count(len(changed), "function")
        headline = f"{name} fits {release}, but live memory differs in {functions}."
    else:
        headline = f"{name} fits {release}, as far as the module itself shows."
    not_shown = [rows.NOT_PROVED]
    unknown = [one for one in found.functions if one.prototype is PrototypeResult.UNKNOWN]
    if unknown:
        number = count(len(unknown), "replaced function")
        not_shown.append(f"The prototypes of {number}: the types of one of the two are not known.")
    not_shown.append(
        "That the change is safe while tasks run: what the new code meets in a running kernel."
    )
    shown = list(rows.shown(found))
    if live is not None:
        shown += live_shown(live)
        not_shown += live_not_shown(live)
    return ReportVerdict(not problems, headline, tuple(shown), tuple(not_shown), problems)


def _finding(found: RecordedFinding) -> FindingRow:
    return FindingRow(found.level, found.code, found.name, "", found.found, because=found.because)

# SPDX-License-Identifier: GPL-2.0-or-later
"""From a built module to its report.

The build has kept what it worked with (`suture.builder.evidence`).  The finished module is examined
beside the target like any other one, so that the report shows what is in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from suture import __version__
from suture.builder.artifact import Artifact
from suture.elf import reader
from suture.errors import Finding, Refusal
from suture.host.files import read_bytes
from suture.kernel.release import Target
from suture.module import notes, signature
from suture.report import rows
from suture.report.accounts import of_sources, of_tables
from suture.report.content import (
    FORMAT,
    AdaptedRow,
    CallbackRow,
    CheckRow,
    DataRow,
    FileHash,
    FindingRow,
    OmittedRow,
    Origin,
    PatchReport,
    ProofRow,
    ReportVerdict,
)
from suture.report.proofs import proof_rows
from suture.report.reasons import Reasons
from suture.report.source import hunks
from suture.report.words import count
from suture.verify.examination import Examination, PrototypeResult, ShippedObjects, examine

NAMED_BY_AUTHOR = "The author's module names it."


def of_artifact(artifact: Artifact, files: Sequence[FileHash] = ()) -> PatchReport:
    """Report on a module that was built with its evidence kept.

    :param files: further files to name, such as the kernel's image.
    :raises Refusal: what reading the target raises
    """
    evidence = artifact.evidence
    assert evidence is not None, "the build was asked to keep it"
    where = str(artifact.path)
    module = reader.read(artifact.data, where)
    objects = evidence.objects or evidence.kernel
    found = examine(module, where, evidence.kernel, objects)
    patch, provenance = artifact.patch, artifact.provenance
    source = hunks(evidence.changes)
    reasons = Reasons(evidence.changes, source, artifact.callers, _reading(evidence.tree))
    proofs = tuple(proof_rows(evidence))
    compiled = tuple(of_sources(evidence, artifact, reasons))
    known = {(one.objname, one.name, one.sympos) for one in compiled}
    named = of_tables(module, found.functions, objects, NAMED_BY_AUTHOR, known)
    inputs = tuple(FileHash("input", one.name, one.sha256) for one in provenance.inputs)
    return PatchReport(
        FORMAT,
        Origin.BUILT,
        artifact.name,
        provenance.release,
        provenance.version,
        _verdict(artifact, found, proofs),
        replace=patch.replace,
        fixes=patch.fixes,
        hunks=source,
        functions=(*compiled, *named),
        proofs=proofs,
        checks=tuple(_checks(found, proofs, artifact, objects)),
        findings=tuple(map(_finding, artifact.findings)),
        left_out=tuple(OmittedRow(one.source, one.what, one.why) for one in artifact.left_out),
        adapted=tuple(AdaptedRow(one.name, one.how, one.diff) for one in artifact.adapted),
        symbols=rows.symbols(found, evidence.kernel, objects),
        callbacks=_callbacks(artifact),
        data=tuple(DataRow(v.objname, v.name, v.sympos, v.size) for v in artifact.data_changes),
        shadow_variables=tuple(map(str, patch.shadow_variables)),
        stays=patch.stays,
        hands_out=artifact.hands_out,
        files=(FileHash("module", where, artifact.sha256), *inputs, *files),
        build_id=notes.build_id_of(module),
        signed=artifact.data.endswith(signature.MAGIC),
        size=len(artifact.data),
        compiler=provenance.compiler,
        suture=provenance.suture,
        made=rows.now(),
        seconds=round(artifact.seconds, 1),
    )


def of_refusal(refusal: Refusal, name: str, target: Target, inputs: Sequence[str]) -> PatchReport:
    """Report on a build that was refused.

    :param name: what to call the patch.
    :param inputs: as the author gave them; those that are files are named with their hashes.
    """
    problem = rows.problem(refusal)
    headline = f"No live patch was built: {refusal.where}: {refusal.found}."
    return PatchReport(
        FORMAT,
        Origin.REFUSED,
        name,
        target.release,
        target.version,
        ReportVerdict(False, headline, problems=(problem,)),
        files=tuple(rows.file_hashes("input", [Path(one) for one in inputs])),
        suture=__version__,
        made=rows.now(),
    )


def _reading(tree: Path | None) -> Callable[[str], bytes]:
    """Return a reader of the target's source files; what is not there is empty."""

    def read(path: str) -> bytes:
        """Return the text of a file by its path in the tree."""
        place = tree / path if tree is not None else None
        return read_bytes(place) if place is not None and place.is_file() else b""

    return read


def _checks(
    found: Examination,
    proofs: Sequence[ProofRow],
    artifact: Artifact,
    objects: ShippedObjects,
) -> Iterator[CheckRow]:
    """Yield the look-ups, with what the build knows of prototypes: of what it compiled from both
    sources, the compiler does."""
    proved = {(one.objname, one.function, one.sympos) for one in proofs}
    same = {(c.objname, c.function, c.sympos) for c in artifact.checked if c.prototype}
    for one in rows.checks(found, objects):
        key = one.objname, one.function, one.sympos
        if key in proved:
            yield replace(one, prototype="")
        else:
            yield replace(one, prototype=PrototypeResult.SAME.value) if key in same else one


def _finding(found: Finding) -> FindingRow:
    return FindingRow(
        found.level.value,
        found.kind.code,
        found.name,
        found.where,
        found.found,
        found.reason,
        found.way_out,
        found.evidence,
        found.because,
    )


def _callbacks(artifact: Artifact) -> tuple[CallbackRow, ...]:
    """Return the functions that a patch wants called, and those in the tables of a module."""
    if not artifact.calls:
        return rows.callbacks(artifact.patch)
    return tuple(
        CallbackRow(one.objname, one.stage.when, one.function, one.source) for one in artifact.calls
    )


def _verdict(artifact: Artifact, found: Examination, proofs: Sequence[ProofRow]) -> ReportVerdict:
    problems = tuple(map(rows.problem, found.refusals))
    replaced = {(c.objname, c.function.old_name, c.function.sympos) for c in found.functions}
    unproved = replaced - {(one.objname, one.function, one.sympos) for one in proofs}
    shown = [_proved(proofs)] if proofs else []
    shown += rows.shown(found)
    if artifact.data_changes:
        number = count(len(artifact.data_changes), "variable")
        shown.append(f"{number} to change in memory: the shipped contents are the compiled ones.")
    not_shown = [rows.NOT_PROVED] if unproved else []
    if artifact.findings:
        not_shown.append("What the findings below ask: only the author can answer them.")
    not_shown.append(
        "That the change is right: a report shows what changes, not whether it should."
    )
    headline = f"{artifact.name} {_answer(artifact, len(replaced), len(unproved), len(problems))}"
    return ReportVerdict(not problems, headline, tuple(shown), tuple(not_shown), problems)


def _answer(artifact: Artifact, replaced: int, unproved: int, problems: int) -> str:
    release = artifact.target.release
    if problems:
        return f"does not fit {release}: {count(problems, 'problem')}."
    if not replaced:
        return f"fits {release}; it replaces no function."
    if unproved:
        which = "what it replaces" if unproved == replaced else f"{unproved} of its functions"
        return f"fits {release}; {which} could not be proved."
    return (
        f"fits {release}: the code that it replaces is, byte for byte, the code that the patch was "
        "made for."
    )


def _proved(proofs: Sequence[ProofRow]) -> str:
    compared, fields = sum(p.compared for p in proofs), sum(p.fields for p in proofs)
    return (
        "The source without the patch, compiled here, gives the shipped kernel's code for "
        f"{count(len(proofs), 'function')} ({compared:,} bytes and {fields:,} linked "
        "addresses)."
    )

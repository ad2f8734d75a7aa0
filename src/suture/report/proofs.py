# SPDX-License-Identifier: GPL-2.0-or-later
"""The proofs of a build as rows: each function that was compared with the shipped kernel."""

from __future__ import annotations

from collections.abc import Iterator

from suture.builder.evidence import BuildEvidence
from suture.diff.changes import cold_part
from suture.objects.locals import base
from suture.objects.view import ToLiteral
from suture.report import rows
from suture.report.content import ProofRow
from suture.report.instructions import quoted
from suture.verify.plan import ComparedFile
from suture.verify.preimage import Match


def proof_rows(evidence: BuildEvidence) -> Iterator[ProofRow]:
    """Yield the functions that were compared with the shipped kernel."""
    files, carried = {}, {}
    for planned in evidence.plan.files if evidence.plan is not None else ():
        files[planned.file.source] = planned.file
        carried[planned.file.source] = planned.plan.carried
    # Code whose source is not at hand, as in a module for kpatch's own core, has no proof.
    for cut in filter(lambda one: one.matches, evidence.cuts):
        for (name, sympos), match in zip(cut.functions, cut.matches, strict=True):
            yield _proof(files[cut.source], name, sympos, match)
    for file in files.values():
        for before, _ in carried.get(file.source, ()):
            match = file.addresses.prove(before)
            yield _proof(file, file.addresses.name_at(before, match.address), 0, match)


def _proof(file: ComparedFile, name: str, sympos: int, match: Match) -> ProofRow:
    function, view = match.function, file.changes.original.view
    cold = cold_part(view, function)
    parts = [function, *([cold] if cold is not None else [])]
    references = [one for part in parts for one in view.references(part)]
    linked = sum(one.kind.size for one in references)
    others = [base(unit.name) for unit in match.units if unit not in parts]
    texts = [quoted(one.target.content) for one in references if isinstance(one.target, ToLiteral)]
    names = dict.fromkeys([*others, *match.undefined, *texts])
    return ProofRow(
        file.objname,
        name,
        sympos,
        file.source,
        rows.place(file.addresses.shipped, match.address),
        sum(part.size for part in parts) - linked,
        len(references),
        tuple(sorted(names)),
    )

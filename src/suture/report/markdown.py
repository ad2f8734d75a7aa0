# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as Markdown, for mails: it reads well as plain text too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from suture.host.terminal import printable
from suture.model import Fix
from suture.report.content import (
    AdaptedRow,
    CodeRow,
    FindingRow,
    FunctionAccount,
    LabResult,
    LiveMemory,
    Mark,
    PatchReport,
    Problem,
    SourceHunk,
)
from suture.report.live import LIVE_COLUMNS, LIVE_HEADING, live_said, live_table
from suture.report.words import (
    LEVELS,
    MARKS,
    OTHERS,
    about,
    adapted,
    code_name,
    function_name,
    memory,
    origin_line,
    script_line,
    title,
    unclaimed_hunks,
    way_to,
)

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")
_FENCE = re.compile("`+")


def render(report: PatchReport) -> str:
    """Return the whole text."""
    verdict = report.verdict
    lines = [f"# {_text(title(report))}", "", _text(origin_line(report)), ""]
    lines += [f"**{_text(verdict.headline)}**", ""]
    lines += _listed("Shown:", verdict.shown)
    lines += _listed("Not shown:", verdict.not_shown)
    for problem in verdict.problems:
        lines += _problem(problem)
    lines += ["## At a glance", ""]
    lines += [f"- {name}: {_text(value)}" for name, value in about(report)]
    for heading, section in _sections(report):
        content = list(section)
        if content:
            lines += ["", f"## {heading}", "", *content]
    lines += ["", f"Made by Suture {report.suture} at {report.made}."]
    return "\n".join(_without_runs(lines)) + "\n"


def _sections(report: PatchReport) -> Iterator[tuple[str, Iterable[str]]]:
    yield "What it fixes", _fixes(report.fixes)
    yield "Findings", _findings(report.findings)
    yield "Adapted", _adapted(report.adapted)
    yield "What changes", _changes(report)
    yield "Proof", _proof(report)
    yield "Looked up in the kernel", _checks(report)
    yield (
        "Left out",
        (f"- {_code(o.source)}: {_text(o.what)}: {_text(o.why)}" for o in report.left_out),
    )
    yield "What it reaches", _symbols(report)
    yield "Callbacks, data, memory", _memory(report) if report.checks else ()
    yield "In the lab", _lab(report.lab)
    yield LIVE_HEADING, _live(report.live)
    yield "Where it comes from", _provenance(report)


def _text(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(printable(text).split()))


def _code(text: str) -> str:
    """Return a code span; longer quotes around text that has some (CommonMark, 6.1)."""
    shown = " ".join(printable(text).split()).replace("|", "\\|")
    if not shown:
        return ""
    quotes = "`" * (max((len(run) for run in _FENCE.findall(shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{quotes}{pad}{shown}{pad}{quotes}"


def _block(lines: Iterable[str], language: str = "") -> list[str]:
    body = [printable(line.replace("\t", "    ")) for line in lines]
    longest = max((len(run) for line in body for run in _FENCE.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *body, fence, ""]


def _listed(heading: str, texts: Sequence[str]) -> list[str]:
    return [heading, "", *(f"- {_text(text)}" for text in texts), ""] if texts else []


def _problem(problem: Problem) -> list[str]:
    found = f"{_code(problem.code)}: {_text(f'{problem.where}: {problem.found}')}"
    return [
        found,
        "",
        _text(problem.why),
        "",
        *(_block(problem.evidence) if problem.evidence else []),
        *([_text(problem.remedy), ""] if problem.remedy else []),
    ]


def _fixes(fixes: Sequence[Fix]) -> Iterator[str]:
    for fix in fixes:
        yield f"- {_text(fix.title)}"
        if fix.author or fix.date:
            yield f"  - {_text(', '.join(filter(None, (fix.author, fix.date))))}"
        if fix.commit:
            yield f"  - commit {_code(fix.commit)}"
        yield from (f"  - {_text(cve)}" for cve in fix.cves)
        yield from (f"  - {_text(link)}" for link in fix.links)
        yield from (f"  - Fixes: {_text(named)}" for named in fix.fixes)


def _findings(findings: Sequence[FindingRow]) -> Iterator[str]:
    for one in findings:
        where = f"{one.where}: " if one.where else ""
        level = LEVELS.get(one.level, one.level)
        yield f"**{level}** {_code(one.code)}: {_text(where + one.found)}"
        yield ""
        if one.why:
            yield _text(one.why)
            yield ""
        if one.evidence:
            yield from _block(one.evidence)
        ending = f"Accepted: {one.because}" if one.because else one.remedy
        if ending:
            yield _text(ending)
            yield ""


def _adapted(files: Sequence[AdaptedRow]) -> Iterator[str]:
    for one in files:
        yield f"{_code(one.name)} {adapted(one)}"
        yield ""
        yield from _block(one.diff.splitlines(), "diff")


def _changes(report: PatchReport) -> Iterator[str]:
    for one in report.functions:
        yield from _function(one, report.hunks)
    others = unclaimed_hunks(report)
    if others:
        yield "### Other changes of the source"
        yield ""
        yield OTHERS
        yield ""
        for hunk in others:
            yield from _hunk(hunk)


def _function(one: FunctionAccount, hunks: Sequence[SourceHunk]) -> Iterator[str]:
    yield f"### {_code(function_name(one))}"
    yield ""
    sizes = f" {one.size:,} -> {one.new_size:,} bytes." if one.size and one.new_size else ""
    yield f"{_text(one.reason)}{sizes}"
    yield ""
    if code_name(one):
        yield f"New code: {_code(code_name(one))}"
        yield ""
    for number in one.hunks:
        yield from _hunk(hunks[number])
    if one.rows:
        body = [line for row in one.rows for line in _code_lines(row)]
        more = [f"... {one.omitted:,} more rows"] if one.omitted else []
        yield from _block([*body, *more], "diff")


def _hunk(hunk: SourceHunk) -> Iterator[str]:
    first = hunk.lines[0] if hunk.lines else None
    inside = f" {', '.join(hunk.inside)}" if hunk.inside else ""
    head = f"@@ {hunk.path}:{first.new or first.old if first else 0} @@{inside}"
    lines = [f"{MARKS[line.mark]}{line.text}" for line in hunk.lines]
    yield from _block([head, *lines], "diff")


def _code_lines(row: CodeRow) -> Iterator[str]:
    if row.mark is Mark.SKIPPED:
        yield f"@@ {row.before} @@"
    elif row.mark is Mark.SAME:
        yield f" {row.after}"
    else:
        yield from (f"-{row.before}",) if row.before else ()
        yield from (f"+{row.after}",) if row.after else ()


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    if body:
        yield f"| {' | '.join(columns)} |"
        yield f"|{'|'.join(' --- ' for _ in columns)}|"
        yield from body


def _proof(report: PatchReport) -> Iterator[str]:
    columns = ("function", "object", "address", "bytes equal", "links equal", "refers to")
    return _table(
        columns,
        (
            (
                _code(f"{one.function}()"),
                _text(one.objname),
                one.address,
                f"{one.compared:,}",
                f"{one.fields:,}",
                _code(", ".join(one.refers_to)),
            )
            for one in report.proofs
        ),
    )


def _checks(report: PatchReport) -> Iterator[str]:
    columns = (
        "function",
        "object",
        "sympos",
        "address",
        "old size",
        "new size",
        "prototype",
        "problem",
    )
    return _table(
        columns,
        (
            (
                _code(f"{one.function}()"),
                _text(one.objname),
                str(one.sympos),
                one.address,
                f"{one.size:,}",
                f"{one.new_size:,}",
                one.prototype,
                _text(one.problem),
            )
            for one in report.checks
        ),
    )


def _symbols(report: PatchReport) -> Iterator[str]:
    columns = ("symbol", "how", "object", "sympos", "details", "problem")
    return _table(
        columns,
        (
            (
                _code(one.name),
                _text(way_to(one)),
                _text(one.objname),
                "" if one.is_linked else str(one.sympos),
                _code(one.detail),
                _text(one.problem),
            )
            for one in report.symbols
        ),
    )


def _memory(report: PatchReport) -> Iterator[str]:
    for call in report.callbacks:
        place = f" in {_code(call.source)}" if call.source else ""
        yield f"- {call.objname}: {_code(f'{call.function}()')}{place}, {_text(call.kind)}"
    for one in report.data:
        yield f"- {one.objname}: the variable {_code(one.name)} changes ({one.size:,} bytes)"
    yield from (f"- {_text(text)}" for text in memory(report))


def _lab(lab: LabResult | None) -> Iterator[str]:
    if lab is None:
        return
    verdict = "passed" if lab.passed else "FAILED"
    yield f"**{verdict}** on {lab.release} ({lab.accelerator}) in {lab.seconds:.1f} s, {lab.made}"
    yield ""
    for one in lab.calls:
        calls = "not counted" if one.calls is None else f"{one.calls:,} calls"
        yield f"- {one.objname}: {_code(f'{one.function}()')}: {calls}"
    yield ""
    for run in lab.scripts:
        yield _text(script_line(run))
        yield ""
        yield from _block(run.output.splitlines())
    for complaint in lab.complaints:
        yield f"The kernel complained: {_text(complaint.what)}"
        yield ""
        yield from _block(complaint.lines)
    if lab.failure is not None:
        yield from _problem(lab.failure)


def _live(live: LiveMemory | None) -> Iterator[str]:
    if live is None:
        return
    yield _text(live_said(live))
    yield ""
    rows = ((_code(name), *map(_text, others)) for name, *others in live_table(live))
    yield from _table([name.lower() for name in LIVE_COLUMNS], rows)


def _provenance(report: PatchReport) -> Iterator[str]:
    if report.compiler:
        yield f"- compiler: {_text(report.compiler)}"
    if report.seconds:
        yield f"- time taken: {report.seconds:.1f} s"
    if report.build_id:
        yield f"- build ID: {_code(report.build_id)}"
    for one in report.files:
        yield f"- {one.role} {_code(one.name)}: {_code(one.sha256)}"


def _without_runs(lines: Iterable[str]) -> Iterator[str]:
    """Leave out empty lines after empty lines."""
    before = ""
    for line in lines:
        if line or before:
            yield line
        before = line

# SPDX-License-Identifier: GPL-2.0-or-later
"""A report as one page of HTML that needs nothing else: no script, no network.

The page carries the document of `suture.report.document`, so that a later step can add to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from suture.model import Fix
from suture.report import document, page
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
    ReachedSymbol,
    SourceHunk,
)
from suture.report.live import LIVE_COLUMNS, LIVE_HEADING, live_said, live_table
from suture.report.markup import Child, Markup, element, fragment
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

_DATA = re.compile(rb'<script type="application/json" id="report">(.*?)</script>', re.DOTALL)


def render(report: PatchReport) -> str:
    """Return the whole page."""
    sections = [one for one in _sections(report) if one is not None]
    header = fragment(
        element("h1", title(report)),
        element("p", origin_line(report), class_="quiet"),
        _verdict(report),
    )
    return page.whole(
        f"{report.name} for {report.release}",
        header,
        sections,
        f"Made by Suture {report.suture} at {report.made}.",
        _data(report),
    )


def read(content: bytes) -> PatchReport | None:
    """Return the report that a page carries; None for any other page."""
    found = _DATA.search(content)
    return document.parse(found[1]) if found else None


def _data(report: PatchReport) -> Markup:
    # In a script only its end tag counts (HTML, 13.1.2.1); JSON may spell < as \u003c.
    text = document.encoded(report).decode().replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="report">{text}</script>')


def _sections(report: PatchReport) -> Iterator[tuple[str, str, Child] | None]:
    problems = report.verdict.problems
    yield ("problems", "Problems", _problems(problems)) if problems else None
    yield ("about", "At a glance", page.facts(about(report)))
    yield ("fixes", "What it fixes", map(_fix, report.fixes)) if report.fixes else None
    yield ("findings", "Findings", map(_finding, report.findings)) if report.findings else None
    yield ("adapted", "Adapted", map(_adapted, report.adapted)) if report.adapted else None
    yield ("changes", "What changes", _changes(report)) if report.functions else None
    yield ("proof", "Proof", _proof(report)) if report.proofs else None
    yield ("checks", "Looked up in the kernel", _checks(report)) if report.checks else None
    yield ("left-out", "Left out", _left_out(report)) if report.left_out else None
    yield ("symbols", "What it reaches", _symbols(report.symbols)) if report.symbols else None
    yield ("memory", "Callbacks, data, memory", _memory(report)) if report.checks else None
    yield ("lab", "In the lab", _lab(report.lab)) if report.lab else None
    yield ("live", LIVE_HEADING, _live(report.live)) if report.live else None
    yield ("provenance", "Where it comes from", _provenance(report))


def _verdict(report: PatchReport) -> Markup:
    verdict = report.verdict
    return element(
        "div",
        element("p", verdict.headline),
        _list(verdict.shown, "Shown"),
        _list(verdict.not_shown, "Not shown"),
        class_=f"verdict {'good' if verdict.fits else 'bad'}",
    )


def _list(texts: Sequence[str], heading: str) -> Markup | None:
    if not texts:
        return None
    items = element("ul", [element("li", text) for text in texts])
    return fragment(element("p", f"{heading}:"), items)


def _problems(problems: Sequence[Problem]) -> Markup:
    """Return a card for each code: of many symbols with another version, the reason is one."""
    by_code: dict[tuple[str, str, str], list[Problem]] = {}
    for one in problems:
        by_code.setdefault((one.code, one.why, one.remedy), []).append(one)
    cards = []
    for (code, why, remedy), some in by_code.items():
        found = [element("li", f"{one.where}: {one.found}", _pre(one.evidence)) for one in some]
        cards.append(
            element(
                "div",
                element("h3", element("code", code)),
                element("ul", found),
                element("p", why, class_="quiet") if why else None,
                element("p", remedy) if remedy else None,
                class_="card",
            )
        )
    return fragment(cards)


def _problem(problem: Problem) -> Markup:
    return fragment(
        element("p", element("code", problem.code), f": {problem.where}: {problem.found}"),
        element("p", problem.why) if problem.why else None,
        _pre(problem.evidence),
        element("p", problem.remedy) if problem.remedy else None,
    )


def _pre(lines: Sequence[str]) -> Markup | None:
    if not lines:
        return None
    body = [fragment(line, Markup("\n")) for line in lines]
    return element("pre", body)


def _fix(fix: Fix) -> Markup:
    facts: list[tuple[str, Child]] = [
        ("Author", fix.author),
        ("Date", fix.date),
        ("Commit", element("code", fix.commit) if fix.commit else ""),
        ("CVE", page.separated(page.link(page.CVE_RECORD + cve, cve) for cve in fix.cves)),
        ("Links", page.separated(page.link(link, link) for link in fix.links)),
        ("Fixes", page.separated(fix.fixes)),
    ]
    pairs = [fragment(element("dt", name), element("dd", value)) for name, value in facts if value]
    return element("div", element("h3", fix.title), element("dl", pairs), class_="card")


def _finding(one: FindingRow) -> Markup:
    kind = {"refuse": "bad", "warn": "warn"}.get(one.level, "warn")
    where = f"{one.where}: " if one.where else ""
    return element(
        "div",
        element(
            "h3",
            element("span", LEVELS.get(one.level, one.level), class_=f"badge {kind}"),
            " ",
            element("code", one.code),
        ),
        element("p", f"{where}{one.found}"),
        element("p", one.why, class_="quiet") if one.why else None,
        _pre(one.evidence),
        element("p", element("strong", "Accepted: "), one.because) if one.because else None,
        element("p", one.remedy, class_="quiet") if one.remedy and not one.because else None,
        class_="card",
    )


def _adapted(one: AdaptedRow) -> Markup:
    said = f"{one.name} {adapted(one)}"
    return fragment(element("p", said), _pre(one.diff.replace("\t", "    ").splitlines()))


def _changes(report: PatchReport) -> Markup:
    parts = [_function(one, report.hunks) for one in report.functions]
    others = unclaimed_hunks(report)
    if others:
        parts.append(element("h3", "Other changes of the source"))
        parts.append(element("p", OTHERS))
        parts += [_hunk(hunk) for hunk in others]
    return fragment(parts)


def _function(one: FunctionAccount, hunks: Sequence[SourceHunk]) -> Markup:
    sources = [_hunk(hunks[number]) for number in one.hunks]
    listing = _listing(one) if one.rows else None
    sizes = f" {one.size:,} → {one.new_size:,} bytes." if one.size and one.new_size else ""
    both = " both" if sources and listing else ""
    return element(
        "article",
        element("h3", element("code", function_name(one))),
        element("p", f"{one.reason}{sizes}"),
        element("p", f"New code: {code_name(one)}", class_="quiet") if code_name(one) else None,
        element(
            "div",
            element("div", element("h4", "Source"), sources) if sources else None,
            element("div", element("h4", "Instructions"), listing) if listing else None,
            class_=f"beside{both}",
        )
        if sources or listing
        else None,
    )


def _hunk(hunk: SourceHunk) -> Markup:
    lines = []
    for line in hunk.lines:
        lines.append(
            element(
                "div",
                element("span", str(line.new or line.old), class_="number"),
                element("span", MARKS[line.mark]),
                element("span", line.text.replace("\t", "    ")),
                class_=line.mark.value if line.mark is not Mark.SAME else None,
            )
        )
    inside = f" ({', '.join(hunk.inside)})" if hunk.inside else ""
    return fragment(
        element("p", element("code", hunk.path), inside, class_="quiet"),
        element("div", lines, class_="lines code"),
    )


def _listing(one: FunctionAccount) -> Markup:
    heads = element("tr", element("th", "Before", scope="col"), element("th", "After", scope="col"))
    body = [_row(row) for row in one.rows]
    more = f"{one.omitted:,} more rows are not shown." if one.omitted else ""
    table = element("table", element("thead", heads), element("tbody", body), class_="listing code")
    return fragment(table, element("p", more, class_="quiet") if more else None)


def _row(row: CodeRow) -> Markup:
    if row.mark is Mark.SKIPPED:
        return element("tr", element("td", row.before, colspan=2), class_="skipped")
    is_equal = row.mark is Mark.SAME
    cells = []
    for side, text, mark in (("before", row.before, "-"), ("after", row.after, "+")):
        shown = f"{' ' if is_equal else mark} {text}" if text else ""
        cells.append(element("td", shown, class_=side if text else f"{side} empty"))
    return element("tr", cells, class_=row.mark.value)


def _code(text: str) -> Child:
    return element("code", text) if text else ""


def _proof(report: PatchReport) -> Markup:
    columns = (
        "Function",
        "Object",
        "Position",
        "Address",
        "Bytes equal",
        "Links equal",
        "Refers to",
    )
    rows = []
    for one in report.proofs:
        rows.append(
            (
                fragment(_code(f"{one.function}()"), element("br"), one.source),
                one.objname,
                str(one.sympos or "only one"),
                _code(one.address),
                f"{one.compared:,}",
                f"{one.fields:,}",
                _code(", ".join(one.refers_to)),
            )
        )
    said = (
        "The file was compiled from the source without the patch, with the kernel's own compiler "
        "and options. Each function is compared with the kernel as it is shipped: all bytes, and "
        "of each linked address the name of what it leads to."
    )
    return fragment(element("p", said), page.table(columns, rows))


def _checks(report: PatchReport) -> Markup:
    columns = (
        "Function",
        "Object",
        "Position",
        "Address",
        "Old size",
        "New size",
        "Prototype",
        "Problem",
    )
    rows = []
    for one in report.checks:
        rows.append(
            (
                _code(f"{one.function}()"),
                one.objname,
                str(one.sympos or "only one"),
                _code(one.address),
                f"{one.size:,}" if one.size else "",
                f"{one.new_size:,}" if one.new_size else "",
                one.prototype,
                one.problem,
            )
        )
    return page.table(columns, rows)


def _left_out(report: PatchReport) -> Markup:
    rows = [(_code(one.source), one.what, one.why) for one in report.left_out]
    return page.table(("File", "Part", "Why"), rows)


def _symbols(symbols: Sequence[ReachedSymbol]) -> Markup:
    columns = ("Symbol", "How", "Object", "Position", "Address", "Details", "Problem")
    rows = []
    for one in symbols:
        position = "" if one.is_linked else str(one.sympos or "only one")
        rows.append(
            (
                _code(one.name),
                way_to(one),
                one.objname,
                position,
                _code(one.address),
                _code(one.detail),
                one.problem,
            )
        )
    return page.table(columns, rows)


def _memory(report: PatchReport) -> Markup:
    calls = [
        (one.objname, one.kind, _code(f"{one.function}()"), one.source) for one in report.callbacks
    ]
    data = [(one.objname, _code(one.name), f"{one.size:,}") for one in report.data]
    return fragment(
        page.table(("Object", "When", "Function", "File"), calls, "Callbacks") if calls else None,
        page.table(("Object", "Variable", "Bytes"), data, "Variables that change in memory")
        if data
        else None,
        [element("p", text) for text in memory(report)],
    )


def _lab(lab: LabResult) -> Markup:
    verdict = "passed" if lab.passed else "failed"
    return fragment(
        element(
            "p",
            element("span", verdict, class_=f"badge {'good' if lab.passed else 'bad'}"),
            f" on {lab.release} ({lab.accelerator}) in {lab.seconds:.1f} s, {lab.made}",
        ),
        page.table(
            ("Function", "Object", "Calls of the new code"),
            [
                (
                    _code(f"{one.function}()"),
                    one.objname,
                    "not counted" if one.calls is None else f"{one.calls:,}",
                )
                for one in lab.calls
            ],
        )
        if lab.calls
        else None,
        [
            fragment(
                element("h3", script_line(run)),
                _pre(run.output.splitlines()),
            )
            for run in lab.scripts
        ],
        [
            fragment(element("h3", f"The kernel complained: {one.what}"), _pre(one.lines))
            for one in lab.complaints
        ],
        _problem(lab.failure) if lab.failure else None,
    )


def _live(live: LiveMemory) -> Markup:
    rows = [(_code(name), *others) for name, *others in live_table(live)]
    return fragment(element("p", live_said(live)), page.table(LIVE_COLUMNS, rows) if rows else None)


def _provenance(report: PatchReport) -> Markup:
    rows = [(one.role, _code(one.name), _code(one.sha256)) for one in report.files]
    facts = [
        ("Compiler", report.compiler),
        ("Suture", report.suture),
        ("Made", report.made),
        ("Time taken", f"{report.seconds:.1f} s" if report.seconds else ""),
        ("Build ID", report.build_id),
    ]
    return fragment(
        page.facts((name, value) for name, value in facts if value),
        page.table(("What", "File", "SHA-256"), rows) if rows else None,
    )

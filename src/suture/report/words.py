# SPDX-License-Identifier: GPL-2.0-or-later
"""The words that all renderers of a report share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from suture.report.content import (
    AdaptedRow,
    FunctionAccount,
    FunctionRole,
    LabScript,
    Mark,
    Origin,
    PatchReport,
    ReachedSymbol,
    SourceHunk,
)

MARKS: Mapping[Mark, str] = {
    Mark.SAME: " ",
    Mark.REMOVED: "-",
    Mark.ADDED: "+",
    Mark.CHANGED: "±",
    Mark.SKIPPED: "",
}
LEVELS = {"refuse": "danger", "warn": "warning", "note": "question"}
OTHERS = "They compile to the same instructions, or are left out."
"""Of the hunks that no function shows."""

ROLES = {FunctionRole.CARRIED: " (carried)", FunctionRole.NEW: " (new)"}


def title(report: PatchReport) -> str:
    """Return the title of the first fix, or the live patch's name."""
    return report.fixes[0].title if report.fixes else report.name


def origin_line(report: PatchReport) -> str:
    """Return what the report is about, in one line."""
    what = f"{report.name} for {report.release}"
    match report.origin:
        case Origin.BUILT:
            return f"Live patch {what}, built by Suture {report.suture}"
        case Origin.VERIFIED:
            return f"Live patch {what}, verified from its module by Suture {report.suture}"
        case Origin.REFUSED:
            return f"Patch {what}, refused by Suture {report.suture}"


def about(report: PatchReport) -> Iterator[tuple[str, str]]:
    """Yield the facts that a reader wants first."""
    version = f" (packages {report.version})" if report.version else ""
    yield "Kernel", f"{report.release}{version}"
    if report.origin is Origin.REFUSED:
        return
    replaced = [one for one in report.functions if one.role is FunctionRole.REPLACED]
    objects = ", ".join(dict.fromkeys(one.objname for one in replaced))
    names = f" of {objects}" if objects else ""
    yield "Replaces", f"{count(len(replaced), 'function')}{names}"
    others = len(report.functions) - len(replaced)
    if others:
        yield "Brings along", count(others, "function")
    earlier = "replaced by this one" if report.replace else "stay; this one is stacked on them"
    yield "Earlier live patches", earlier
    yield "Unloading", "not before the reboot" if report.stays else "at any time"
    signed = "signed" if report.signed else "not signed"
    yield "Module", f"{report.size:,} bytes, {signed}"
    yield "Lab", _lab(report)


def _lab(report: PatchReport) -> str:
    if report.lab is None:
        return "not tested"
    return "passed" if report.lab.passed else "FAILED"


def script_line(run: LabScript) -> str:
    """Return which script ran, when, and what came of it."""
    name = "Script" if run.name == "script" else f"Script {run.name}"
    return f"{name}, {run.phase}: exit status {run.status}"


def function_name(one: FunctionAccount) -> str:
    """Return a function's name with its object and position."""
    position = f",{one.sympos}" if one.sympos else ""
    return f"{one.objname}: {one.name}(){position}{ROLES.get(one.role, '')}"


def code_name(one: FunctionAccount) -> str:
    """Return the name and the file of the new code, as far as they say more than the function's
    name."""
    parts = [f"{one.new_name}()"] if one.new_name != one.name else []
    parts += [one.source] if one.source else []
    return " in ".join(parts)


def way_to(one: ReachedSymbol) -> str:
    """Return how the module reaches a symbol."""
    return "linked" if one.is_linked else f"by the core, with {one.resolved_with}"


def adapted(one: AdaptedRow) -> str:
    """Return the words above what an adapted patch file changes."""
    return f"did not fit as it is written. It was adapted {one.how}, to:"


def unclaimed_hunks(report: PatchReport) -> list[SourceHunk]:
    """Return the hunks that no function of the live patch shows."""
    shown = {number for one in report.functions for number in one.hunks}
    return [hunk for number, hunk in enumerate(report.hunks) if number not in shown]


def memory(report: PatchReport) -> Iterator[str]:
    """Yield sentences about what stays and what is attached."""
    if not report.callbacks:
        yield "It has no callbacks."
    if not report.data:
        yield "It changes no variables in memory."
    if report.shadow_variables:
        yield f"It attaches shadow variables: {', '.join(report.shadow_variables)}."
    if report.stays:
        yield "Its module stays in memory until the reboot, for it hands out addresses in it:"
        yield from (f"{reason}." for reason in report.stays)
    elif not report.hands_out:
        says = "" if report.origin is Origin.BUILT else ", as far as it says"
        yield f"Nothing of it stays in memory once it is unloaded{says}."
    for reason in report.hands_out:
        yield f"It hands out an address in its module: {reason}."


def count(number: int, noun: str) -> str:
    """Return a number and a noun: ``1 symbol``, ``2 symbols``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

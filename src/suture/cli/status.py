# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture status``"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, command, option
from suture.cli.list import state
from suture.cli.output import NOT_SEEN, Human, emit, in_parts, json_option, json_wanted, table, utc
from suture.host.terminal import console, has_rich, printable
from suture.module.staying import first_of

if TYPE_CHECKING:
    from suture.core.following import Following
    from suture.core.status import PatchStatus, Status
    from suture.core.update_share import UpdateShare

EXAMPLES = (
    ("suture status", "show what is in force, what is under way and what holds it up"),
    ("suture status --watch", "keep the display up to date"),
    (
        "suture status --check",
        "exit with a status for monitoring: 0 if all is well, 8 if this kernel is unprotected",
    ),
    (
        "suture status --prometheus /var/lib/prometheus/node-exporter/suture.prom",
        "write metrics for node_exporter",
    ),
)

WATCH_EVERY = 1.0

_MOST_NUMBERS = 8
"""CVE numbers in one line."""

CLEAR = "\x1b[H\x1b[J"
"""What makes a terminal forget all that it shows (ECMA-48: CUP, ED)."""


@command("status", examples=EXAMPLES)
@option(
    "--check",
    is_flag=True,
    help="Exit with 0 if all is well, 3 while tasks switch, 4 if a command was interrupted "
    "or modules are left over, 5 if a transition does not end, 6 if the next boot would "
    "load something else, 7 if the old code of a replaced function runs, 8 if live patches "
    "are kept for other kernels and not for this one, 9 if this kernel cannot have any, 10 if "
    "the repository that this host follows does not get through.",
)
@option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
@option(
    "--notify",
    is_flag=True,
    help="Also run the programs in /etc/suture/hooks.d/drift if all is not well; as root.",
)
@option(
    "--prometheus",
    metavar="FILE.prom",
    type=PATH,
    help="Write Prometheus metrics to this file instead.",
)
@json_option
def status(check: bool, watch: bool, notify: bool, prometheus: Path | None) -> None:
    """Show the state of the running kernel's live patches, and what to do next.

    If live patches are installed for the running kernel ('suture install'), the status also shows
    where those in force differ from them. If they are installed for other kernels only, as after a
    kernel upgrade, it names those that the running kernel lacks.

    For a transition, it shows each task that has not switched, with its stack and the replaced
    function that it is in. Any user may run this; only root sees stacks and some other details.
    """
    if watch:
        _watch()
        return
    found = looked()
    if prometheus is not None:
        from suture.core import metrics
        from suture.host.files import write_atomic

        write_atomic(prometheus, metrics.exposition(found).encode())
    else:
        emit(document(found), lambda: for_people(found))
    if notify:
        _notify(found)
    if check:
        raise click.exceptions.Exit(int(found.verdict))


def _notify(found: Status) -> None:
    """Run the host's own programs unless all is well, or only a change is on its way."""
    from suture.cli.output import plain_document
    from suture.core.hooks import HookEvent, tell
    from suture.core.status import Verdict

    if found.verdict in (Verdict.OK, Verdict.IN_TRANSITION):
        return
    facts = plain_document(document(found))
    assert isinstance(facts, dict)
    for wrong in tell(HookEvent.DRIFT, facts):
        click.echo(f"A hook went wrong: {wrong}.", err=True)


def document(found: Status) -> dict[str, object]:
    """The status for ``--json``."""
    from suture.core.fixed import fixed

    return {
        "release": found.release,
        "supported": found.supported,
        "verdict": found.verdict.name.lower().replace("_", "-"),
        "patches": found.patches,
        "cves": list(fixed(found)),
        "at_work": found.at_work,
        "left_over": found.left_over,
        "forced": found.forced,
        "interrupted": found.interrupted,
        "drift": found.drift,
        "last_change": found.last_change,
        "taints": found.taints,
        "newer_kernel": found.newer_kernel,
        "newer_kernel_lacks": found.newer_kernel_lacks,
        "staying": found.staying,
        "hindrances": found.hindrances,
        "unseen": found.unseen,
        "unprotected": found.unprotected,
        "refusals": found.refusals,
        "following": found.following,
    }


def for_people(found: Status) -> Human:
    """The status for people."""
    parts: list[Human] = [_head(found)]
    if found.patches:
        rows = [_row(item) for item in found.patches]
        parts += ["", table(("live patch", "state", "since (UTC)", "by", "functions"), rows)]
        parts += _fixes(found)
    for item in found.patches:
        if item.patch.transition:
            parts += ["", *_transition(item, found.at_work is not None)]
    if found.at_work is not None:
        parts += ["", f"Process {found.at_work} is changing live patches."]
    parts += ["", *_hindrances(found)] if found.hindrances else []
    parts += ["", printable(f"{NOT_SEEN}: {found.unseen}.")] if found.unseen else []
    parts += ["", *_undone(found)] if found.left_over or found.interrupted else []
    parts += ["", *_staying(found)] if found.staying else []
    parts += ["", *_drift(found)] if found.drift else []
    parts += ["", *_unprotected(found)] if found.unprotected else []
    parts += ["", *_following(found.following)] if found.following else []
    parts += ["", *_host(found)] if found.taints or found.newer_kernel else []
    return in_parts(*parts)


def _head(found: Status) -> str:
    if not found.supported:
        return f"{found.release} has no live patching (CONFIG_LIVEPATCH)."
    return f"{found.release}: {_summary(found)}"


def _summary(found: Status) -> str:
    from suture.core.status import Verdict

    number = sum(item.patch.enabled and not item.patch.transition for item in found.patches)
    having = {0: "no live patch", 1: "1 live patch"}.get(
        number, f"{number} live patches"
    ) + " in force"
    doing = {
        Verdict.OK: "",
        Verdict.UNSUPPORTED: "",
        Verdict.UNPROTECTED: "; live patches of other kernels are missing here",
        Verdict.INEFFECTIVE: "; the kernel runs the old code of functions below",
        Verdict.DRIFT: "; the next boot would load something else",
        Verdict.UNFOLLOWED: "; the repository that this host follows does not get through",
        Verdict.IN_TRANSITION: "; tasks are switching",
        Verdict.LEFT_UNDONE: _left_undone(found),
        Verdict.STALLED: "; a transition does not end: stop the tasks below, or reverse it with "
        "'suture recover'",
    }
    return f"{having}{doing[found.verdict]}"


def _left_undone(found: Status) -> str:
    if found.interrupted or found.recoverable:
        return "; a change was left unfinished: run 'suture recover'"
    return "; 'suture force' put one out of force: reboot when you can"


def _row(item: PatchStatus) -> tuple[str, ...]:
    known = item.loading
    since = utc(known.time) if known else "not by suture"
    return (
        item.patch.name,
        state(item.patch, stays=bool(item.stays)),
        since,
        known.user if known else "",
        str(len(item.patch.functions)),
    )


def _fixes(found: Status) -> list[Human]:
    lines: list[str] = []
    for item in found.patches:
        if item.update is None:
            lines += [f"{item.patch.name} fixes {fix}" for fix in item.fixes]
        else:
            lines += _share(item.patch.name, item.update)
    return ["", *map(printable, lines)] if lines else []


def _share(name: str, update: UpdateShare) -> list[str]:
    """Return what a live patch has of a newer version, and the numbers that it lacks."""
    lines = [f"{name} has {update}"]
    if update.lacking:
        shown = ", ".join(list(update.lacking)[:_MOST_NUMBERS])
        more = len(update.lacking) - _MOST_NUMBERS
        and_more = f" and {more} more ('suture info {name}' lists them)" if more > 0 else ""
        lines.append(f"  It lacks {shown}{and_more}.")
    return lines


def _transition(item: PatchStatus, watched: bool) -> list[Human]:
    count = item.count
    for_how_long = f" for {item.seconds:.0f} s" if item.seconds is not None else ""
    moved = (
        f": {count.moved} of {count.total} tasks have switched"
        if count
        else "; run as root to see which tasks have not switched"
    )
    lines: list[Human] = [printable(f"{item.patch.name}: {state(item.patch)}{for_how_long}{moved}")]
    for task in item.behind:
        lines.append(printable(f"  {task.line()}; {task.cpu_seconds:g} s of CPU time"))
        lines += [
            printable(f"    {'>' if frame in task.holding else ' '} {frame}")
            for frame in task.stack
        ]
    if item.behind and not watched:
        turn = (
            "'suture unload {}' reverses it"
            if item.patch.enabled
            else "'suture recover' puts {} into force again"
        )
        lines.append(
            printable(
                "  It ends when these tasks are stopped or restarted; "
                f"{turn.format(item.patch.name)}."
            )
        )
    return lines


def _undone(found: Status) -> list[Human]:
    lines: list[Human] = []
    if found.recoverable:
        lines.append(printable(f"Out of force but still in memory: {', '.join(found.recoverable)}"))
    if found.forced:
        lines.append(
            printable(
                "Put out of force by 'suture force', in memory until the next boot: "
                f"{', '.join(found.forced)}"
            )
        )
    for record in found.interrupted:
        who = f"by {record.user} at {utc(record.time)}"
        lines.append(printable(f"Interrupted: {record.operation} of {record.patch} {who}"))
    return lines


def _staying(found: Status) -> list[Human]:
    lines: list[Human] = ["Out of force, and in memory until the reboot:"]
    return lines + [
        printable(f"  {module.name}: {first_of(module.stays)}") for module in found.staying
    ]


def _hindrances(found: Status) -> list[Human]:
    lines: list[Human] = [
        printable(f"{hindrance.patch}: {hindrance.found}") for hindrance in found.hindrances
    ]
    if any(not hindrance.is_in_force for hindrance in found.hindrances):
        return [*lines, "Detach BPF programs, and reboot: such a live patch cannot be unloaded."]
    return [*lines, "Another program there may put the live patch out of force; detach them."]


def _drift(found: Status) -> list[Human]:
    from suture.core.drift import ABOUT, WAY_OUT

    return [
        printable(
            f"{drifted.name}: {ABOUT[drifted.kind]}{f': {drifted.found}' if drifted.found else ''} "
            f"('{WAY_OUT[drifted.kind].format(name=drifted.name)}')"
        )
        for drifted in found.drift
    ]


def _unprotected(found: Status) -> list[Human]:
    lines: list[Human] = ["Kept for other kernels, and this one has nothing of it:"]
    for item in found.unprotected:
        fixes = f": {'; '.join(map(str, item.fixes))}" if item.fixes else ""
        lines.append(printable(f"  {item.name} (for {', '.join(item.releases)}){fixes}"))
    ways = (
        "  Build them for this kernel ('suture rebuild'), or uninstall those that it does not need "
        "('suture uninstall NAME --kernel RELEASE')."
        if found.supported
        else "  Boot a kernel with CONFIG_LIVEPATCH."
    )
    return [*lines, ways]


def _following(found: Following) -> list[Human]:
    """What a host knows that follows a repository."""
    last = found.last
    lines = [
        f"Follows the ring {found.ring} of {found.url}" if found.url else "Follows a repository"
    ]
    if last.signed:
        lines[0] += f"; its newest metadata is of {utc(last.signed)} UTC"
    lines[0] += "."
    if last.offered:
        lacking = f", and would close {', '.join(last.missing_cves)}" if last.missing_cves else ""
        state = f"waits ({last.waits}: {last.why}){lacking}" if last.waits else "is in force"
        lines.append(f"  {last.offered} is offered, and {state}.")
    elif last.signed:
        lines.append("  Nothing is offered for this kernel.")
    if last.covered_until:
        lines.append(f"  This kernel is covered until {last.covered_until}.")
    if last.error:
        lines.append(f"  At {utc(last.when)}: {last.found}")
    elif found.is_expired:
        lines.append("  That has expired: nothing new is loaded. Does suture-follow.timer run?")
    if found.hold:
        lines.append(f"  On hold since {found.hold} ('suture follow resume').")
    if found.pin:
        lines.append(f"  Pinned at {found.pin} ('suture follow resume').")
    if found.aside and last.waits != "set-aside":
        lines.append(f"  {found.aside.name} failed here and is set aside: {found.aside.found}")
    return [printable(line) for line in lines]


def _host(found: Status) -> list[Human]:
    lines: list[Human] = []
    alarming = [taint for taint in found.taints if not taint.is_expected]
    expected = [taint.flag for taint in found.taints if taint.is_expected]
    if alarming:
        lines.append("The kernel is tainted:")
        for taint in alarming:
            by = f": {', '.join(taint.modules)}" if taint.modules else ""
            lines.append(printable(f"  {taint.flag}  {taint.about}{by}"))
    if expected:
        lines.append(
            f"Its taint {', '.join(expected)} comes from live patches, as with all of them."
        )
    if found.newer_kernel:
        lines.append(printable(f"{found.newer_kernel} is installed: {_after_reboot(found)}."))
    return lines


def _after_reboot(found: Status) -> str:
    if found.newer_kernel_lacks:
        names = ", ".join(found.newer_kernel_lacks)
        return f"after a reboot into it, {names} will be missing ('suture rebuild --dry-run')"
    return "a reboot into it may make live patches unnecessary"


def _watch() -> None:
    """Refresh until a signal: in place on a terminal, elsewhere one report after another."""
    in_place = sys.stdout.isatty() and not json_wanted.get()
    try:
        if in_place and has_rich():
            _watch_live()
        while True:
            found = looked()
            if in_place:
                sys.stdout.write(CLEAR)
            emit(document(found), for_people(found))
            time.sleep(WATCH_EVERY)
    except KeyboardInterrupt:
        return  # that is how it ends


def _watch_live() -> None:
    from rich.live import Live

    out = console(stderr=False)
    with Live(for_people(looked()), console=out, auto_refresh=False, screen=False) as live:
        while True:
            time.sleep(WATCH_EVERY)
            live.update(for_people(looked()), refresh=True)


def looked() -> Status:
    """Look at the running kernel."""
    from suture.core.status import status as look

    return look()

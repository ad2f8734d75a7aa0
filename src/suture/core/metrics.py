# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of live patches for Prometheus, in the text format that node_exporter's textfile
collector reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from suture.core.following import Following
from suture.core.status import PatchStatus, Status
from suture.host.exposition import family, labels


def exposition(status: Status) -> str:
    """Write one line for each value, with the help and type that the format requires."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: Status) -> Iterator[str]:
    yield from family(
        "suture_verdict", "Exit status of 'suture status --check'.", [("", status.verdict)]
    )
    yield from _of_live_patches(status)
    yield from _about_live_patches(status)
    for name, about, found in _totals(status):
        yield from family(name, about, [("", found)])
    yield from _of_hindrances(status)
    yield from _of_kernels(status)
    about = "Changes that were refused once they had begun, by the refusal's code."
    refused = [(labels(code=code), number) for code, number in sorted(status.refusals.items())]
    yield from family("suture_refusals", about, refused)
    if status.following is not None:
        yield from _of_following(status.following)
    if status.last_change:
        about = "Time of the last change of live patches."
        changed = [("", _timestamp(status.last_change))]
        yield from family("suture_last_change_timestamp_seconds", about, changed)


def _timestamp(when: str) -> int:
    found = datetime.fromisoformat(when)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def _of_live_patches(status: Status) -> Iterator[str]:
    """Yield the state of each live patch."""
    about = "1 if tasks run the live patch or are switching to it."
    enabled = [(_label(item.name), int(item.patch.enabled)) for item in status.patches]
    yield from family("suture_livepatch_enabled", about, enabled)
    about = "1 while tasks are switching to or from the live patch."
    moving = [(_label(item.name), int(item.patch.transition)) for item in status.patches]
    yield from family("suture_livepatch_transition", about, moving)
    behind = [
        (_label(item.name), item.count.total - item.count.moved)
        for item in status.patches
        if item.count
    ]
    yield from family("suture_livepatch_tasks_behind", "Tasks that have not switched yet.", behind)


def _about_live_patches(status: Status) -> Iterator[str]:
    """Yield what each live patch is and what it is for, in labels."""
    info = [
        (
            _label(
                item.name,
                build_id=item.build_id,
                release=status.release,
                title="; ".join(fix.title for fix in item.fixes),
            ),
            1,
        )
        for item in status.patches
    ]
    yield from family("suture_livepatch_info", "The live patch, and what it is for.", info)
    known = [(item.name, item.loading) for item in status.patches if item.loading]
    about = "Time at which loading the live patch began."
    since = [(_label(name), _timestamp(loading.time)) for name, loading in known]
    yield from family("suture_livepatch_since_timestamp_seconds", about, since)
    about = "How long the transition to the live patch took."
    took = [
        (_label(name), loading.seconds) for name, loading in known if loading.seconds is not None
    ]
    yield from family("suture_livepatch_transition_seconds", about, took)
    cves = [pair for item in status.patches for pair in _cves(item)]
    about = "1 if the live patch that closes the vulnerability is in force for all tasks."
    yield from family("suture_livepatch_cve", about, cves)


def _cves(item: PatchStatus) -> Iterator[tuple[str, int]]:
    """Yield a label for each vulnerability that a live patch closes, and whether it is in force."""
    is_in_force = int(item.patch.enabled and not item.patch.transition)
    for cve in sorted({cve for fix in item.fixes for cve in fix.cves}):
        yield _label(item.name, cve=cve), is_in_force


def _totals(status: Status) -> tuple[tuple[str, str, int], ...]:
    """Return the counts of the whole host: name, meaning, value."""
    left_over = "Modules of live patches that are out of force."
    staying = "Modules of live patches that are out of force and stay in memory until the reboot."
    drift = "Live patches that the next boot would load differently."
    return (
        ("suture_left_over_modules", left_over, len(status.left_over)),
        ("suture_staying_modules", staying, len(status.staying)),
        ("suture_interrupted_changes", "Interrupted commands.", len(status.interrupted)),
        ("suture_drift", drift, len(status.drift)),
    )


def _of_kernels(status: Status) -> Iterator[str]:
    """Yield what the running kernel lacks, and whether a newer one waits for a reboot."""
    about = "1 if the running kernel can have live patches."
    yield from family("suture_livepatch_supported", about, [("", int(status.supported))])
    about = (
        "1 for each live patch that is kept for other kernels, and of which this one has nothing."
    )
    missing = [
        (_label(item.name, releases=" ".join(item.releases), cves=" ".join(item.cves)), 1)
        for item in status.unprotected
    ]
    yield from family("suture_unprotected", about, missing)
    about = "1 if a newer kernel than the running one is installed."
    newer = labels(release=status.newer_kernel or "")
    yield from family("suture_newer_kernel", about, [(newer, int(bool(status.newer_kernel)))])
    about = "1 if something else than a live patch tainted the kernel."
    alarming = any(not taint.is_expected for taint in status.taints)
    yield from family("suture_other_taint", about, [("", int(alarming))])


def _of_hindrances(status: Status) -> Iterator[str]:
    """Yield what keeps functions of each live patch from running, or traces them; no counts where
    that cannot be seen, for 0 would be a promise."""
    about = "1 if Suture can see what keeps functions of live patches from running."
    yield from family("suture_hindrances_visible", about, [("", int(not status.unseen))])
    for name, about, in_force in (
        (
            "suture_livepatch_functions_ineffective",
            "Functions of the live patch for which the old code runs.",
            False,
        ),
        (
            "suture_livepatch_functions_traced",
            "Functions of the live patch to which BPF programs are attached.",
            True,
        ),
    ):
        seen = () if status.unseen else status.patches
        counts = [(_label(item.name), _hindered(status, item, in_force)) for item in seen]
        yield from family(name, about, counts)


def _of_following(found: Following) -> Iterator[str]:
    """Yield what the repository offers that this host follows, and whether it gets through."""
    last = found.last
    info = labels(
        ring=found.ring, offered=last.offered, waits=last.waits, error=last.error, pin=found.pin
    )
    about = "The ring that this host follows, what it offers, and what that waits for."
    yield from family("suture_follow_info", about, [(info, 1)])
    about = "1 if the repository's word gets through to this host."
    yield from family("suture_follow_ok", about, [("", int(not found.is_troubled))])
    about = "1 if the host's administrator has put following on hold."
    yield from family("suture_follow_hold", about, [("", int(bool(found.hold)))])
    about = "Vulnerabilities that the offered live patch closes, and none in force does."
    yield from family("suture_follow_missing_cves", about, [("", len(last.missing_cves))])
    for name, about, when in (
        ("suture_follow_run", "Time of the last run.", last.when),
        ("suture_follow_signed", "Time at which the newest metadata was made.", last.signed),
        ("suture_follow_expires", "Time at which the newest metadata expires.", last.expires),
        ("suture_follow_covered_until", "Day until which it is covered.", last.covered_until),
    ):
        known = [("", _timestamp(when))] if when else []
        yield from family(f"{name}_timestamp_seconds", about, known)


def _hindered(status: Status, item: PatchStatus, in_force: bool) -> int:
    found = [one for one in status.hindrances if one.patch == item.patch.name]
    return sum(bool(one.direct) if in_force else not one.is_in_force for one in found)


def _label(patch: str, **others: str) -> str:
    return labels(**{"patch": patch, **others})

# SPDX-License-Identifier: GPL-2.0-or-later
"""The state of live patches for Prometheus, in the text format that node_exporter's textfile
collector reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from suture.core.status import PatchStatus, Status


def exposition(status: Status) -> str:
    """Write one line for each value, with the help and type that the format requires."""
    return "".join(f"{line}\n" for line in _lines(status))


def _lines(status: Status) -> Iterator[str]:
    yield from _family(
        "suture_verdict", "Exit status of 'suture status --check'.", [("", status.verdict)]
    )
    for name, about, attribute in (
        (
            "suture_livepatch_enabled",
            "1 if tasks run the live patch or are switching to it.",
            "enabled",
        ),
        (
            "suture_livepatch_transition",
            "1 while tasks are switching to or from the live patch.",
            "transition",
        ),
    ):
        values = [
            (_label(item.name), int(getattr(item.patch, attribute))) for item in status.patches
        ]
        yield from _family(name, about, values)
    behind = [
        (_label(item.name), item.count.total - item.count.moved)
        for item in status.patches
        if item.count
    ]
    yield from _family("suture_livepatch_tasks_behind", "Tasks that have not switched yet.", behind)
    yield from _family(
        "suture_left_over_modules",
        "Modules of live patches that are out of force.",
        [("", len(status.left_over))],
    )
    yield from _family(
        "suture_staying_modules",
        "Modules of live patches that are out of force and stay in memory until the reboot.",
        [("", len(status.staying))],
    )
    yield from _family(
        "suture_interrupted_changes", "Interrupted commands.", [("", len(status.interrupted))]
    )
    yield from _family(
        "suture_drift",
        "Live patches that the next boot would load differently.",
        [("", len(status.drift))],
    )
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
        counts = [(_label(item.name), _hindered(status, item, in_force)) for item in status.patches]
        yield from _family(name, about, counts)
    if status.last_change:
        seconds = int(datetime.fromisoformat(status.last_change).timestamp())
        yield from _family(
            "suture_last_change_timestamp_seconds",
            "Time of the last change of live patches.",
            [("", seconds)],
        )


def _hindered(status: Status, item: PatchStatus, in_force: bool) -> int:
    found = [one for one in status.hindrances if one.patch == item.patch.name]
    return sum(bool(one.direct) if in_force else not one.is_in_force for one in found)


def _family(name: str, about: str, values: list[tuple[str, int]]) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} gauge"
    for label, value in values:
        yield f"{name}{label} {int(value)}"


def _label(patch: str) -> str:
    escaped = patch.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{patch="{escaped}"}}'

# SPDX-License-Identifier: GPL-2.0-or-later
"""What was measured, as a document and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.measure import Run
from suture.cli.output import Human, in_parts, table

MEGABYTE = 10**6
PEAK_TARGET = 500 * MEGABYTE
INDENT = "  "


@dataclass(frozen=True, slots=True)
class Measured:
    """One thing that was done so many times.

    :ivar target: how many seconds it may take at most; None where there is nothing to be met.
    """

    name: str
    what: str
    runs: tuple[Run, ...]
    target: float | None = None

    @property
    def walls(self) -> tuple[float, ...]:
        return tuple(run.wall for run in self.runs)

    @property
    def met(self) -> bool | None:
        """Whether every run kept to the target."""
        return None if self.target is None else max(self.walls) <= self.target

    @property
    def peak(self) -> int:
        return max(run.peak for run in self.runs)

    def shares(self) -> tuple[tuple[str, float, float], ...]:
        """The steps with median seconds and share of the median run, a part indented below its
        whole."""
        seconds: dict[str, list[float]] = {}
        for run in self.runs:
            for step in run.shares:
                seconds.setdefault(INDENT * step.depth + step.name, []).append(step.seconds)
        whole = median(self.walls)
        return tuple(
            (name, median(values), median(values) / whole) for name, values in seconds.items()
        )


@dataclass(frozen=True, slots=True)
class Report:
    """:ivar floor: the bare compiler, once for the original and once for the patched file."""

    machine: Mapping[str, str]
    release: str
    measured: tuple[Measured, ...]
    floor: Measured

    @property
    def ratio(self) -> float | None:
        """A warm build's time over the floor's; None where none was measured."""
        warm = next((one for one in self.measured if one.name == "warm"), None)
        return None if warm is None else median(warm.walls) / median(self.floor.walls)

    @property
    def peak(self) -> int:
        return max(one.peak for one in self.measured)

    def document(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "machine": dict(self.machine),
            "release": self.release,
            "measured": [_document(one) for one in (*self.measured, self.floor)],
            "warm_over_floor": self.ratio,
            "peak_bytes": self.peak,
            "peak_target_bytes": PEAK_TARGET,
        }

    def for_people(self) -> Human:
        ratio = (
            f"A warm build takes {self.ratio:.1f} times the floor.\n"
            if self.ratio is not None
            else ""
        )
        return in_parts(
            table(("machine", ""), [*self.machine.items(), ("target", self.release)]),
            "",
            table(
                ("", "what", "runs", "min", "median", "max", "CPU", "at most", ""), self._times()
            ),
            f"\n{ratio}{self._memory()}",
            *(part for one in self.measured for part in ("", _share_table(one))),
        )

    def _times(self) -> list[tuple[str, ...]]:
        return [
            (
                one.name,
                one.what,
                str(len(one.runs)),
                *(
                    f"{seconds:.2f} s"
                    for seconds in (min(one.walls), median(one.walls), max(one.walls))
                ),
                f"{median(run.cpu for run in one.runs):.2f} s",
                "" if one.target is None else f"{one.target:.0f} s",
                _verdict(one.met),
            )
            for one in (*self.measured, self.floor)
        ]

    def _memory(self) -> str:
        peak, target, met = (
            _megabytes(self.peak),
            _megabytes(PEAK_TARGET),
            _verdict(self.peak <= PEAK_TARGET),
        )
        return f"Peak memory of the Python process: {peak}, at most {target} ({met})."


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f} MB"


def _verdict(met: bool | None) -> str:
    return "" if met is None else "met" if met else "MISSED"


def _share_table(one: Measured) -> Human:
    rows: Sequence[tuple[str, ...]] = [
        (name, f"{seconds:.2f} s", f"{100 * share:.0f} %") for name, seconds, share in one.shares()
    ]
    return table((one.name, "median", "share"), rows)


def _document(one: Measured) -> dict[str, object]:
    return {
        "name": one.name,
        "what": one.what,
        "target_seconds": one.target,
        "met": one.met,
        "min": min(one.walls),
        "median": median(one.walls),
        "max": max(one.walls),
        "runs": one.runs,
        "shares": [
            {"step": name.strip(), "seconds": s, "share": share} for name, s, share in one.shares()
        ],
    }

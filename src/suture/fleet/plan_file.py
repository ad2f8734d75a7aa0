# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads plans of rollouts from TOML, and refuses all that could mean something else than it says.

::

    patch = "fix"
    patience = "24h"

    [[wave]]
    ring = "canary"
    soak = "30m"
    [[wave]]
    percent = 5
    soak = "1h"
    [[wave]]
    percent = 100

    [gate]
    reporting = ">= 95%"
    failed = ["<= 0.5%", "<= 20"]
    alerts = ["HostDown"]
    query = ['sum(increase(node_vmstat_oom_kill[10m])) < 3']

    [fail]
    action = "roll back"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, NoReturn

from suture.errors import PLAN_WRONG, Refusal
from suture.fleet.plan import MOST_FAILED, FailAction, RolloutGate, RolloutPlan, Wave
from suture.fleet.semaphore import GROUP

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"(?:\d{1,6}d)?(?:\d{1,6}h)?(?:\d{1,6}m)?(?:\d{1,6}s)?")
LONGEST = 366 * 86_400.0

LIMIT = re.compile(r"(?P<sign>[<>]=)\s*(?P<number>\d{1,9}(?:\.\d{1,6})?)\s*(?P<percent>%?)")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

MOST_WAVES = 100


def parse(text: str, where: str) -> RolloutPlan:
    """Read a plan.

    :param where: the file it came from.
    :raises Refusal: ``plan-wrong``
    """
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number that is too long for int()
        raise Refusal(PLAN_WRONG, where, str(error) or "is nested too deeply") from error
    return _PlanReader(where).plan(found)


class _PlanReader:
    """Reads tables, and says where in which file something is wrong."""

    def __init__(self, where: str) -> None:
        self._where = where

    def plan(self, found: Mapping[str, Any]) -> RolloutPlan:
        """Return the plan of the whole document."""
        self._known("", found, ("patch", "patience", "salt", "wave", "gate", "fail"))
        waves = found.get("wave")
        if not isinstance(waves, list) or not 1 <= len(waves) <= MOST_WAVES:
            self._refuse("wave", f"there are to be 1 to {MOST_WAVES} tables [[wave]]")
        fail = self._table("fail", found.get("fail", {}))
        self._known("fail", fail, ("action",))
        action = fail.get("action", FailAction.HALT.value)
        if action not in [one.value for one in FailAction]:
            self._refuse("fail.action", f"{action!r} is neither 'halt' nor 'roll back'")
        patch = self._name("patch", found.get("patch"))
        gate = self._gate(self._table("gate", found.get("gate", {})))
        return RolloutPlan(
            patch,
            self._waves(waves, gate.silent_after),
            gate,
            FailAction(action),
            self._duration("patience", found.get("patience", "24h")),
            self._name("salt", found.get("salt", patch)),
        )

    def _waves(self, waves: list[Any], silent_after: float) -> tuple[Wave, ...]:
        made: list[Wave] = []
        for number, table in enumerate(waves, start=1):
            wave = self._wave(f"wave {number}", self._table(f"wave {number}", table))
            if wave.soak < silent_after:
                found = "is less than gate.silent_after: hosts that it kills would not be missed"
                self._refuse(f"wave {number}.soak", found)
            before = [one.percent for one in made]
            if wave.percent and wave.percent <= max(before, default=0.0):
                self._refuse(f"wave {number}.percent", "is not more than an earlier wave has")
            if not wave.percent and (wave.ring, wave.group) in [
                (one.ring, one.group) for one in made
            ]:
                self._refuse(f"wave {number}", "an earlier wave has the same hosts")
            made.append(wave)
        return tuple(made)

    def _wave(self, where: str, table: Mapping[str, Any]) -> Wave:
        self._known(where, table, ("name", "ring", "percent", "group", "soak"))
        chosen = [key for key in ("ring", "percent", "group") if key in table]
        if len(chosen) != 1:
            said = " and ".join(chosen) or "none"
            self._refuse(where, f"has {said} of ring, percent and group; exactly one says who")
        soak = self._duration(f"{where}.soak", table.get("soak", "30m"))
        if chosen == ["percent"]:
            percent = table["percent"]
            if isinstance(percent, bool) or not isinstance(percent, (int, float)):
                self._refuse(f"{where}.percent", f"{percent!r} is no number")
            if not 0.01 <= percent <= 100:
                self._refuse(f"{where}.percent", f"{percent} is not between 0.01 and 100")
            named = f"{percent:g} %"
            return Wave(self._title(where, table, named), percent=float(percent), soak=soak)
        word = self._name(f"{where}.{chosen[0]}", table[chosen[0]])
        name = self._title(where, table, word)
        ring, group = (word, "") if chosen == ["ring"] else ("", word)
        return Wave(name, ring=ring, group=group, soak=soak)

    def _title(self, where: str, table: Mapping[str, Any], otherwise: str) -> str:
        name = table.get("name", otherwise)
        if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name) <= 128:
            self._refuse(f"{where}.name", "is to be a line of text")
        return str(name)

    def _gate(self, table: Mapping[str, Any]) -> RolloutGate:
        keys = ("reporting", "adopted", "failed", "transition", "complaints", "crashes")
        self._known("gate", table, (*keys, "alerts", "query", "silent_after", "blind"))
        usual = RolloutGate()
        share, number = self._failed(table.get("failed", []), usual)
        return RolloutGate(
            self._share("gate.reporting", table.get("reporting"), usual.reporting),
            self._share("gate.adopted", table.get("adopted"), usual.adopted),
            share,
            number,
            self._seconds("gate.transition", table.get("transition")),
            self._number("gate.complaints", table.get("complaints"), usual.complaints),
            self._number("gate.crashes", table.get("crashes"), usual.crashes),
            self._texts("gate.alerts", table.get("alerts", [])),
            self._texts("gate.query", table.get("query", [])),
            self._duration("gate.silent_after", table.get("silent_after", "15m")),
            self._duration("gate.blind", table.get("blind", "10m")),
        )

    def _failed(self, found: Any, usual: RolloutGate) -> tuple[float, int]:
        share, number = usual.failed_share, usual.failed_number
        for one in self._texts("gate.failed", [found] if isinstance(found, str) else found):
            sign, value, is_percent = self._limit("gate.failed", one)
            if sign != "<=" or (not is_percent and value != int(value)):
                self._refuse("gate.failed", f"{one!r} is not of the form '<= 0.5%' or '<= 20'")
            if is_percent:
                share = value / 100
            else:
                number = int(value)
        if number > MOST_FAILED:
            self._refuse("gate.failed", f"more than {MOST_FAILED} hosts may not fail")
        return share, number

    def _share(self, where: str, found: Any, usual: float) -> float:
        if found is None:
            return usual
        sign, value, is_percent = self._limit(where, found)
        if sign != ">=" or not is_percent or not 0 < value <= 100:
            self._refuse(where, f"{found!r} is not of the form '>= 95%'")
        return value / 100

    def _number(self, where: str, found: Any, usual: int | None) -> int | None:
        if found is None or found == "any":
            return usual if found is None else None
        sign, value, is_percent = self._limit(where, found)
        if sign != "<=" or is_percent or value != int(value):
            self._refuse(where, f"{found!r} is neither of the form '<= 3' nor 'any'")
        return int(value)

    def _limit(self, where: str, found: Any) -> tuple[str, float, bool]:
        match = LIMIT.fullmatch(found.strip()) if isinstance(found, str) else None
        if match is None:
            self._refuse(where, f"{found!r} is no limit such as '>= 95%' or '<= 3'")
        return match["sign"], float(match["number"]), bool(match["percent"])

    def _seconds(self, where: str, found: Any) -> float | None:
        if found is None:
            return None
        sign, _, time = found.partition(" ") if isinstance(found, str) else ("", "", "")
        if sign != "<=":
            self._refuse(where, f"{found!r} is not of the form '<= 60s'")
        return self._duration(where, time.strip())

    def _duration(self, where: str, found: Any) -> float:
        if not isinstance(found, str) or not found or not DURATION.fullmatch(found):
            self._refuse(where, f"{found!r} is no time such as '30m', '1h30m' or '7d'")
        parts = re.findall(r"(\d+)([dhms])", found)
        seconds = float(sum(int(number) * UNITS[unit] for number, unit in parts))
        if seconds > LONGEST:
            self._refuse(where, f"{found!r} is more than a year")
        return seconds

    def _name(self, where: str, found: Any) -> str:
        pattern = NAME if where in ("patch", "salt") else GROUP
        if not isinstance(found, str) or not pattern.fullmatch(found):
            said = "is missing" if found is None else f"{found!r} is no name"
            self._refuse(where, said)
        return str(found)

    def _texts(self, where: str, found: Any) -> tuple[str, ...]:
        if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
            self._refuse(where, "is to be a list of texts")
        return tuple(found)

    def _table(self, where: str, found: Any) -> Mapping[str, Any]:
        if not isinstance(found, dict):
            self._refuse(where, "is to be a table")
        return dict(found)

    def _known(self, where: str, found: Mapping[str, Any], keys: tuple[str, ...]) -> None:
        unknown = [key for key in found if key not in keys]
        if unknown:
            from difflib import get_close_matches

            guess = get_close_matches(unknown[0], keys, 1)
            meant = f"; is {guess[0]} meant?" if guess else f"; there are {', '.join(keys)}"
            self._refuse(where or "the plan", f"{unknown[0]!r} is not known there{meant}")

    def _refuse(self, where: str, found: str) -> NoReturn:
        raise Refusal(PLAN_WRONG, f"{self._where}: {where}", found)

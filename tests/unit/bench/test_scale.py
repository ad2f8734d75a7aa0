# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``python -m bench.scale`` measures: that the objects are what they should be, and that the
cost stays level."""

from __future__ import annotations

from pathlib import Path

from bench.generate import generate
from bench.scale import LEVEL, Cost, measure, table
from tests.unit.toolchain import tool


def test_generated_objects_have_as_many_functions_and_differ_in_a_few(tmp_path: Path) -> None:
    original, patched = generate(200, 4, tmp_path)
    symbols = tool("readelf", "-sW", original)
    assert symbols.count(" FUNC ") == 200
    assert symbols.count(" OBJECT ") == 200
    assert "__bug_table" in tool("readelf", "-SW", original)
    strings = [tool("strings", "-a", path) for path in (original, patched)]
    assert [text.count("patched ") for text in strings] == [0, 4]


def test_the_changed_functions_are_found(tmp_path: Path) -> None:
    cost = measure("two hundred", *generate(200, 4, tmp_path))
    assert (cost.functions, cost.changed) == (200, 4)


def test_comparing_does_not_cost_more_with_every_function(tmp_path: Path) -> None:
    """Counted in calls, which other work on the machine does not change."""
    few, many = (calls(count, tmp_path) for count in (200, 1600))
    assert many / 1600 <= LEVEL * few / 200


def calls(count: int, directory: Path) -> int:
    import cProfile
    import pstats

    pair = generate(count, 4, directory)
    profile = cProfile.Profile()
    profile.runcall(measure, "counted", *pair)
    return int(vars(pstats.Stats(profile))["total_calls"])


def test_the_table_has_the_cost_of_each_function() -> None:
    text = table([Cost("generated", 1000, 5, 0.1, 0.3, 0.1, 40_000_000)])
    assert (
        " ".join(text.splitlines()[1].split()) == "generated 1,000 5 0.10s 0.30s 0.10s 500 us 40 MB"
    )

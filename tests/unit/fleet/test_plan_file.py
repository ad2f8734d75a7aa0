# SPDX-License-Identifier: GPL-2.0-or-later
"""Plans say one thing, or are refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.fleet.plan import FailAction, RolloutGate, RolloutPlan, Wave
from suture.fleet.plan_file import parse
from tests.examples import shows

WHOLE = """
patch = "fix"
patience = "2d"
salt = "spring"

[[wave]]
name = "the brave"
ring = "canary"
soak = "1h30m"
[[wave]]
group = "web"
soak = "20m"
[[wave]]
percent = 0.5
[[wave]]
percent = 100

[gate]
reporting = ">= 98%"
adopted = ">= 80%"
failed = ["<= 0.5%", "<= 7"]
transition = "<= 60s"
complaints = "any"
crashes = "<= 2"
alerts = ["HostDown"]
query = ["sum(up) > 3"]
silent_after = "20m"
blind = "5m"

[fail]
action = "roll back"
"""


def test_all_that_can_be_said() -> None:
    assert parse(WHOLE, "plan.toml") == RolloutPlan(
        "fix",
        (
            Wave("the brave", ring="canary", soak=5400),
            Wave("web", group="web", soak=1200),
            Wave("0.5 %", percent=0.5),
            Wave("100 %", percent=100),
        ),
        RolloutGate(
            0.98, 0.8, 0.005, 7, 60.0, None, 2, ("HostDown",), ("sum(up) > 3",), 1200.0, 300.0
        ),
        FailAction.ROLL_BACK,
        172_800.0,
        "spring",
    )


def test_the_plan_in_the_documentation() -> None:
    """It says what holds without its lines, but for those that are named there."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "fleet.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    plan = parse(example, "docs/fleet.md")
    unsaid = parse('patch = "fix"\n[[wave]]\npercent = 100\n', "plan.toml")
    gate = replace(plan.gate, transition=None, alerts=(), queries=())
    assert gate == unsaid.gate
    assert (plan.patience, plan.salt) == (unsaid.patience, unsaid.salt)
    assert unsaid.action is FailAction.HALT
    assert unsaid.waves[0].soak == plan.waves[2].soak == 1800


def test_little_is_enough() -> None:
    found = parse('patch = "fix"\n[[wave]]\npercent = 100\n', "plan.toml")
    assert found == RolloutPlan("fix", (Wave("100 %", percent=100),), salt="fix")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('patch = "fix"', "", "patch: is missing"),
        ('patch = "fix"', 'patch = "../fix"', "patch: '../fix' is no name"),
        ('patch = "fix"', "patch = 3", "patch: 3 is no name"),
        ('patch = "fix"', 'patch = "fix"\nsoak = "1h"', "the plan: 'soak' is not known there"),
        ("[gate]", "[gates]", "'gates' is not known there; is gate meant?"),
        ("reporting", "reported", "gate: 'reported' is not known there; is reporting meant?"),
        ('"2d"', '"2 d"', "patience: '2 d' is no time"),
        ('"2d"', '""', "patience: '' is no time"),
        ('"2d"', "2", "patience: 2 is no time"),
        ('"2d"', '"999d"', "more than a year"),
        ('"2d"', '"2d', "Illegal character"),
        ('ring = "canary"', "", "has none of ring, percent and group"),
        ('ring = "canary"', 'ring = "canary"\npercent = 3', "has ring and percent of"),
        ('ring = "canary"', 'ring = ""', "wave 1.ring: '' is no name"),
        ('ring = "canary"', 'group = "web"', "wave 2: an earlier wave has the same hosts"),
        ("percent = 100", "percent = 0.5", "wave 4.percent: is not more than an earlier wave has"),
        ("percent = 100", "percent = 101", "is not between 0.01 and 100"),
        ("percent = 100", "percent = nan", "is not between 0.01 and 100"),
        ("percent = 100", "percent = true", "True is no number"),
        ("percent = 100", 'percent = "100"', "'100' is no number"),
        ('soak = "20m"', 'soak = "19m59s"', "wave 2.soak: is less than gate.silent_after"),
        ('name = "the brave"', 'name = "a\\nb"', "wave 1.name: is to be a line of text"),
        ('">= 98%"', '"> 98%"', "gate.reporting: '> 98%' is no limit"),
        ('">= 98%"', '"<= 98%"', "gate.reporting: '<= 98%' is not of the form '>= 95%'"),
        ('">= 98%"', '">= 98"', "gate.reporting: '>= 98' is not of the form"),
        ('">= 98%"', '">= 0%"', "gate.reporting: '>= 0%' is not of the form"),
        ('"<= 7"', '"<= 7.5"', "gate.failed: '<= 7.5' is not of the form"),
        ('"<= 7"', '"<= 20000"', "gate.failed: more than 10000 hosts may not fail"),
        ('"<= 60s"', '"60s"', "gate.transition: '60s' is not of the form '<= 60s'"),
        ('"any"', '"some"', "gate.complaints: 'some' is no limit"),
        ('"<= 2"', '"<= 2%"', "gate.crashes: '<= 2%' is neither of the form"),
        ('["HostDown"]', '"HostDown"', "gate.alerts: is to be a list of texts"),
        ('"roll back"', '"rollback"', "'rollback' is neither 'halt' nor 'roll back'"),
    ],
)
def test_what_is_refused(old: str, new: str, said: str) -> None:
    assert old in WHOLE
    with pytest.raises(Refusal, match="plan-wrong") as caught:
        parse(WHOLE.replace(old, new), "plan.toml")
    assert said in str(caught.value)
    if new == "reported":
        shows(caught.value, "plan-wrong")


@pytest.mark.parametrize("text", ["", 'patch = "fix"', "wave = 3", 'patch = "fix"\nwave = [1]'])
def test_no_waves(text: str) -> None:
    with pytest.raises(Refusal, match="plan-wrong"):
        parse(text, "plan.toml")


VALUES = st.recursive(
    st.one_of(
        st.integers(-5, 200).map(str),
        st.sampled_from(['"fix"', '"1h"', '">= 95%"', "true", "0.5", "[]", "1979-05-27", '""']),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
        inner.map(lambda value: f"{{a = {value}}}"),
    ),
    max_leaves=4,
)
KEYS = st.sampled_from(
    ["patch", "patience", "gate", "gate.failed", "gate.alerts", "wave", "fail", "fail.action"]
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_whatever_is_written_there(found: dict[str, str]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in found.items())
    for each in (text, f'patch = "fix"\n{text}\n[[wave]]\npercent = 100\n'):
        try:
            parse(each, "plan.toml")
        except Refusal as refusal:
            if refusal.code != "plan-wrong":
                raise

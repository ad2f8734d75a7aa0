# SPDX-License-Identifier: GPL-2.0-or-later
"""Findings, judged by what the author accepts."""

from __future__ import annotations

import click
import pytest

from suture.builder.findings import judged, recorded, refuse_unused
from suture.cli.acceptances import acceptances
from suture.errors import STATE_RENAMED, Acceptance, Finding, Level, Refusal
from tests.examples import shows

RENAMED = Finding(STATE_RENAMED, "misc_devices", "drivers/char/misc.c", "misc_list goes")
OTHER = Finding(STATE_RENAMED, "other", "fs/other.c", "another goes")
QUESTION = Finding(STATE_RENAMED, "asked", "fs/asked.c", "is it so?", level=Level.NOTE)
BECAUSE = Acceptance("state-renamed", "misc_devices", "the list is empty on these hosts")


def test_the_first_is_refused_and_the_others_are_named_with_it() -> None:
    with pytest.raises(Refusal) as refused:
        judged([RENAMED, OTHER, QUESTION], [])
    assert refused.value.where == "drivers/char/misc.c"
    assert "--accept state-renamed:misc_devices --because" in refused.value.remedy
    assert refused.value.evidence == ("also error[state-renamed]: fs/other.c: another goes",)


def test_what_is_accepted_or_only_asked_stops_nothing() -> None:
    kept = judged([RENAMED, QUESTION, RENAMED], [BECAUSE])
    assert [(one.name, one.because) for one in kept] == [
        ("misc_devices", "the list is empty on these hosts"),
        ("asked", ""),
    ]
    assert "accepted: the list is empty" in str(recorded(kept[0]))


def test_an_acceptance_of_what_is_not_there_is_refused() -> None:
    refuse_unused([RENAMED], [BECAUSE])
    with pytest.raises(Refusal) as refused:
        refuse_unused([OTHER], [BECAUSE])
    shows(refused.value, "accepted-not-found")
    assert refused.value.evidence == ("it finds state-renamed:other",)


def test_each_acceptance_has_a_reason() -> None:
    two = acceptances(["state-renamed:a", "layout-changed:b"], ["one", "two"])
    assert [(one.name, one.because) for one in two] == [("a", "one"), ("b", "two")]
    assert [one.because for one in acceptances(["a-b:c", "a-b:d"], ["both"])] == ["both"] * 2
    assert acceptances((), ()) == ()
    for wrong in ((["a-b:c"], ()), ((), ["why"]), (["a-b:c"], [" "]), (["a-b"], ["why"])):
        with pytest.raises(click.BadParameter):
            acceptances(*wrong)

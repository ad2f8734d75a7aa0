# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is in a file that Suture reads: it is read, or refused with a code; never a traceback.

``make fuzz`` runs the same for much longer, and from another start each time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suture.errors import INTERNAL_ERROR, Refusal
from tests.unit.fuzz.damage import Edit, LineEdit, edits, line_edits
from tests.unit.fuzz.subjects import SUBJECTS, Subject

LONG = int(os.environ.get("SUTURE_FUZZ_EXAMPLES", "0"))
"""How many files of each kind; without it, few and always the same."""


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_a_good_file_is_read(subject: Subject) -> None:
    for good in subject.make():
        assert refusal_of(subject, good) in subject.expected


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
@settings(
    max_examples=LONG or 50,
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(number=st.integers(0, 15), changes=edits, lines=line_edits)
def test_a_damaged_file_is_read_or_refused(
    subject: Subject, number: int, changes: Sequence[Edit], lines: Sequence[LineEdit]
) -> None:
    goods = subject.make()
    data = subject.damaged(goods[number % len(goods)], changes, lines)
    assert refusal_of(subject, data) != INTERNAL_ERROR.code


def refusal_of(subject: Subject, data: bytes) -> str | None:
    """The code of the refusal that a file ends in; everything else that is raised fails the
    test."""
    try:
        subject.use(data)
    except Refusal as refusal:
        str(refusal).encode("utf-8", "surrogateescape")  # as it is printed
        return refusal.code
    return None

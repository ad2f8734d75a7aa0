# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of a session in the stream of what it writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.lab.marks import MarkedStream

MARK = "suture-end-1"
END = b"\0suture-end-1 42;"


@given(st.binary(), st.lists(st.integers(1, 5), max_size=40))
def test_output_passes_unchanged_however_it_is_cut(output: bytes, sizes: list[int]) -> None:
    stream = MarkedStream(MARK)
    data, passed = output + END + b"of a process left behind", b""
    for size in sizes:
        passed += stream.feed(data[:size])
        data = data[size:]
    passed += stream.feed(data)
    assert (passed, stream.status) == (output, 42)


@pytest.mark.parametrize("begun", [b"\0", b"\0suture-e", b"\0suture-end-1 4"])
def test_what_only_begins_as_the_mark_is_held_back_and_given_at_the_end(begun: bytes) -> None:
    stream = MarkedStream(MARK)
    assert stream.feed(b"text" + begun) == b"text"
    assert stream.rest() == begun
    assert stream.status is None


def test_nothing_is_held_back_of_other_output() -> None:
    stream = MarkedStream(MARK)
    assert stream.feed(b"prompt# ") == b"prompt# "
    assert stream.feed(b"a\0b\0suture-ending") == b"a\0b\0suture-ending"

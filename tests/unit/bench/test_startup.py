# SPDX-License-Identifier: GPL-2.0-or-later
"""The times with which commands start."""

from __future__ import annotations

from bench import startup


def test_each_command_is_compared_with_python_alone() -> None:
    python, *others = startup.measure(1)
    assert (python.command, python.more) == (startup.PYTHON, 0)
    assert [one.command for one in others] == list(startup.COMMANDS)[1:]
    assert all(one.more == one.cpu - python.cpu for one in others)
    assert [one.command for one in others if one.limit is not None] == [startup.STATUS]

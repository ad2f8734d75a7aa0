# SPDX-License-Identifier: GPL-2.0-or-later
"""The times of a patch for several kernels."""

from __future__ import annotations

from bench.matrix import FLOOR, IN_TURN, SIDE_BY_SIDE, MatrixTimes
from bench.measure import Run


def test_each_way_is_compared_with_the_compiler() -> None:
    times = MatrixTimes(("6.1.0-50-amd64", "6.1.0-55-amd64"), {})
    times.runs[SIDE_BY_SIDE] += [Run(6, 9), Run(5, 10), Run(7, 11)]
    times.runs[IN_TURN] += [Run(10, 10)]
    times.runs[FLOOR] += [Run(2.5, 2)]
    assert times.rows() == [
        (SIDE_BY_SIDE, "6.0 s", "2.4", "10.0 s", "5.0"),
        (IN_TURN, "10.0 s", "4.0", "10.0 s", "5.0"),
        (FLOOR, "2.5 s", "1.0", "2.0 s", "1.0"),
    ]

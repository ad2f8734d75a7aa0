# SPDX-License-Identifier: GPL-2.0-or-later
"""The options that choose kernels."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from suture.cli.target import chosen_several
from suture.errors import Refusal


@pytest.mark.parametrize(
    "kernels", [["6.1.0-1-amd64"], ["6.1.0-1-amd64", "6.1.0-2-amd64"], ["6.*"]]
)
def test_a_tree_and_a_release_exclude_each_other(kernels: list[str], tmp_path: Path) -> None:
    with pytest.raises(click.BadParameter, match="--kernel or --kernel-dir, not both"):
        chosen_several(kernels, tmp_path)


def test_a_tree_is_there_and_need_not_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:  # by what the tree lacks
        chosen_several((), tmp_path, fetch=True)
    assert caught.value.where.startswith(str(tmp_path))

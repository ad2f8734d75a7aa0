# SPDX-License-Identifier: GPL-2.0-or-later
"""A live patch that is signed as it is built."""

from __future__ import annotations

import json
import subprocess

from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.patches import Edit, diff


def test_a_live_patch_is_signed_as_it_is_built_or_not_built(
    place: Place, workspace: Workspace
) -> None:
    place.patch(
        diff(workspace.tree, Edit("fs/proc/meminfo.c", '"MemTotal:       "', '"Signed:         "'))
    )
    made = place.run("key", "new", ".", "--common-name", "Builder", "--json")
    assert json.loads(made.stdout)["certificate"] == "suture.pem"
    assert place.run("key", "new", "others").returncode == 0
    build = place.build("my.patch", "--name", "signed", "--sign-key", "suture.key")
    error = place.refused(*build, "--sign-certificate", "others/suture.pem")
    assert (error.code, error.where) == ("key-mismatch", "suture.key")
    done = place.run(*build, "--sign-certificate", "suture.pem")
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        ["/sbin/modinfo", "-F", "signer", place.directory / "signed.ko"], capture_output=True
    )
    assert shown.stdout == b"Builder\n"
    assert "signed, a live patch for" in place.run("inspect", "signed.ko").stdout
    assert place.run(*build).returncode == 2, "no certificate"

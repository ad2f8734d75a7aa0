# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host is told to follow, and what it remembers: read as meant, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from suture.core import following
from suture.core.following import (
    AsidePatch,
    FollowedPatch,
    Following,
    FollowingFile,
    FollowReport,
    LoadAttempt,
)
from suture.errors import Refusal
from suture.repo import settings
from suture.repo.settings import FollowSettings
from tests.examples import shows

ROOT = b'{"signed": {"_type": "root"}, "signatures": []}'
GOOD = 'url = "https://patches.example.org/k"\nring = "canary"\n'


def place(tmp_path: Path, text: str | None = GOOD, root: bytes | None = ROOT) -> Path:
    (tmp_path / "etc").mkdir(mode=0o755, exist_ok=True)
    if text is not None:
        (tmp_path / "etc/follow.toml").write_text(text)
    if root is not None:
        (tmp_path / "etc/root.json").write_bytes(root)
    return tmp_path / "etc/follow.toml"


def read(tmp_path: Path, text: str | None = GOOD, root: bytes | None = ROOT) -> FollowSettings:
    path = place(tmp_path, text, root)
    return settings.read(path, anchor=tmp_path, owner=os.geteuid())


def test_settings_are_read_as_they_are_written(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.ring, found.at_boot, found.delay) == ("canary", True, timedelta())
    other = replace(found, delay=timedelta(days=2), at_boot=False, proxy="http://p:1", timeout=5.5)
    text = settings.written(other)
    assert settings.parse(text, ROOT, "x") == other


WRONG = (
    "url = 1",
    "nothing",
    GOOD + "rings = 2\n",
    GOOD + 'delay = "soon"\n',
    GOOD + "delay = 3\n",
    GOOD + 'at-boot = "yes"\n',
    GOOD + "timeout = 0\n",
    GOOD + "timeout = nan\n",
    GOOD + "timeout = true\n",
    GOOD + 'proxy = "socks"\n',
    'url = "ftp://x/y"\nring = "canary"\n',
    'url = "https:///y"\nring = "canary"\n',
    'url = "https://[x"\nring = "canary"\n',
    'url = "file:"\nring = "canary"\n',
    'url = "https://x/ y"\nring = "canary"\n',
    'url = "https://x"\nring = "../x"\n',
    'url = "https://x"\n',
)


@pytest.mark.parametrize("text", WRONG)
def test_settings_that_could_mean_something_else_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refusal) as refusal:
        read(tmp_path, text)
    assert refusal.value.code == "follow-settings-wrong"
    if text == GOOD + "rings = 2\n":
        shows(refusal.value, "follow-settings-wrong")


def test_a_root_that_is_none_is_refused(tmp_path: Path) -> None:
    for root in (b"", b"{}", b'{"signed": {"_type": "targets"}}'):
        with pytest.raises(Refusal, match="follow-settings-wrong"):
            read(tmp_path, root=root)


def test_a_host_that_follows_nothing_says_how_to_begin(tmp_path: Path) -> None:
    for text, root in ((None, ROOT), (GOOD, None)):
        with pytest.raises(Refusal) as refusal:
            read(tmp_path, text, root)
        assert refusal.value.code == "follow-not-set-up"
        (tmp_path / "etc/root.json").unlink(missing_ok=True)
    missing = Refusal(refusal.value.kind, "/etc/suture/follow.toml", "does not exist")
    shows(missing, "follow-not-set-up")


def test_settings_that_others_can_change_are_refused(tmp_path: Path) -> None:
    place(tmp_path).chmod(0o666)
    with pytest.raises(Refusal, match="path-untrusted"):
        settings.read(tmp_path / "etc/follow.toml", anchor=tmp_path, owner=os.geteuid())


WHOLE = Following(
    "https://x",
    "canary",
    "2026-01-01: a fair",
    "fix",
    FollowedPatch("6.1", "fix", "0" * 64, "ab"),
    LoadAttempt("0" * 64, "fix", "boot", 1),
    AsidePatch("0" * 64, "fix", "transition-timed-out", "3 tasks", "2026-01-01T00:00:00Z"),
    FollowReport("2026-01-01T00:00:00Z", "6.1", "fix", ("CVE-2026-1",), "2026-02-01"),
)


def file(tmp_path: Path) -> FollowingFile:
    return FollowingFile(tmp_path / "suture", tmp_path, os.geteuid())


def test_what_is_remembered_is_read_back(tmp_path: Path) -> None:
    assert file(tmp_path).read() == Following()
    for state in (WHOLE, Following()):
        file(tmp_path).write(state)
        assert file(tmp_path).read() == state


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    file(tmp_path).write(WHOLE)
    path = tmp_path / "suture" / following.STATE_NAME
    whole = json.loads(path.read_text())
    damaged = [b"", b"[]", b"{", path.read_bytes()[:50]]
    damaged += [json.dumps(whole | {name: 7}).encode() for name in whole]
    damaged += [json.dumps(whole | {"last": whole["last"] | {"missing_cves": [1]}}).encode()]
    for content in damaged:
        path.write_bytes(content or b" ")
        with pytest.raises(Refusal) as refusal:
            file(tmp_path).read()
        assert refusal.value.code == "follow-state-damaged"
    shows(refusal.value, "follow-state-damaged")


def test_without_the_extra_a_command_says_what_it_needs(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['tuf'] = sys.modules['securesystemslib'] = None\n"
        "from suture.cli.app import main\n"
        "sys.exit(main(['repo', 'status', '.']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    shows(done.stderr, "follow-extra-missing")


def test_status_and_its_like_start_without_what_asks_repositories() -> None:
    program = (
        "import sys\n"
        "import suture.core.status, suture.core.following, suture.core.metrics\n"
        "import suture.cli.app, suture.cli.status, suture.cli.follow, suture.cli.repo\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"tuf", "securesystemslib", "urllib3"}

# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/repository.md: what those who publish do, as it is printed there; tests/lab/test_follow.py
does what hosts do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.core.test_replacing import RELEASE
from tests.unit.repo.site import Site, ToyHost, fix
from tests.walk import ShownCommand, comparable, steps

PAGE = Path(__file__).resolve().parents[3] / "docs/repository.md"
SHOWN = "6.1.0-50-amd64"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which all commands were run."""
    work = tmp_path_factory.mktemp("walk")
    (work / "livepatch_fix.ko").write_bytes(fix("livepatch_fix"))
    commands = 0
    for step in steps(PAGE.read_text(), {SHOWN: RELEASE}):
        assert isinstance(step, ShownCommand)
        commands += 1
        done = step.run(work)
        assert done.returncode == 0, (step.line, done.stderr)
        printed = step.printed.replace("5891b5b522d5df08...", _digest(work))
        assert comparable(done.stdout) == comparable(printed), step.line
    assert commands + PAGE.read_text().count("\nsuture follow") + 1 <= 10
    return work


def _digest(work: Path) -> str:
    import hashlib

    return f"{hashlib.sha256((work / 'livepatch_fix.ko').read_bytes()).hexdigest()[:16]}..."


def test_the_commands_of_the_page_make_a_repository_that_a_host_follows(
    walked: Path, tmp_path: Path
) -> None:
    site, host = Site(walked / "patches", {}), ToyHost(tmp_path / "host")
    assert host.follow(site, ring="all").loaded == "livepatch_fix"


def test_what_a_program_reads_of_a_repository(walked: Path) -> None:
    shown = ShownCommand("suture repo status patches --check --json", "").run(walked)
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    assert [role["role"] for role in document["roles"][:4]] == [
        *("root", "targets", "snapshot", "timestamp"),
    ]
    assert document["patches"][0]["name"] == "livepatch_fix"
    assert {choice["ring"] for choice in document["choices"]} == {"canary", "all"}


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("suture repo promote patches other --ring all --json", "patch-not-published"),
        ("suture repo promote patches --ring all --json", "usage-wrong"),
        ("suture repo promote patches livepatch_fix --ring all --percent nan --json", "usage-wrong"),
        ("suture repo halt patches --ring no --kernel 6.1 --json", "role-unknown"),
        ("suture repo publish patches keys/ring.pub --json", "object-malformed"),
        ("suture repo sign patches --key keys/ring.pub --json", "signing-key-unusable"),
        ("suture repo propose patches root --remove 00 --json", "role-unknown"),
        ("suture repo collect patches keys/ring.pub --json", "repository-damaged"),
        ("suture repo mirror file:///nonexistent copy --root keys/ring.pub --json", "metadata-untrusted"),
        ("suture repo init patches --root keys/ring.pub --targets keys/ring.pub --release "
         "keys/ring.pub --ring-key keys/ring.pub --online keys/ring.pub --json", "repository-exists"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_by_code(walked: Path, line: str, code: str) -> None:
    before = {path: path.read_bytes() for path in (walked / "patches").rglob("*.json")}
    done = ShownCommand(line, "").run(walked)
    assert done.returncode in (1, 2), done.stdout
    assert json.loads(done.stdout)["error"]["code"] == code
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in (walked / "patches").rglob("*.json")} == before

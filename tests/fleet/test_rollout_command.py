# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands, as operators have them: controllers on a real etcd, a real Prometheus, and hosts
that do what they are offered."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from suture.cli.app import main
from suture.fleet.hosts import HostState, place_of
from tests.fleet.observatory import Observatory, PlayedHost, answers, observatory, until
from tests.servers import etcd_cluster, free_port, running

PLAN = """
patch = "fix"
[[wave]]
ring = "canary"
soak = "4s"
[[wave]]
percent = 50
soak = "4s"
[[wave]]
percent = 100
soak = "4s"
[gate]
silent_after = "4s"
blind = "60s"
query = ['sum(up) > 0']
[fail]
action = "roll back"
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observatory]:
    with observatory(tmp_path_factory.mktemp("observatory")) as made:
        made.hosts.update({f"h{i}": PlayedHost("canary" if i < 2 else "") for i in range(8)})
        made.tell_prometheus()
        until(lambda: has_result(made, "count(suture_verdict) == 8"))
        yield made


def has_result(seen: Observatory, query: str) -> bool:
    url = f"{seen.prometheus}/api/v1/query?{urlencode({'query': query})}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bool(json.load(answer)["data"]["result"])


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with etcd_cluster(tmp_path_factory.mktemp("etcd"), 3) as members:
        yield ",".join(member.client for member in members)


@contextmanager
def following(seen: Observatory, offers: Path, bad: tuple[str, ...] = ()) -> Iterator[None]:
    """Let the hosts do what the file says, again and again; bad ones refuse."""
    ending = threading.Event()

    def follow() -> None:
        while not ending.wait(0.2):
            try:
                offer = json.loads((offers / "fix.json").read_text())
            except FileNotFoundError:
                continue
            for name, host in seen.hosts.items():
                if is_chosen(name, host, offer["unload"], offer["salt"]):
                    host.state = HostState.WITHOUT
                elif is_chosen(name, host, offer["load"], offer["salt"]) and not offer["held"]:
                    if name in bad:
                        host.refusals = {"stack-unsafe": 1}
                    else:
                        host.state = HostState.IN_FORCE

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def is_chosen(name: str, host: PlayedHost, waves: list[dict[str, object]], salt: str) -> bool:
    return any(
        (bool(host.ring) and wave.get("ring") == host.ring)
        or place_of(name, salt) < float(str(wave.get("percent", 0))) * 100
        for wave in waves
    )


@contextmanager
def control(
    directory: Path, etcd: str, seen: Observatory, *words: str
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "suture", "rollout", "control", "--state", etcd]
    command += ["--prometheus", seen.prometheus, "--alertmanager", seen.alertmanager]
    command += ["--offers", str(directory.parent / "offers"), "--interval", "0.5", *words]
    with running(command, directory) as process:
        yield process


def log(directory: Path) -> str:
    return (directory / "log").read_text()


@pytest.fixture
def operator(etcd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTURE_FLEET_STATE", etcd)


def status(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["rollout", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (one,) = found["rollouts"]
    return {**one, "leader": found["leader"]}


@pytest.mark.usefixtures("operator")
def test_another_controller_goes_on_and_a_bad_patch_is_rolled_back(
    etcd: str, seen: Observatory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, offers, port = tmp_path / "plan.toml", tmp_path / "offers", free_port()
    plan.write_text(PLAN)
    assert main(["rollout", "status"]) == 0
    assert "There are no rollouts" in capsys.readouterr().out
    assert main(["rollout", "start", str(plan)]) == 0
    assert capsys.readouterr().out == "fix has begun; it has 3 waves.\n"
    assert main(["rollout", "status"]) == 0
    assert "No controller leads" in capsys.readouterr().out
    assert main(["rollout", "start", str(plan)]) == 1
    assert "rollout-exists" in capsys.readouterr().err

    one, two = tmp_path / "one", tmp_path / "two"
    with following(seen, offers), control(one, etcd, seen) as first:
        until(lambda: "leads" in log(one) and "canary is offered it" in log(one))
        listen = ("--listen", f"127.0.0.1:{port}")
        with control(two, etcd, seen, *listen) as second:
            until(lambda: answers(f"http://127.0.0.1:{port}/-/healthy"))
            assert main(["rollout", "pause", "fix", "--because", "lunch"]) == 0
            assert "fix: running, paused; wave 1 of 3; by " in capsys.readouterr().out
            first.kill()
            first.wait()
            until(lambda: "leads" in log(two))
            assert main(["rollout", "resume", "fix"]) == 0
            capsys.readouterr()
            until(lambda: status(capsys)["phase"] == "done")
            assert main(["rollout", "watch", "fix"]) == 0
            assert "fix: done; wave 3 of 3" in capsys.readouterr().out
            check = f"curl -s http://127.0.0.1:{port}/metrics | promtool check metrics"
            done = subprocess.run(check, shell=True, capture_output=True, check=False)
            assert (done.returncode, done.stdout) == (0, b"")
            second.terminate()
            assert second.wait(60) == 0
    assert all(host.state is HostState.IN_FORCE for host in seen.hosts.values())
    offered = re.findall(r"fix: (.*) is offered it", log(one) + log(two))
    assert offered == ["canary", "50 %", "100 %"]

    # Once more, with canaries that refuse it.
    (offers / "fix.json").unlink()
    for host in seen.hosts.values():
        host.state = HostState.WITHOUT
    # Controllers ask what was seen a moment ago, which is still about the first time.
    until(lambda: not has_result(seen, "last_over_time(suture_livepatch_enabled[30s])"))
    assert main(["rollout", "start", str(plan)]) == 0
    capsys.readouterr()
    three = tmp_path / "three"
    with following(seen, offers, bad=("h0",)), control(three, etcd, seen):
        until(lambda: status(capsys)["phase"] == "rolled back")
    why = str(status(capsys)["why"])
    assert re.search(r"\d of 2 hosts( up to canary)? have failed", why)
    assert "50 %" not in log(three)
    assert not any(host.state is HostState.IN_FORCE for host in seen.hosts.values())
    assert main(["rollout", "status"]) == 0
    row = r"fix +rolled back +canary \(1 of 3\) +0 of 2 +0 +1 "
    assert re.search(row, capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["start", "/no/such/plan.toml"], 1, "file-unreadable"),
        (["halt", "fix"], 1, "rollout-unknown"),
        (["halt", "../fix"], 2, "is no name of a rollout"),
        (["status", "fix"], 1, "rollout-unknown"),
        (["control", "--prometheus", "http://a"], 2, "Give one of"),
        (["control", "--prometheus", "a", "--offers", "b"], 1, "url-wrong"),
        (
            ["control", "--prometheus", "http://a", "--offers", "b", "--listen", "c:1"],
            1,
            "unusable",
        ),
    ],
)
def test_wrong_command_lines(
    words: list[str],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SUTURE_FLEET_STATE", str(tmp_path / "state.db"))
    monkeypatch.chdir(tmp_path)
    assert main(["rollout", *words]) == status
    assert said in capsys.readouterr().err

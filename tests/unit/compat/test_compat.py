# SPDX-License-Identifier: GPL-2.0-or-later
"""The other tools' commands: what they print and how they exit, over directories that stand for
/proc and /sys."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from suture.cli.app import main as suture
from suture.compat import commands, kgr, kpatch, kpatch_build
from suture.compat.installed import Installation
from suture.compat.kpatch import Host
from suture.compat.program import Died, run
from suture.core.store import Store
from suture.errors import Refusal
from tests.examples import shows

RELEASE = "6.1.0-toy"


def put(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One live patch in force, one moving, one left over; one thread of two holds up the
    transition."""
    root = tmp_path / "root"
    live = {
        "livepatch_one": ("1", "0"),
        "livepatch_two": ("1", "1"),
    }
    modules = [
        f"{name} 16384 1 - Live 0x0000000000000000 (OK)"
        for name in ("livepatch_two", "livepatch_one")
    ]
    modules.append("livepatch_old 16384 0 - Live 0x0000000000000000 (OK)")
    put(
        root,
        {
            "proc/sys/kernel/osrelease": f"{RELEASE}\n",
            "proc/modules": "\n".join(modules) + "\n",
            "proc/7/task/7/patch_state": "1\n",
            "proc/7/task/8/patch_state": "0\n",
            "proc/7/task/8/stat": "8 (worker) D" + " 0" * 40,
            "proc/7/task/8/stack": "[<0>] holder_sleep+0x10/0x20 [holder]\n[<0>] do_syscall_64+0x3b/0x90\n",
            "proc/7/cmdline": "/bin/worker\0--fast\0",
            **{
                f"sys/kernel/livepatch/{name}/enabled": enabled
                for name, (enabled, _) in live.items()
            },
            **{
                f"sys/kernel/livepatch/{name}/transition": moving
                for name, (_, moving) in live.items()
            },
        },
    )
    return root


def settle(root: Path) -> None:
    put(root, {"sys/kernel/livepatch/livepatch_two/transition": "0"})


@pytest.fixture
def host(root: Path, tmp_path: Path) -> Host:
    lib = tmp_path / "lib"
    lib.mkdir(mode=0o755)
    owner = os.geteuid()
    store = Store(lib / "suture", anchor=tmp_path, owner=owner)
    return Host(root, Installation(store, lib / "kpatch", anchor=tmp_path, owner=owner))


def keep(host: Host, name: str = "livepatch_kept") -> None:
    host.installed.store.install(b"module", RELEASE, name, replaces=True, origin="/root/kept.ko")
    directory = host.installed.directory / RELEASE
    directory.mkdir(mode=0o755, parents=True)
    (directory / "kpatch-file.ko").write_bytes(b"module")


def test_kpatch_list_prints_what_scripts_parse(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    settle(host.root)
    keep(host)
    assert kpatch.main(["list"], host) == 0
    assert capsys.readouterr().out == (
        "Loaded patch modules:\nlivepatch_one [enabled]\nlivepatch_two [enabled]\n\n"
        f"Installed patch modules:\nlivepatch_kept ({RELEASE})\nkpatch_file ({RELEASE})\n"
    )


def test_kpatch_list_shows_who_holds_up_a_transition(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kpatch.main(["list"], host) == 0
    out = capsys.readouterr().out
    assert "livepatch_two [enabling...]\n" in out
    stack = "[<0>] holder_sleep+0x10/0x20 [holder]\n[<0>] do_syscall_64+0x3b/0x90\n"
    assert f"\nStalled processes:\n8 worker\nstack:\n{stack}\nInstalled" in out


def test_kpatch_signals_only_where_the_kernel_does_not_itself(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kpatch.main(["signal"], host) == 0
    assert capsys.readouterr().err.startswith(
        "kpatch: Livepatch process signaling is performed automatically"
    )
    attribute = host.root / "sys/kernel/livepatch/livepatch_two/signal"
    attribute.write_text("")
    assert kpatch.main(["signal"], host) == 0
    assert (capsys.readouterr().out, attribute.read_text()) == (
        "signaling stalled process(es):\n",
        "1",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["load", "nothing"], "can't find nothing"),
        (["load", "/nowhere/nothing.ko"], "can't find /nowhere/nothing.ko"),
        (["info", "nothing.ko"], "can't find nothing.ko"),
        (["install"], "no module file specified"),
        (["install", "-k"], "getopt failed"),
        (["install", "/nowhere/nothing.ko"], "/nowhere/nothing.ko doesn't exist"),
        (["install", "/dev/null"], "/dev/null isn't a .ko file"),
        (["uninstall", "a/b"], "please supply patch module name without path"),
        (["uninstall", "-k", "6.2", "fix"], "fix is not installed for kernel 6.2"),
        (["uninstall", "--kernel-version=6.3", "fix"], "fix is not installed for kernel 6.3"),
    ],
)
def test_kpatch_dies_in_its_own_words(words: list[str], message: str, host: Host) -> None:
    with pytest.raises(Died) as died:
        kpatch.main(words, host)
    assert str(died.value) == message


@pytest.mark.parametrize("words", [[], ["help"], ["load"], ["list", "more"], ["unheard"]])
def test_kpatch_explains_itself_with_status_1(
    words: list[str], host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kpatch.main(words, host) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("usage: kpatch <command> [<args>]\n")
    assert printed.out == ("subcommand unheard not recognized\n" if words == ["unheard"] else "")


def test_kpatch_uninstalls_what_a_package_put_there(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(host)
    assert kpatch.main(["uninstall", "kpatch-file.ko"], host) == 0
    assert capsys.readouterr().out == f"uninstalling kpatch-file.ko ({RELEASE})\n"
    assert [kept.name for kept in host.installed.modules(RELEASE)] == ["livepatch_kept"]


def test_kpatch_loads_nothing_from_a_directory_that_others_may_write(host: Host) -> None:
    keep(host)
    (host.installed.directory / RELEASE).chmod(0o777)
    with pytest.raises(Refusal) as refusal:
        kpatch.main(["load", "--all"], host)
    assert refusal.value.code == "path-untrusted"


def test_kpatch_load_all_goes_on_after_one_that_cannot_be_loaded(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(host)
    assert kpatch.main(["load", "--all"], host) == 1
    assert capsys.readouterr().err.count("kpatch: error[object-malformed]: ") == 2


def test_kpatch_load_all_does_nothing_where_nothing_is_installed(host: Host) -> None:
    assert kpatch.main(["load", "--all"], host) == 0


def test_kpatch_load_all_obeys_the_kernel_command_line(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(host)
    put(host.root, {"proc/cmdline": "quiet suture.disable=1\n"})
    assert kpatch.main(["load", "--all"], host) == 0
    assert "no live patch is loaded" in capsys.readouterr().out


@pytest.mark.parametrize("program", ["klp", "kgr"])
def test_status_and_check(program: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (kgr.main(["status"], program, root), kgr.main(["check"], program, root)) == (0, 1)
    assert capsys.readouterr().out == "in_progress\n"
    settle(root)
    assert (kgr.main(["status"], program, root), kgr.main(["check"], program, root)) == (0, 0)
    assert capsys.readouterr().out == "ready\n"


def test_patches_are_all_modules_and_which_are_active(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kgr.main(["patches"], "klp", root) == 0
    assert sorted(capsys.readouterr().out.split()) == [
        "livepatch_old",
        "livepatch_one",
        "livepatch_two",
    ]
    assert kgr.main(["-v", "patches"], "klp", root) == 0
    out = capsys.readouterr().out
    assert "livepatch_one\n    active: 1\n    RPM: (not known" in out
    assert "livepatch_old\n    active: 0\n" in out


def test_blocking_threads_with_command_line_and_stack(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [
        "8\n",
        "8 /bin/worker --fast\n",
        "8 /bin/worker --fast\n    holder_sleep+0x10/0x20 [holder]\n",
    ]
    for options, start in zip(([], ["-v"], ["-vv"]), expected, strict=True):
        assert kgr.main([*options, "blocking"], "klp", root) == 0
        assert capsys.readouterr().out.startswith(start)
    settle(root)
    assert kgr.main(["blocking"], "klp", root) == 0
    assert capsys.readouterr().out == ""


def test_poke_downgrade_and_what_there_is_not(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kgr.main(["poke"], "kgr", root) == 0
    assert kgr.main(["-x", "status"], "kgr", root) == kgr.main([], "kgr", root) == 1
    assert run(lambda words: kgr.main(words, "klp", root), ["downgrade"], "klp: ") == 1
    assert "klp: no package manager knows an earlier version" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "patch", "expected"),
    [
        (None, "fix.patch", "livepatch-fix"),
        (None, "cve-2024_1.v2.patch", "livepatch-cve-2024_1-v2"),
        ("my fix", "fix.patch", "my-fix"),
        (None, "a" * 60 + ".patch", "livepatch-" + "a" * 38),
    ],
)
def test_kpatch_build_names_modules_as_kpatch_build_does(
    name: str | None, patch: str, expected: str
) -> None:
    assert kpatch_build.module_name(name, [Path(patch)]) == expected


def test_kpatch_build_says_what_is_wrong_and_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fix.patch").write_text("")
    fix = str(tmp_path / "fix.patch")
    cases = {
        (): "ERROR: no patch file(s) specified\n",
        ("/nowhere.patch",): "ERROR: patch file '/nowhere.patch' not found\n",
        (fix, "-o", "/nowhere"): "ERROR: output dir '/nowhere' not found\n",
        (fix, "-s", "/nowhere"): "ERROR: source dir '/nowhere' not found\n",
        (fix, "-v", "/nowhere"): "ERROR: vmlinux file '/nowhere' not found\n",
        (fix, "-a", "6.1", "-v", fix): "ERROR: --archversion is incompatible with --vmlinux\n",
        (fix, "-r", "kernel.src.rpm"): "ERROR: -r: source RPMs are not supported",
        (fix, "--oot-module", "a.ko"): "ERROR: --oot-module: out-of-tree modules",
        (fix, "--unheard"): "ERROR: unrecognized arguments: --unheard\n",
    }
    for words, message in cases.items():
        assert run(kpatch_build.main, words, "ERROR: ") == 1
        assert message in capsys.readouterr().err


def test_kpatch_build_says_what_is_not_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fix.patch").write_text("")
    words = [
        "-a",
        "0.0.0-none",
        "-j",
        "4",
        "-t",
        "vmlinux",
        "-d",
        "--skip-gcc-check",
        "--skip-cleanup",
    ]
    assert (
        run(
            kpatch_build.main,
            [*words, "-c", "/boot/config", str(tmp_path / "fix.patch")],
            "ERROR: ",
        )
        == 1
    )
    printed = capsys.readouterr().err
    assert [line.split(":")[1].strip() for line in printed.splitlines() if line.startswith("not needed: ")] == [
        "-c", "-j", "-t", "-d", "--skip-cleanup", "--skip-gcc-check",
    ]  # fmt: skip
    assert "ERROR: error[kernel-not-fetched]: " in printed


def test_the_commands_are_put_in_place_run_and_are_removed(tmp_path: Path) -> None:
    assert suture(["compat", "install", "--prefix", str(tmp_path)]) == 0
    done = subprocess.run(
        [tmp_path / "sbin/kpatch", "version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{kpatch.SPEAKS}\n"
    for name in ("klp", "kgr"):
        done = subprocess.run(
            [tmp_path / "sbin" / name, "-h"], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith(f"usage: {name} ")
    done = subprocess.run(
        [tmp_path / "bin/kpatch-build", "-h"], capture_output=True, text=True, check=True
    )
    assert "--non-replace" in done.stdout
    assert suture(["compat", "install", "--prefix", str(tmp_path)]) == 0
    (tmp_path / "bin/other").write_text("")
    assert suture(["compat", "remove", "--prefix", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["other"]


@pytest.mark.parametrize("taken", list(commands.COMMANDS))
def test_a_command_of_another_is_left_alone_and_none_is_made(taken: str, tmp_path: Path) -> None:
    put(tmp_path, {taken: "#!/bin/sh\nexec the-real-one\n"})
    with pytest.raises(Refusal) as refusal:
        commands.install(tmp_path)
    assert (refusal.value.code, refusal.value.where) == ("command-taken", str(tmp_path / taken))
    if taken == "sbin/kpatch":
        shows(refusal.value, "command-taken")
    assert commands.remove(tmp_path) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / taken]

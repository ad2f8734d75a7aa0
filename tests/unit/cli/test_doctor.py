# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture doctor``, against the programs and files of this host."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Set
from pathlib import Path

import pytest

from suture.cli.doctor import for_people
from suture.cli.output import emit
from suture.doctor import Check, CheckStatus, Report, building, loading, testing
from suture.host import distributions
from suture.host.distributions import Unknown
from suture.host.distributions.debian import PACKAGES, DebianHost
from suture.host.packages import BUILD_MODULES, TOOLS, Purpose, Tool, compiler

FIRST_LINE = subprocess.run(
    ["gcc", "--version"], capture_output=True, text=True, check=True
).stdout.splitlines()[0]


def test_the_report_names_everything_that_building_and_testing_need(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [
        sys.executable,
        "-m",
        "suture",
        "doctor",
        "--json",
        "--kernel",
        "6.1.0-nowhere-amd64",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert checks.keys() >= {
        f"compiler {distributions.here().compiler}",
        "make",
        "flex",
        "bison",
        "bc",
        "<gelf.h>",
        "<openssl/ssl.h>",
    }
    assert checks.keys() >= {
        "pahole",
        "Python packages",
        "disk space",
        "static busybox",
        "live patching",
    }
    assert {check["purpose"] for check in document["checks"]} == {"building", "testing", "loading"}
    kernel = checks["kernel 6.1.0-nowhere-amd64"]
    assert kernel["status"] == "lack"
    assert "suture kernel list" in kernel["remedy"]
    assert (done.returncode, document["ready"]) == (1, False)


def test_a_lack_is_shown_with_its_remedy_and_the_command_that_helps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lack = Check(Purpose.BUILDING, "flex", CheckStatus.LACK, "not found", "install flex", "flex")
    emit({}, for_people(Report("r", (lack,))))
    shown = capsys.readouterr().out
    assert "building  ✗  flex  not found -> install flex\n" in shown
    assert shown.endswith("\n  sudo apt-get install --no-install-recommends flex\n")


DEBIAN = DebianHost()
EVERYTHING = (*TOOLS, *DEBIAN.tools, compiler(DEBIAN.compiler))


@pytest.mark.parametrize("tool", EVERYTHING, ids=lambda tool: tool.looked_for)
def test_an_installed_package_brings_what_we_look_for(tool: Tool) -> None:
    package = DEBIAN.package(tool)
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    if subprocess.run(query, capture_output=True, text=True, check=False).stdout != "installed":
        pytest.skip(f"{package} is not installed")
    assert tool.found() is not None


def test_a_distribution_has_a_package_for_everything() -> None:
    for distribution in distributions.DISTRIBUTIONS:
        tools = (*TOOLS, *distribution.tools, compiler(distribution.compiler))
        assert [tool.looked_for for tool in tools if not distribution.package(tool)] == []
    assert PACKAGES.keys() == {tool.looked_for for tool in (*TOOLS, *DEBIAN.tools)}


def test_a_compiler_is_found_by_its_triplet_too() -> None:
    assert DEBIAN.package(compiler("x86_64-linux-gnu-gcc-14")) == "gcc-14"


@pytest.mark.parametrize(
    ("described", "name"),
    [
        ({"ID": "debian", "NAME": "Debian GNU/Linux", "VERSION_ID": "13"}, "Debian 13"),
        ({"ID": "debian", "NAME": "Debian GNU/Linux"}, "Debian"),
        (
            {"ID": "ubuntu", "ID_LIKE": "debian", "NAME": "Ubuntu", "VERSION_ID": "24.04"},
            "Ubuntu 24.04",
        ),
        ({"ID": "other", "ID_LIKE": "fedora rhel"}, Unknown.name),
        ({}, Unknown.name),
    ],
)
def test_the_distribution_is_known_by_what_it_is_like(
    monkeypatch: pytest.MonkeyPatch, described: dict[str, str], name: str
) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: described)
    assert distributions.here().name == name


def test_elsewhere_programs_are_asked_for_by_their_own_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "other"})
    check = building.tool_check(Tool(Purpose.BUILDING, "nobody", program="no-such-program"))
    assert (check.remedy, check.package) == ("install no-such-program", "")
    assert Report("r", (check,)).install == ""


def test_a_program_that_is_not_there_is_a_lack_with_its_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distributions, "here", DebianHost)
    monkeypatch.setitem(PACKAGES, "no-such-program", "some-package")
    check = building.tool_check(Tool(Purpose.BUILDING, "nobody", program="no-such-program"))
    assert (check.status, check.package) == (CheckStatus.LACK, "some-package")
    assert "nobody" in check.found


def test_a_header_that_is_not_there_is_a_lack() -> None:
    check = building.tool_check(Tool(Purpose.BUILDING, "nobody", header="no/such/header.h"))
    assert check.status is CheckStatus.LACK


def test_headers_are_found_in_the_architectures_directory() -> None:
    found = Tool(Purpose.BUILDING, "", header="bits/types.h").found()
    assert found is not None
    assert found.exists()


def test_the_targets_very_compiler_is_asked_for() -> None:
    assert building.compiler_check(f"gcc {FIRST_LINE.partition(' ')[2]}").status is CheckStatus.OK
    other = building.compiler_check("gcc (Debian 1.2.3-4) 1.2.3")
    assert other.status is CheckStatus.LACK
    assert FIRST_LINE in other.found
    assert "1.2.3-4" in other.found


def test_a_compiler_that_is_not_installed_is_named_with_its_package() -> None:
    check = building.compiler_check("gcc-99 (Debian 99.1.0-1) 99.1.0")
    assert (check.status, check.package) == (CheckStatus.LACK, "gcc-99")


def test_a_missing_package_leads_to_one_line_to_run() -> None:
    lack = Check(Purpose.BUILDING, "flex", CheckStatus.LACK, "", "", "flex")
    other = Check(Purpose.TESTING, "qemu", CheckStatus.LACK, "", "", "qemu-system-x86")
    report = Report(
        "r", (lack, other, lack, Check(Purpose.BUILDING, "make", CheckStatus.OK, "", "", ""))
    )
    assert report.install == "sudo apt-get install --no-install-recommends flex qemu-system-x86"
    assert not report.ready


def test_a_warning_does_not_make_a_host_unready() -> None:
    assert Report("r", (Check(Purpose.LOADING, "lockdown", CheckStatus.WARNING, ""),)).ready


def test_a_busybox_with_libraries_is_a_lack() -> None:
    dynamic = Path(shutil.which("ls") or "/bin/ls")
    assert testing.busybox_check(dynamic).package == "busybox-static"


def test_without_kvm_the_lab_still_works(tmp_path: Path) -> None:
    check = testing.kvm_check(tmp_path / "kvm")
    assert check.status is CheckStatus.OK
    assert "emulates" in check.found


def host(root: Path, files: dict[str, str]) -> dict[str, Check]:
    """What is said of a host whose kernel shows `files`."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return {check.name: check for check in loading.checks(root)}


def test_a_kernel_that_takes_live_patches(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/livepatch").mkdir(parents=True)
    shown = {
        "proc/self/status": "Name:\tx\nCapEff:\t000001ffffffffff\n",
        "proc/sys/kernel/modules_disabled": "0\n",
        "sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
        "sys/module/module/parameters/sig_enforce": "N\n",
    }
    assert {check.status for check in host(tmp_path, shown).values()} == {CheckStatus.OK}


def test_all_that_stands_in_the_way_of_loading_is_named(tmp_path: Path) -> None:
    shown = {
        "proc/self/status": "Name:\tx\nCapEff:\t0000000000000000\n",
        "proc/sys/kernel/modules_disabled": "1\n",
        "proc/sys/kernel/ftrace_enabled": "0\n",
        "sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
        "sys/module/module/parameters/sig_enforce": "Y\n",
    }
    checks = host(tmp_path, shown)
    assert {check.status for check in checks.values()} == {CheckStatus.WARNING}
    assert checks["lockdown"].found.startswith("integrity: ")
    required = {check.name: check.status for check in loading.checks(tmp_path, is_required=True)}
    lacks = {name for name, status in required.items() if status is CheckStatus.LACK}
    assert lacks == {"live patching", "kernel.modules_disabled", "kernel.ftrace_enabled"}


WITHOUT_BUILD = """
import sys
from importlib import util
real = util.find_spec
util.find_spec = lambda name, *more: None if name in {missing} else real(name, *more)
from suture.cli import app
sys.exit(app.main(["doctor", "--json", *sys.argv[1:]]))
"""
"""The program on a host that has not the packages of the extra ``build``."""


def purposes_of(missing: Set[str], *words: str) -> tuple[list[str], set[str], int]:
    """Return what the host is judged by, what is checked, and the exit status."""
    program = WITHOUT_BUILD.replace("{missing}", repr(set(missing)))
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["ready"] else 1)
    checked = {check["purpose"] for check in document["checks"]}
    return document["purposes"], checked, len(document["install"])


def test_a_host_that_only_loads_is_not_told_to_install_compilers() -> None:
    by_debian = {"debian", "lz4", "zstandard"}
    assert purposes_of(BUILD_MODULES) == (["loading"], {"loading"}, 0)
    assert purposes_of(BUILD_MODULES - by_debian) == (["loading"], {"loading"}, 0)
    purposes, checked, _ = purposes_of({"lz4"})
    assert (purposes, checked) == (["building", "testing"], {"building", "testing", "loading"})


def test_a_host_is_judged_by_what_is_said_instead() -> None:
    assert purposes_of(set(), "--for", "load")[:2] == (["loading"], {"loading"})
    both = purposes_of(set(), "--for", "test", "--for", "load")
    assert both[:2] == (["testing", "loading"], {"testing", "loading"})
    named = purposes_of(BUILD_MODULES, "--kernel", "6.1.0-nowhere-amd64")
    assert named[:2] == (["building", "loading"], {"building", "loading"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to drop")
def test_a_process_without_the_capability_is_told_from_one_with_it() -> None:
    look = [
        sys.executable,
        "-c",
        "from suture.doctor import loading; print({check.name: check for check in loading.checks()}['CAP_SYS_MODULE'].status.value)",
    ]
    drop = ["setpriv", "--bounding-set=-sys_module", "--inh-caps=-sys_module"]
    for prefix, expected in (([], "ok"), (drop, "warning")):
        done = subprocess.run([*prefix, *look], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected

# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian packages on a host of each release: installed, used, upgraded, removed and purged."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from scripts import deb, zipapp
from scripts.debian_root import DebianRoot
from suture import __version__
from suture.host.packages import BUILD_MODULES
from suture.sources import debian_suites
from tests.deb_packages import NEWER
from tests.lab import test_readme as readme
from tests.packages.conftest import HOST, Packages

SUITES = ("bookworm", "trixie")
"""Debian 12 and 13."""

LIFE = (Path(__file__).parent / "life.sh").read_text()


@pytest.fixture(scope="module", params=SUITES)
def life(
    request: pytest.FixtureRequest,
    packages: Packages,
    newer: Packages,
    archive: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """What each step of ``life.sh`` printed, by its name."""
    shared = tmp_path_factory.mktemp(request.param)
    shutil.copytree(packages.directory, shared, dirs_exist_ok=True)
    shutil.copytree(newer.directory, shared / "newer")
    shutil.copy(archive, shared)
    done = DebianRoot(request.param, HOST).run(LIFE, shared)
    said = {path.name: path.read_text() for path in (shared / "said").iterdir()}
    last = max((shared / "said").iterdir(), key=lambda path: path.stat().st_mtime)
    assert done.returncode == 0, f"{last.name}: {last.read_text()}\n{done.stdout}"
    return said


def test_the_one_file_runs_with_nothing_but_python(life: dict[str, str]) -> None:
    assert life["alone-version"] == f"suture {__version__}\n"
    assert "live patch" in life["alone-status"]
    assert "live patch" in life["alone-list"]
    assert json.loads(life["alone-doctor"])["purposes"] == ["loading"]


def test_the_one_file_says_what_it_lacks(life: dict[str, str]) -> None:
    assert life["alone-build"].startswith("error[build-extra-missing]: suture build: ")
    assert "suture-build" in life["alone-build"]
    assert life["alone-key"].startswith("error[library-missing]: ")
    assert "cryptography" in life["alone-key"]


def test_other_programs_start_the_one_file(life: dict[str, str]) -> None:
    assert "created /etc/kernel/postinst.d/zz-suture" in life["alone-hooks"]
    start = r"^/usr/bin/python3\S* -I /opt/suture.pyz -m suture.core.upgrade"
    assert re.search(start, life["alone-hook"], re.MULTILINE)
    assert life["alone-upgrade"] == ""


def test_the_one_file_is_the_same_each_time(archive: Path, tmp_path: Path) -> None:
    assert zipapp.make(tmp_path / "again.pyz").read_bytes() == archive.read_bytes()


def test_it_runs_and_tells_the_state(life: dict[str, str]) -> None:
    assert life["version"] == f"suture {__version__}\n"
    assert "live patch" in life["status"]
    doctor = json.loads(life["doctor"])
    assert doctor["purposes"] == ["loading"]
    assert "CAP_SYS_MODULE" in {check["name"] for check in doctor["checks"]}


def test_boots_are_seen_to(life: dict[str, str]) -> None:
    assert life["enabled"].split() == ["enabled", "enabled"]
    assert life["verify"] == ""


def test_what_an_installation_without_the_package_wrote_gives_way(life: dict[str, str]) -> None:
    links = dict(line.split(maxsplit=1) for line in life["links"].splitlines())
    assert links.keys() == {
        f"multi-user.target.wants/{unit}" for unit in ("suture.service", "suture-confirm.service")
    }
    assert all("lib/systemd/system/" in target for target in links.values())
    assert "exec /usr/bin/python3 -I -m suture.core.login" in life["motd"]


def test_suture_writes_nothing_that_the_package_has_brought(life: dict[str, str]) -> None:
    assert life["ensure"] == "False ()\n"
    assert life["units-in-etc"] == ""


def test_its_directories_are_roots_alone(life: dict[str, str]) -> None:
    assert life["etc"].splitlines() == [
        "-rw-r--r-- root README",
        "drwxr-xr-x root ",
        "drwxr-xr-x root hooks.d",
        *(
            f"drwxr-xr-x root hooks.d/{event}"
            for event in ("drain", "drift", "failed", "post-load", "pre-load", "steady")
        ),
        "drwxr-xr-x root trusted",
    ]


def test_shells_and_man_find_their_files(life: dict[str, str]) -> None:
    assert life["completion"].endswith("-F _suture_completion suture\n")
    assert life["man"] == "/usr/share/man/man1/suture.1.gz\n"


@pytest.mark.parametrize("command", ["build", "test"])
def test_what_the_other_package_brings_is_refused(command: str, life: dict[str, str]) -> None:
    assert life[command].startswith(f"error[build-extra-missing]: suture {command}: ")
    assert f"Install the package suture-build, version {__version__}." in life[command]


def test_an_upgrade_of_the_host_goes_on_though_a_library_is_not_there(life: dict[str, str]) -> None:
    said = life["hooks-broken"].splitlines()
    assert said[-1] == "suture: what becomes of live patches with 6.1.0-new is not known"
    assert "ModuleNotFoundError: No module named 'json'" in said


def test_an_upgrade_keeps_everything(life: dict[str, str]) -> None:
    assert life["version-upgraded"] == f"suture {NEWER}\n"
    assert life["kept-upgraded"] == life["kept"]
    assert "livepatch_toy.json" in life["kept"]
    assert "/var/lib/suture/journal" in life["kept"]
    assert life["check-upgraded"].startswith("All installed live patches are as they were")
    assert life["boot"] == ""


def test_the_other_package_brings_the_side_that_builds(life: dict[str, str]) -> None:
    assert life["build-installed"].startswith("error[kernel-not-fetched]")
    libraries = life["libraries"].splitlines()
    assert [path.split("/")[:4] for path in libraries[:-1]] == [
        ["", "usr", "lib", "suture-build"] for _ in BUILD_MODULES
    ]
    assert libraries[-1] == "9"
    assert life["left-build"].startswith("find: ")


def test_removal_keeps_everything_and_leaves_nothing_that_fails(life: dict[str, str]) -> None:
    assert "/var/lib/suture keeps the installed live patches and the journal" in life["remove"]
    assert life["kept-removed"] == life["kept"]
    assert life["hooks-removed"] == ""
    assert life["left-removed"] == ""
    assert "livepatch_toy" in life["list-again"]


def test_purge_says_what_it_removes_and_leaves_what_is_the_administrators(
    life: dict[str, str],
) -> None:
    assert "suture: removing the installed live patches and the journal" in life["purge"]
    kept = "/etc/suture"
    assert set(life["left-purged"].split()) == {
        kept,
        f"{kept}/hooks.d",
        f"{kept}/hooks.d/pre-load",
        f"{kept}/hooks.d/pre-load/mine",
        f"{kept}/trusted",
        f"{kept}/trusted/mine.pem",
    }


def test_the_same_commit_gives_the_same_packages(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("LC_ALL", "C")
    for path in deb.make(tmp_path, checked=False):
        assert path.read_bytes() == (packages.directory / path.name).read_bytes()


@pytest.mark.only_in_test_all
def test_a_new_minor_version_of_python_changes_nothing(packages: Packages, tmp_path: Path) -> None:
    """Python 3.11 of Debian 12 gives way to that of Debian 13: what boots start still starts."""
    suites = debian_suites.lists("trixie")
    suites.refreshed()
    shutil.copy(packages.suture, tmp_path)
    shutil.copy(suites.directory / "debian.sources", tmp_path)
    script = """
dpkg -i /shared/suture_*.deb >/dev/null
cp /shared/debian.sources /etc/apt/sources.list.d/
python3 --version
cat /usr/lib/systemd/system/suture*.service >/before
apt-get -qq update
apt-get -qq install -y --no-install-recommends python3 >/dev/null 2>&1
python3 --version
suture --version
cat /usr/lib/systemd/system/suture*.service | cmp - /before
mkdir -p /var/lib/suture
$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/suture.service)
$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/suture-confirm.service)
find /usr/lib/python3/dist-packages/suture/core/__pycache__ -name 'boot.*'
"""
    done = DebianRoot("bookworm", HOST).run(script, tmp_path)
    assert done.returncode == 0, done.stdout
    minors = re.findall(r"^Python 3\.(\d+)", done.stdout, re.MULTILINE)
    assert len(set(minors)) == 2, done.stdout
    assert f"suture {__version__}\n" in done.stdout
    assert f"boot.cpython-3{minors[1]}.pyc" in done.stdout


@pytest.mark.only_in_test_all
@pytest.mark.parametrize(
    ("suite", "kernels"),
    [("bookworm", r"6\.1\.0-[0-9]*-amd64"), ("trixie", r"6\.12\.[0-9]*+deb13-amd64")],
)
def test_apt_installs_all_that_a_user_needs_to_build(
    suite: str, kernels: str, packages: Packages, tmp_path: Path
) -> None:
    """And root builds what is installed again for a newer kernel."""
    shutil.copytree(packages.directory, tmp_path, dirs_exist_ok=True)
    for shown in readme.files():
        shown.write(tmp_path)
    (tmp_path / "build.sh").write_text(
        f"""
cd
suture kernel list --json | grep -o '"{kernels}"' | tr -d '"' | uniq | head -n 2 >/shared/kernels
old=$(tail -n 1 /shared/kernels)
suture kernel fetch $old
suture build /shared/version.patch --kernel $old
suture inspect livepatch_version.ko
"""
    )
    script = """
install -m 666 /dev/null /shared/kernels
apt-get -qq update
apt-get -qq install -y --no-install-recommends /shared/*.deb >/shared/apt 2>&1
suture doctor --for build --json >/shared/doctor || true
install -d -o 1000 -g 1000 /home/user
setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/home/user sh -ec '. /shared/build.sh'
export XDG_CACHE_HOME=/home/user/.cache
mkdir -p /run/systemd/system
suture install /home/user/livepatch_version.ko
suture rebuild --kernel $(head -n 1 /shared/kernels) --no-test
modinfo -F vermagic /var/lib/suture/$(head -n 1 /shared/kernels)/*.ko
"""
    tmp_path.chmod(0o755)
    done = DebianRoot(suite, HOST).run(script, tmp_path)
    assert done.returncode == 0, done.stdout
    checks = json.loads((tmp_path / "doctor").read_text())["checks"]
    assert [check for check in checks if check["package"]] == []
    assert {check["name"]: check["status"] for check in checks}["Python packages"] == "ok"
    assert "replaces vmlinux: version_proc_show(), proved equal to the shipped one" in done.stdout
    new, old = (tmp_path / "kernels").read_text().split()
    assert new != old
    assert f"\n{new} SMP" in done.stdout

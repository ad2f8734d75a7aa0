# SPDX-License-Identifier: GPL-2.0-or-later
"""How files that other programs run start Suture, wherever it came from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import suture
from suture.errors import Refusal
from suture.host import deployment, failures
from suture.host.deployment import PACKAGED, Deployment
from suture.module import signature
from tests.examples import shows

TEMPLATE = "{start} suture.core.boot"


def of_environment(root: str = "/opt/suture") -> Deployment:
    code = Path(root, "lib/python3.11/site-packages/suture/__init__.py")
    return Deployment(Path(root, "bin/python3"), code)


def of_archive() -> Deployment:
    return Deployment(Path("/usr/bin/python3"), Path("/opt/suture.pyz"))


def test_python_looks_at_no_variable_and_no_directory_of_a_users() -> None:
    assert of_environment().fill(TEMPLATE) == "/opt/suture/bin/python3 -I -m suture.core.boot"
    assert PACKAGED.fill(TEMPLATE) == "/usr/bin/python3 -I -m suture.core.boot"
    archive = "/usr/bin/python3 -I /opt/suture.pyz -m suture.core.boot"
    assert of_archive().fill(TEMPLATE) == archive


def test_a_path_may_have_spaces() -> None:
    filled = of_environment("/opt/my suture").fill(TEMPLATE)
    words = subprocess.run(["sh", "-c", f'printf "%s\\n" {filled}'], capture_output=True, text=True)
    assert words.stdout.splitlines()[0] == "/opt/my suture/bin/python3"


def test_files_say_what_made_them() -> None:
    assert of_environment().fill("# {maker}.") == "# Made by 'suture install'."
    assert PACKAGED.fill("# {maker}.") == "# Part of the package suture."


def test_this_one_is_known_by_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert deployment.this() == Deployment(Path(sys.executable), Path(suture.__file__))
    monkeypatch.setattr(suture, "__file__", str(PACKAGED.code))
    assert deployment.this() == PACKAGED
    archive = tmp_path / "suture.pyz"
    archive.touch()
    monkeypatch.setattr(suture, "__file__", str(archive / "suture/__init__.py"))
    assert deployment.this().code == archive


@pytest.mark.parametrize("module", ["suture.builder", "msgspec"])
def test_the_package_names_the_one_that_builds(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suture, "__file__", str(PACKAGED.code))
    error = ModuleNotFoundError(name=module)
    refusal = failures.module_missing(["build", "fix.patch"], error)
    assert refusal.code == "build-extra-missing"
    assert refusal.remedy == f"Install the package suture-build, version {suture.__version__}."


def test_a_module_of_suture_that_is_missing_elsewhere_is_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    error = ModuleNotFoundError(name="suture.builder")
    assert failures.module_missing(["build"], error).code == "internal-error"


def test_certificates_need_a_library_that_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(Refusal) as refusal:
        signature.certificate(b"", "/etc/suture/trusted/mine.pem")
    shows(refusal.value, "library-missing")
    error = ModuleNotFoundError(name="cryptography")
    assert failures.module_missing(["key"], error).code == "library-missing"

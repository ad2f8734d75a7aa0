# SPDX-License-Identifier: GPL-2.0-or-later
"""What 'suture inspect' says of a module's file, against readelf, sha256sum and modinfo."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from suture import __version__
from suture.cli import app
from suture.elf import reader, writer
from suture.model import LivePatch, PatchedFunction, PatchedObject
from suture.module import modinfo, sign
from suture.module.identity import SignedBy, identify
from suture.module.sign import Signer
from suture.module.signature import MAGIC
from tests.unit.link.module import glue
from tests.unit.module.test_inspect import MANY
from tests.unit.toolchain import compile_c, link

PATCH = LivePatch(
    "livepatch_test",
    (
        PatchedObject(
            "vmlinux",
            (PatchedFunction("first", 2, "a", "fs/a.c"), PatchedFunction("second", 0, "b", "b.c")),
        ),
    ),
)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live patch with a build ID and the entries that Suture writes."""
    directory = tmp_path_factory.mktemp("module")
    plain = reader.read(link(compile_c(glue(MANY), sections=False)), "livepatch_test.ko")
    whole = directory / "whole.o"
    whole.write_bytes(writer.write(modinfo.with_entries(plain, PATCH)))
    path = directory / "livepatch_test.ko"
    subprocess.run(["ld", "-r", "--build-id", whole, "-o", path], check=True)
    return path


def test_size_digest_and_build_id(module: Path) -> None:
    data = module.read_bytes()
    found = identify(data, reader.read(data, "m.ko"), "m.ko")
    shown = subprocess.run(
        ["readelf", "--notes", module], capture_output=True, text=True, check=True
    ).stdout
    assert found.build_id
    assert f"Build ID: {found.build_id}" in shown
    assert (found.size, found.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert (found.signature, found.suture) == (None, __version__)


def test_who_signed(module: Path, tmp_path: Path) -> None:
    pair = sign.new_key(tmp_path, "suture", "Signer of the test")
    sign.sign_file(module, Signer(str(pair.key), pair.certificate), output=tmp_path / "signed.ko")
    data = (tmp_path / "signed.ko").read_bytes()
    found = identify(data, reader.read(data, "m.ko"), "m.ko").signature
    assert found is not None
    assert found.digest == "sha256"
    assert found.signer.startswith("Signer of the test (serial number ")


def test_a_signature_that_cannot_be_read_is_told(module: Path) -> None:
    data = module.read_bytes() + b"\0" * 12 + MAGIC
    found = identify(data, reader.read(data, "m.ko"), "m.ko").signature
    assert found == SignedBy(problem="it is of kind 0")
    assert str(found) == "cannot be read: it is of kind 0"


def test_entries_that_may_be_several_are_lists(
    module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["inspect", str(module), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["modinfo"]["livepatch_source"] == [
        "vmlinux:first,2 fs/a.c",
        "vmlinux:second,0 b.c",
    ]
    assert document["modinfo"]["livepatch"] == "Y"
    assert (document["suture"], document["signature"]) == (__version__, None)
    assert document["sha256"] == hashlib.sha256(module.read_bytes()).hexdigest()


def test_one_source_is_a_list_too() -> None:
    info = (("livepatch_source", "vmlinux:f,0 f.c"), ("license", "GPL"), ("odd", "1"), ("odd", "2"))
    assert modinfo.grouped(info) == {
        "livepatch_source": ["vmlinux:f,0 f.c"],
        "license": "GPL",
        "odd": ["1", "2"],
    }


def test_people_are_shown_the_same(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["inspect", str(module)]) == 0
    shown = capsys.readouterr().out
    assert "signature  none\n" in shown
    assert f"made by    Suture {__version__}\n" in shown
    assert f"SHA-256    {hashlib.sha256(module.read_bytes()).hexdigest()}\n" in shown

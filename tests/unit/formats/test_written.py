# SPDX-License-Identifier: GPL-2.0-or-later
"""The written form: read strictly, written as it is read, and never a way out of its directory."""

from __future__ import annotations

import contextlib
import io
import random
import tarfile
from pathlib import Path

import pytest

from scripts import schema
from suture.errors import Refusal
from suture.formats import written
from suture.formats.recognise import Format
from suture.formats.written import Function, Manifest, Object, Source
from suture.model import Callback, CallbackKind, LivePatch, PatchedFunction, PatchedObject

LEAST = 'suture = 1\n\n[[source]]\nformat = "diff"\npath = "sources/a.patch"\n'
WHOLE = Manifest(
    1,
    (Source(Format.DIFF, "sources/a.patch", 1), Source(Format.KGRAFT, "sources/b")),
    name="fix",
    description="Two fixes.",
    cve=("CVE-2024-1086",),
    url=("https://example.org/advisory",),
    replace=False,
    patch_data=("quirk_table",),
    keep_data=("table_size",),
    replace_thread=("kauditd_thread",),
    caller_depth=0,
    caller_limit=1,
    object=(
        Object("vmlinux", (Function("a"), Function("b", 2)), (CallbackKind.PRE_PATCH,)),
        Object("ext4", (Function("c"),)),
    ),
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for path in ("sources/a.patch", "sources/b/main.c"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("int a;\n")
    return tmp_path


def refused(directory: Path, text: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        written.parse("livepatch.toml", text.encode("utf-8", "surrogateescape"), directory)
    return caught.value


def test_what_is_written_is_read_back(directory: Path) -> None:
    assert written.parse("x", written.dumped(WHOLE), directory) == WHOLE


def test_it_is_written_in_the_order_in_which_it_is_read() -> None:
    lines = [
        line.partition(" ")[0]
        for line in written.dumped(WHOLE).decode().splitlines()
        if line[:1].isalpha()
    ]
    assert lines[:3] == ["suture", "name", "description"]
    assert lines.index("source") > lines.index("caller_limit")


def test_the_least_that_can_be_said(directory: Path) -> None:
    least = written.parse("x", LEAST.encode(), directory)
    assert least == Manifest(1, (Source(Format.DIFF, "sources/a.patch"),))
    assert written.parse("x", written.dumped(least), directory) == least


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LEAST + "colour = 1\n", "unknown field `colour`"),
        ("nane = 'x'\n" + LEAST, "unknown field `nane`"),
        (LEAST.replace('"diff"', '"svn"'), "Invalid enum value 'svn' - at `$.source[0].format`"),
        (LEAST.replace("suture = 1\n", ""), "missing required field `suture`"),
        ("name = ''\n" + LEAST, "length >= 1 - at `$.name`"),
        ("name = 5\n" + LEAST, "Expected `str | null`, got `int` - at `$.name`"),
        ("keep_data = 'table'\n" + LEAST, "Expected `array`, got `str` - at `$.keep_data`"),
        ("caller_limit = 0\n" + LEAST, ">= 1 - at `$.caller_limit`"),
        ('suture = 1\nname = "fix"\nsource = []\n', "length >= 1 - at `$.source`"),
        (LEAST.replace("suture = 1", "suture = 0"), "no version 0"),
        (LEAST.replace('"diff"', '"suture"'), "is a written live patch itself"),
        (LEAST.replace("a.patch", "z.patch"), "the source sources/z.patch does not exist"),
        (
            LEAST + "\n[[object]]\nfunction = [{ old_name = 'f' }]\n",
            "missing required field `name` - at `$.object[0]`",
        ),
        (
            LEAST
            + "\n[[object]]\nname = 'vmlinux'\nfunction = [{ old_name = 'f', sympos = -1 }]\n",
            ">= 0",
        ),
        (LEAST + "strip_level = -1\n", ">= 0"),
        ("suture = 1\nname = \n", "is not valid TOML"),
        ("\udcff\udcfe", "is not valid TOML"),
    ],
)
def test_what_is_not_understood_is_refused(directory: Path, text: str, found: str) -> None:
    refusal = refused(directory, text)
    assert refusal.code == "written-form-invalid"
    assert found in refusal.found


def test_a_newer_version_is_refused_before_its_fields(directory: Path) -> None:
    refusal = refused(directory, LEAST.replace("suture = 1", "suture = 2\ncolour = 1"))
    assert refusal.code == "written-form-newer"


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.patch", "sources/../../x", ""])
def test_a_source_outside_is_refused(directory: Path, path: str) -> None:
    assert refused(directory, LEAST.replace("sources/a.patch", path)).code == "source-escapes"


def test_a_symbolic_link_is_refused_on_the_way_and_below(directory: Path) -> None:
    (directory / "link").symlink_to("/etc")
    assert (
        refused(directory, LEAST.replace("sources/a.patch", "link/passwd")).code == "source-escapes"
    )
    (directory / "sources" / "b" / "link.c").symlink_to("/etc/passwd")
    assert refused(directory, LEAST.replace("a.patch", "b")).code == "source-escapes"


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_an_archive_is_read_like_its_directory(tmp_path: Path) -> None:
    members = [("livepatch.toml", LEAST.encode()), ("sources/a.patch", b"x")]
    path = archive(
        tmp_path / "fix.tar.xz", *((tarfile.TarInfo(name), content) for name, content in members)
    )
    with written.opened(path) as (directory, manifest):
        assert (directory / manifest.source[0].path).read_bytes() == b"x"
    assert not directory.exists()


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("../evil", tarfile.REGTYPE, "source-escapes"),
        ("/evil", tarfile.REGTYPE, "source-escapes"),
        ("a/../../evil", tarfile.REGTYPE, "source-escapes"),
        ("../evil", tarfile.DIRTYPE, "source-escapes"),
        ("link", tarfile.SYMTYPE, "source-escapes"),
        ("link", tarfile.LNKTYPE, "source-escapes"),
        ("device", tarfile.CHRTYPE, "source-escapes"),
        ("alone", tarfile.REGTYPE, "written-form-invalid"),
    ],
)
def test_an_archive_cannot_reach_out(tmp_path: Path, name: str, kind: bytes, code: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = (
        kind,
        "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else "",
    )
    path = archive(tmp_path / "inner.tar.xz", (member, b""))
    with pytest.raises(Refusal) as caught, written.opened(path):
        pass
    assert caught.value.code == code
    assert not (tmp_path / "evil").exists()


def test_a_file_that_is_a_directory_too_is_refused(tmp_path: Path) -> None:
    members = [("livepatch.toml", LEAST.encode()), ("sources", b"x"), ("sources/a.patch", b"x")]
    path = archive(
        tmp_path / "fix.tar.xz", *((tarfile.TarInfo(name), content) for name, content in members)
    )
    with pytest.raises(Refusal) as caught, written.opened(path):
        pass
    assert caught.value.code == "written-form-invalid"


@pytest.mark.parametrize("compression", ["xz", "gz", "bz2"])
def test_an_archive_that_is_damaged_is_refused_or_whole(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "fix.tar"
    contents = [
        ("livepatch.toml", LEAST.encode()),
        ("sources/a.patch", random.Random(1).randbytes(30_000)),
    ]
    with tarfile.open(path, f"w:{compression}") as tar:  # type: ignore[call-overload]
        for name, content in contents:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        with contextlib.suppress(Refusal), written.opened(path):
            pass


def test_an_archive_that_is_cut_short_is_refused_or_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 400
    members = [("livepatch.toml", LEAST.encode()), ("sources/a.patch", content)]
    whole = archive(
        tmp_path / "a.tar.xz", *((tarfile.TarInfo(n), c) for n, c in members)
    ).read_bytes()
    cut = tmp_path / "cut.tar.xz"
    codes = []
    for size in range(0, len(whole), 16):
        cut.write_bytes(whole[:size])
        try:
            with written.opened(cut) as (directory, manifest):
                assert (directory / manifest.source[0].path).read_bytes() == content
        except Refusal as refusal:
            codes.append(refusal.code)
    assert set(codes) == {"written-form-invalid"}


def test_differences_are_told_by_object_and_sympos() -> None:
    functions = (
        PatchedFunction("a", 0, "new"),
        PatchedFunction("b", 3, "new"),
        PatchedFunction("d", 0, "new"),
    )
    callbacks = (Callback(CallbackKind.PRE_PATCH, "f"),)
    built = LivePatch("fix", (PatchedObject("vmlinux", functions, callbacks),))
    assert written.differences(WHOLE.object, built) == [
        "- ext4: c()",
        "- vmlinux: b() (sympos 2)",
        "+ vmlinux: b() (sympos 3)",
        "+ vmlinux: d()",
    ]
    assert written.differences(written.objects(built), built) == []


def test_the_published_schema_is_the_one_that_is_read() -> None:
    assert schema.PAGE.read_text() == schema.text(), "run 'make docs'"

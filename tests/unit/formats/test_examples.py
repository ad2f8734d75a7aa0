# SPDX-License-Identifier: GPL-2.0-or-later
"""Examples on the page of refusals: inputs that are not what they seem, and modules of which
something is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from suture.builder.convert import convert, convert_to_diffs
from suture.errors import Refusal
from suture.formats import cmodule, makefile, suse, written
from suture.formats.recognise import recognise
from suture.kernel.config import Config
from tests.examples import shows

DIFF = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1,2 @@\n int a;\n+{}\n"
MANIFEST = '\n[[source]]\nformat = "diff"\npath = "{}"\n'


def _put(top: Path, files: Mapping[str, str]) -> Path:
    """:return: the first of them."""
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return top / next(iter(files))


def _read(path: Path) -> object:
    return cmodule.read(path, Config({}), "6.1.0-50-amd64")


def _suse(files: Mapping[str, str]) -> object:
    given = {suse.MAIN: "int x;\n", **files}
    return suse.expand(
        "fixes", {path: text.encode() for path, text in given.items()}, "6.1.0-50-amd64"
    )


def _makefile(text: str) -> object:
    return makefile.read("fix/Makefile", text, Config({}), frozenset({"one.c"}))


REFUSED: Mapping[str, Callable[[Path], object]] = {
    "not-a-module-source": lambda top: _read(_put(top, {"fix/one.c": ""}).parent),
    "include-cycle": lambda top: _read(
        _put(top, {"a.c": '#include "b.h"\n', "b.h": '#include "a.c"\n'})
    ),
    "makefile-not-understood": lambda _: _makefile("obj-m := $(shell echo one.o)\n"),
    "makefile-escapes": lambda _: _makefile("obj-m := one.o\nccflags-y := -I/usr/include\n"),
    "placeholder-left": lambda _: _suse({suse.MAIN: "int x;\n@@KLP_PATCHES_OTHER@@\n"}),
    "suse-fix-incomplete": lambda _: _suse({"bsc1/livepatch_bsc1.h": ""}),
    "suse-fix-unknown": lambda _: suse.fixes_of(
        "fixes", ["bsc1247158/livepatch_bsc1247158.h"], ["bsc1247185"]
    ),
    "suse-fix-assembler": lambda _: _suse({"bsc1/entry.S": ""}),
    "patched-funcs-malformed": lambda _: _suse(
        {"bsc1/livepatch_bsc1.h": "", "bsc1/patched_funcs.csv": "vmlinux f\n"}
    ),
    "format-unknown": lambda top: recognise(_put(top, {"fix.c": "int a;\n"})),
    "format-ambiguous": lambda top: recognise(
        _put(
            top,
            {"fix.patch": DIFF.format('#include "ksplice-patch.h"\n+#include "kpatch-macros.h"')},
        )
    ),
    "written-form-invalid": lambda top: written.read(
        _put(
            top,
            {
                "livepatch.toml": "suture = 1\ncolour = 1\n" + MANIFEST.format("a.patch"),
                "a.patch": "",
            },
        )
    ),
    "written-form-newer": lambda top: written.read(_put(top, {"livepatch.toml": "suture = 2\n"})),
    "source-escapes": lambda top: written.read(
        _put(top, {"livepatch.toml": "suture = 1\n" + MANIFEST.format("../a.patch")})
    ),
    "not-a-source": lambda top: convert([Path("/bin/ls")], top / "ls.livepatch"),
    "not-a-diff": lambda top: convert_to_diffs(
        [_put(top, {"kgr_fix.c": "#include <linux/kgraft.h>\n"})], top / "fix.patch"
    ),
    "output-form-unknown": lambda top: convert(
        [_put(top, {"fix.patch": DIFF.format("int b;")})], top / "fix.ko"
    ),
    "output-exists": lambda top: convert([_put(top, {"fix.patch": DIFF.format("int b;")})], top),
}


@pytest.mark.parametrize("code", REFUSED)
def test_the_example_is_what_is_printed(code: str, tmp_path: Path) -> None:
    top = tmp_path / "fix.livepatch"
    top.mkdir()
    with pytest.raises(Refusal) as refused:
        REFUSED[code](top)
    shows(refused.value, code)
    assert not (tmp_path / "a.patch").exists()


def test_a_directory_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmodule, "MOST_BYTES", 1 << 20)
    with pytest.raises(Refusal) as refused:
        _read(
            _put(tmp_path / "fix", {"Makefile": "", "a.c": "int something;\n" * (1 << 17)}).parent
        )
    shows(refused.value, "source-too-large")

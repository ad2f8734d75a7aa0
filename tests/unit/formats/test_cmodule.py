# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files make up an author's module, and what it is written for."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats import cmodule
from suture.formats.cmodule import Dialect
from suture.kernel.config import Config

KGRAFT = '#include <linux/kgraft.h>\n#include "fix.h"\n'
LIVEPATCH = "#include <linux/livepatch.h>\nstatic struct klp_patch patch;\n"


def write(top: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


def read(path: Path) -> cmodule.ModuleSource:
    return cmodule.read(path, Config({}), "6.1.0-test")


def test_c_file_brings_the_headers_that_it_includes(tmp_path: Path) -> None:
    files = {
        "kgr-fix.c": KGRAFT,
        "fix.h": '#include "sub/more.h"\n',
        "sub/more.h": "",
        "other.h": "",
        "other.c": "",
    }
    (module,) = read(write(tmp_path, files) / "kgr-fix.c").modules
    assert (module.name, module.parts, module.dialect) == (
        "kgr_fix",
        ("kgr-fix.c",),
        Dialect.KGRAFT,
    )
    assert set(module.files) == {"kgr-fix.c", "fix.h", "sub/more.h"}


def test_dialect_is_told_from_what_is_included_too(tmp_path: Path) -> None:
    """lib/livepatch/test_klp_state3.c is test_klp_state2.c once more."""
    top = write(tmp_path, {"a.c": LIVEPATCH, "b.c": '#include "a.c"\n', "c.c": "int x;\n"})
    (top / "Makefile").write_text("obj-m := a.o b.o c.o\n")
    dialects = [module.dialect for module in read(top).modules]
    assert dialects == [Dialect.LIVEPATCH, Dialect.LIVEPATCH, Dialect.PLAIN]


def test_place_of_a_name_is_found(tmp_path: Path) -> None:
    (module,) = read(
        write(tmp_path, {"a.c": "int one;\nint two_;\nint two(void);\n"}) / "a.c"
    ).modules
    assert module.line_of("two") == "a.c:3"
    assert module.line_of("three") == str(tmp_path / "a.c")


def test_place_of_a_definition_is_found(tmp_path: Path) -> None:
    text = "int two(void);\n/* two() */\nstatic int one(void)\n{\n\treturn two();\n}\nint\n two(void)\n{\n}\nint two (\n"
    (module,) = read(write(tmp_path, {"a.c": text}) / "a.c").modules
    assert module.definition_of("one", "a.c") == "a.c:3"
    assert module.definition_of("two", "a.c") == "a.c:11"
    assert module.definition_of("three", "a.c") == "a.c"


@pytest.mark.parametrize(
    ("files", "given", "code", "where"),
    [
        ({"in/a.c": '#include "../out.h"\n', "out.h": ""}, "in/a.c", "source-escapes", "a.c:1"),
        ({"a.c": '\n#include "/etc/passwd"\n'}, "a.c", "source-escapes", "a.c:2"),
        (
            {"in/Makefile": "obj-m := a.o", "in/a.c": '#include "../out.h"\n'},
            "in",
            "source-escapes",
            "a.c:1",
        ),
        ({"a.c": '#include "b.h"\n', "b.h": '\n#include "a.c"\n'}, "a.c", "include-cycle", "b.h:2"),
        ({"a.c": '#include "a.c"\n'}, "a.c", "include-cycle", "a.c:1"),
        ({"my fix.c": ""}, "my fix.c", "not-a-module-source", "my fix.c"),
        ({"in/a.c": ""}, "in", "not-a-module-source", "in"),
        ({}, "gone.c", "file-unreadable", "gone.c"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, files: dict[str, str], given: str, code: str, where: str
) -> None:
    with pytest.raises(Refusal) as caught:
        read(write(tmp_path, files) / given)
    assert caught.value.code == code
    assert caught.value.where in (where, str(tmp_path / where))


def test_link_that_leads_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"in/Makefile": "obj-m := a.o\n", "out.c": ""})
    (tmp_path / "in" / "a.c").symlink_to("../out.c")
    with pytest.raises(Refusal, match="source-escapes"):
        read(tmp_path / "in")


def test_headers_with_guards_may_include_each_other(tmp_path: Path) -> None:
    guarded = '#ifndef {0}_H\n#define {0}_H\n#include "{1}.h"\n#endif\n'
    files = {
        "a.c": '#include "b.h"\n',
        "b.h": guarded.format("B", "c"),
        "c.h": guarded.format("C", "b"),
    }
    assert set(read(write(tmp_path, files) / "a.c").modules[0].files) == set(files)


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cmodule, "MOST_BYTES", 10)
    with pytest.raises(Refusal, match="source-too-large"):
        read(write(tmp_path, {"Makefile": "", "a.c": "int something;\n"}))

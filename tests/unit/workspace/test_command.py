# SPDX-License-Identifier: GPL-2.0-or-later
"""kbuild's saved commands, written by kbuild's own rules of quoting."""

from __future__ import annotations

import pytest

from suture.workspace.command import announced, dependencies, parse

SAVED = (
    "{prefix}cmd_fs/x.o := gcc-12 -Wp,-MMD,fs/.x.o.d -I./include -DKBUILD_MODFILE='\"fs/m\"' -DA='$$b' "
    "-DP='$(pound)' {module} -DKBUILD_MODNAME='\"my_mod\"' -c -o fs/x.o fs/x.c   {objtool}\n\n"
    "source_fs/x.o := fs/x.c\n\ndeps_fs/x.o := \\\n    $(wildcard include/config/MMU) \\\n  include/linux/a.h \\\n"
    "  fs/../lib/b.h \\\n\nfs/x.o: $(deps_fs/x.o)\n\n$(deps_fs/x.o):\n"
)


def saved(prefix: str = "", module: str = "", objtool: str = "") -> str:
    return SAVED.format(prefix=prefix, module=module, objtool=objtool)


@pytest.mark.parametrize("prefix", ["", "saved"])
def test_both_spellings_are_read(prefix: str) -> None:
    made = parse("fs/x.o", saved(prefix, objtool="; ./tools/objtool/objtool --orc fs/x.o"))
    assert [step[0] for step in made.steps] == ["gcc-12", "./tools/objtool/objtool"]
    assert made.dependencies == ("fs/x.c", "include/linux/a.h", "fs/../lib/b.h")
    assert made.reads == {"fs/x.c", "include/linux/a.h", "lib/b.h"}


def test_make_and_shell_quoting_are_undone() -> None:
    words = parse("fs/x.o", saved()).steps[0]
    assert '-DKBUILD_MODFILE="fs/m"' in words
    assert "-DA=$b" in words
    assert "-DP=#" in words


def test_the_module_is_known_from_the_flags() -> None:
    assert parse("fs/x.o", saved()).modname is None
    assert parse("fs/x.o", saved(module="-DMODULE")).modname == "my_mod"


def test_only_outputs_are_redirected() -> None:
    made = parse("fs/x.o", saved(objtool="; ./tools/objtool/objtool --orc fs/x.o"))
    compiler, objtool = made.redirected("/tmp/o.o", "/tmp/o.d")
    assert compiler[1] == "-Wp,-MMD,/tmp/o.d"
    assert compiler[-3:] == ("-o", "/tmp/o.o", "fs/x.c")
    assert objtool[-1] == "/tmp/o.o"
    changed = [word for word, old in zip(compiler, made.steps[0], strict=True) if word != old]
    assert changed == ["-Wp,-MMD,/tmp/o.d", "/tmp/o.o"]


@pytest.mark.parametrize("text", ["", "cmd_fs/x.o := gcc\n", "source_fs/x.o := fs/x.c\n"])
def test_an_incomplete_file_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"fs/x\.o"):
        parse("fs/x.o", text)


def test_dependencies_as_gcc_writes_them() -> None:
    assert dependencies("x.o: fs/x.c \\\n include/a.h fs/with\\ space.h \\\n last.h\n") == (
        "fs/x.c",
        "include/a.h",
        "fs/with space.h",
        "last.h",
    )


def test_what_kbuild_announces_is_what_a_shell_would_run() -> None:
    text = (
        "fs/x.c\ngcc -Wp,-MMD,fs/.x.o.d -DNAME='\"x\"' -c -o fs/x.o fs/x.c ; ./objtool --x fs/x.o\n"
    )
    found = announced("fs/x.o", text)
    assert found.source == "fs/x.c"
    assert found.steps[1] == ("./objtool", "--x", "fs/x.o")
    assert found.preprocessing("/t/x.i", "/t/d") == (
        *("gcc", "-Wp,-MMD,/t/d", '-DNAME="x"', "-E", "-o", "/t/x.i", "fs/x.c"),
    )


@pytest.mark.parametrize("text", ["", "fs/x.c", "\ngcc -c x.c\n"])
def test_an_incomplete_announcement_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no command"):
        announced("fs/x.o", text)

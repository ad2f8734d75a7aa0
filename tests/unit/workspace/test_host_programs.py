# SPDX-License-Identifier: GPL-2.0-or-later
"""kbuild's programs that one workspace takes from another: only what would be made the same."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from suture.workspace import host_programs

SOURCES = {
    "scripts/kconfig/conf.c": "int conf;\n",
    "scripts/kconfig/expr.c": "int expr;\n",
    "scripts/kconfig/expr.h": "",
    "scripts/kconfig/parser.y": "%%\n",
    "scripts/mod/empty.c": "",
    "scripts/sorttable.c": "",
    "tools/objtool/Makefile": "",
    "tools/objtool/check.c": "",
    "tools/objtool/include/objtool/check.h": "",
    "tools/lib/subcmd/pager.c": "",
    "tools/lib/subcmd/pager.h": "",
    "tools/lib/bpf/libbpf.c": "",
    "tools/arch/x86/tools/gen-insn-attr-x86.awk": "",
    "tools/arch/x86/lib/x86-opcode-map.txt": "",
    "tools/build/Makefile.build": "",
}

OLD_ROOT = "/cache/workspaces/6.1.0-50-amd64-0/.part-x/tree"
OBJTOOL = "tools/objtool"


def note(product: str, command: str, *read: str) -> str:
    """The text of a ``.cmd`` file, as fixdep writes it."""
    lines = "".join(f"  {name} \\\n" for name in read)
    return (
        f"savedcmd_{product} := {command}\n\ndeps_{product} := \\\n{lines}\n"
        f"{product}: $(deps_{product})\n\n$(deps_{product}):\n"
    )


def compiled(product: str, source: str, *read: str, flags: str = "-O2") -> dict[str, str]:
    """A product and its note."""
    directory, _, name = product.rpartition("/")
    text = note(product, f"gcc {flags} -c -o {product} {source}", *read)
    return {product: f"made of {source}", f"{directory}/.{name}.cmd": text}


CONF = "scripts/kconfig/conf"
PARSER = "scripts/kconfig/parser.tab"
OFFSET = "scripts/kconfig/expr.h"

PRODUCTS = {
    **compiled(f"{CONF}.o", f"{CONF}.c", OFFSET),
    **compiled("scripts/kconfig/expr.o", "scripts/kconfig/expr.c", OFFSET),
    CONF: "linked",
    "scripts/kconfig/.conf.cmd": f"savedcmd_{CONF} := gcc -o {CONF} {CONF}.o "
    f"scripts/kconfig/expr.o {PARSER}.o\n",
    f"{PARSER}.c": "parser",
    f"{PARSER}.h": "parser",
    "scripts/kconfig/.parser.tab.c.cmd": f"savedcmd_{PARSER}.c := bison -o {PARSER}.c "
    f"--defines={PARSER}.h -t -l scripts/kconfig/parser.y\n",
    **compiled(f"{PARSER}.o", f"{PARSER}.c", f"{PARSER}.h", OFFSET),
    **compiled("scripts/mod/empty.o", "scripts/mod/empty.c", flags="-D__KERNEL__"),
    **compiled(
        "scripts/sorttable", "scripts/sorttable.c", "$(wildcard include/config/PHYS_ADDR_T_64BIT)"
    ),
    f"{OBJTOOL}/objtool": "linked",
    f"{OBJTOOL}/arch/x86/lib/inat-tables.c": "tables",
    f"{OBJTOOL}/check.o": "check",
    f"{OBJTOOL}/.check.o.cmd": note(
        f"{OLD_ROOT}/{OBJTOOL}/check.o",
        f"gcc -I{OLD_ROOT}/tools/include -c -o {OLD_ROOT}/{OBJTOOL}/check.o check.c",
        "/usr/include/stdio.h",
        f"{OLD_ROOT}/{OBJTOOL}/include/objtool/check.h",
        "arch/x86/lib/inat-tables.c",
    ),
    f"{OBJTOOL}/libsubcmd/pager.o": "pager",
    f"{OBJTOOL}/libsubcmd/.pager.o.cmd": note(
        f"{OLD_ROOT}/{OBJTOOL}/libsubcmd/pager.o", "gcc -c pager.c", "pager.h"
    ),
}


def written(top: Path, files: dict[str, str], time: int) -> Path:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (time, time))
    return top


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A tree in which kbuild has made its programs."""
    tree = written(tmp_path / "other", {**SOURCES, ".config": ""}, 1_000_000_000)
    return written(tree, PRODUCTS, 1_000_000_100)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return written(tmp_path / "tree", SOURCES, 1_000_000_001)


def same(_: Iterable[str]) -> bool:
    return True


def taken(tree: Path, other: Path) -> set[str]:
    """The products that were taken, without their notes."""
    found = {str(path.relative_to(tree)) for path in host_programs.take(tree, other, same)}
    assert all((tree / name).is_file() for name in found)
    return {name for name in found if not name.endswith(".cmd")}


IN_SCRIPTS = {
    *(f"scripts/kconfig/{name}" for name in ("conf", "conf.o", "expr.o")),
    *(f"{PARSER}.{suffix}" for suffix in "cho"),
    "scripts/sorttable",
}
IN_OBJTOOL = {
    f"{OBJTOOL}/{name}"
    for name in ("objtool", "check.o", "libsubcmd/pager.o", "arch/x86/lib/inat-tables.c")
}


def test_what_this_host_made_of_the_same_is_taken(tree: Path, other: Path) -> None:
    assert taken(tree, other) == IN_SCRIPTS | IN_OBJTOOL
    assert (tree / CONF).read_text() == "linked"


def test_a_product_of_the_targets_compiler_is_not_taken(tree: Path, other: Path) -> None:
    taken(tree, other)
    assert not (tree / "scripts/mod/empty.o").exists()


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        (f"{CONF}.c", {CONF, f"{CONF}.o"}),
        (
            "scripts/kconfig/expr.h",
            {CONF, f"{CONF}.o", "scripts/kconfig/expr.o", f"{PARSER}.o"},
        ),
        ("scripts/kconfig/parser.y", {CONF, *(f"{PARSER}.{suffix}" for suffix in "cho")}),
        ("scripts/sorttable.c", {"scripts/sorttable"}),
        ("scripts/mod/empty.c", set()),
        (f"{OBJTOOL}/check.c", IN_OBJTOOL),
        (f"{OBJTOOL}/include/objtool/check.h", IN_OBJTOOL),  # named by its old path
        ("tools/lib/subcmd/pager.h", IN_OBJTOOL),  # named from another directory
        ("tools/lib/bpf/libbpf.c", set()),  # not a part of it
        ("tools/arch/x86/tools/gen-insn-attr-x86.awk", IN_OBJTOOL),  # no note names it
        ("tools/build/Makefile.build", IN_OBJTOOL),
        (f"{OBJTOOL}/new.c", IN_OBJTOOL),
    ],
)
@pytest.mark.parametrize("removed", [False, True])
def test_what_is_made_of_something_else_is_not_taken(
    tree: Path, other: Path, changed: str, missing: set[str], removed: bool
) -> None:
    (tree / changed).write_text("/* another */\n")
    if removed:
        (tree / changed).unlink()
    if not removed or changed in SOURCES:
        assert taken(tree, other) == (IN_SCRIPTS | IN_OBJTOOL) - missing


def test_a_name_counts_as_each_file_that_it_may_mean(tree: Path, other: Path) -> None:
    """``pager.h`` is tools/lib/subcmd's, but that is not noted."""
    for top, text in ((tree, "one"), (other, "two")):
        written(top, {"tools/lib/api/pager.h": text}, 1_000_000_000)
    assert taken(tree, other) == IN_SCRIPTS


BITS = "tools/include/linux/bits.h"
CHECK = "#include <linux/bits.h>\n#ifdef MORE\nint more;\n#endif\nint check = BITS;\n"


@pytest.fixture
def compiled_objtool(tree: Path, other: Path) -> None:
    """Both trees have a header that an object of objtool reads."""
    for top in (tree, other):
        written(top, {BITS: "#define BITS 8\n", f"{OBJTOOL}/check.c": CHECK}, 1_000_000_000)
    directory = f"{OLD_ROOT}/{OBJTOOL}"
    command = (
        f"gcc -Wp,-MD,{directory}/.check.o.d -Wp,-MT,{directory}/check.o -O2 "
        f'-I{OLD_ROOT}/tools/include -D"BUILD_STR(s)=$(pound)s" -c -o {directory}/check.o check.c'
    )
    text = note(f"{directory}/check.o", command, f"{OLD_ROOT}/{BITS}")
    written(other, {f"{OBJTOOL}/.check.o.cmd": text}, 1_000_000_100)


@pytest.mark.parametrize(
    ("changed", "is_taken"),
    [
        ({BITS: "#define BITS 8\n#define UNUSED 1\n"}, True),
        ({BITS: "/* eight */\n#define BITS 8\n"}, True),
        ({BITS: "#define BITS 16\n"}, False),
        ({BITS: "#define BITS 8\n#define MORE 1\n"}, False),
        ({BITS: "#define BITS __LINE__\n"}, False),
        ({BITS: "#error no\n"}, False),
        ({"tools/include/new.h": ""}, False),  # may stand before a header that a note names
    ],
)
def test_objtool_is_taken_where_another_header_comes_to_the_same(
    compiled_objtool: None, changed: dict[str, str], is_taken: bool, tree: Path, other: Path
) -> None:
    written(tree, changed, 1_000_000_000)
    assert taken(tree, other) == IN_SCRIPTS | (IN_OBJTOOL if is_taken else set())
    assert (tree / f"{OBJTOOL}/check.o").exists() == is_taken


def test_a_product_that_reads_an_option_wants_it_the_same(tree: Path, other: Path) -> None:
    asked: set[str] = set()

    def differs(names: Iterable[str]) -> bool:
        asked.update(names)
        return not set(names)

    found = host_programs.take(tree, other, differs)
    assert asked == {"PHYS_ADDR_T_64BIT"}
    assert tree / "scripts/sorttable" not in found
    assert tree / CONF in found


def test_objtools_notes_name_the_new_tree(tree: Path, other: Path) -> None:
    """kbuild compares the noted command with its own, and would make objtool again."""
    taken(tree, other)
    text = (tree / f"{OBJTOOL}/.check.o.cmd").read_text()
    assert OLD_ROOT not in text
    assert f"cmd_{tree}/{OBJTOOL}/check.o := gcc -I{tree}/tools/include" in text
    assert OLD_ROOT in (other / f"{OBJTOOL}/.check.o.cmd").read_text()


def test_make_finds_nothing_to_do(tree: Path, other: Path) -> None:
    """What was taken has one time, and sources are older."""
    times = {path.stat().st_mtime_ns for path in host_programs.take(tree, other, same)}
    assert len(times) == 1
    rules = f"{CONF}: {CONF}.o\n\tfalse\n{CONF}.o: {CONF}.c\n\tfalse\n"
    command = ["make", "-q", "-f", "-", CONF]
    assert subprocess.run(command, cwd=tree, input=rules, text=True).returncode == 0


def test_the_other_tree_stays_as_it_is(tree: Path, other: Path) -> None:
    def state() -> dict[Path, tuple[int, int]]:
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_nlink)
            for path in other.rglob("*")
            if path.is_file()
        }

    before = state()
    assert taken(tree, other)
    assert state() == before


def test_the_identity_changes_with_a_header_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = written(tmp_path / "include", {"sys/stat.h": "int stat;\n"}, 1_000_000_000)
    monkeypatch.setattr(host_programs, "SYSTEM_HEADERS", (headers,))
    first = host_programs.identity()
    assert host_programs.identity() == first
    written(headers, {"sys/stat.h": "int stat;\n"}, 1_000_000_001)
    assert host_programs.identity() != first


def test_the_identity_changes_with_the_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_programs, "SYSTEM_HEADERS", ())
    first = host_programs.identity()
    (tmp_path / "gcc").write_text('#!/bin/sh\nexec /usr/bin/gcc "$@"\n')
    (tmp_path / "gcc").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    monkeypatch.setattr(host_programs, "clean_environment", lambda: {"PATH": path})
    assert host_programs.identity() != first

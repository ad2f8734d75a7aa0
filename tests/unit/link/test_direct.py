# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read of kbuild's own commands, and which modules they are good for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from suture.elf import reader
from suture.link import direct, precompiled, recorded
from suture.link.recorded import COMMON, GLUE, PART, PROBE
from suture.workspace.kbuild import clean_environment
from tests.unit.toolchain import compile_c

PLAIN = reader.read(compile_c("int answer(void) { return 42; }"), "plain.o")
TABLES = "static int tables[];\n"


def left_by_kbuild(directory: Path) -> None:
    """As 6.1 leaves it, with fewer options."""

    def saved(name: str, command: str) -> None:
        rest = f"source_{name} := {name}.c\n\ndeps_{name} := \\\n  include/linux/kconfig.h \\\n"
        (directory / f".{name}.cmd").write_text(f"cmd_{directory}/{name} := {command}\n\n{rest}")

    at = str(directory)
    compiler = (
        "gcc -Wp,-MMD,{0}/.{1}.o.d -I./include -DKBUILD_MODNAME='\"{2}\"' -c -o {0}/{1}.o {0}/{1}.c"
    )
    objtool = f"./tools/objtool/objtool --module {at}/{GLUE}.o"
    saved(f"{GLUE}.o", f"{compiler.format(at, GLUE, PROBE)} ; {objtool}")
    saved(f"{PART}.o", compiler.format(at, PART, PROBE))
    saved(f"{PROBE}.mod.o", compiler.format(at, f"{PROBE}.mod", PROBE))
    saved(f"{PROBE}.mod", f"printf '%s\\n' > {at}/{PROBE}.mod")
    saved(f"{PROBE}.o", f"ld -r -o {at}/{PROBE}.o @{at}/{PROBE}.mod")
    saved("modules.order", "true")
    saved("Module.symvers", f"sed 's/ko$$/o/' {at}/modules.order | scripts/mod/modpost -m -T -")
    saved(f"{PROBE}.ko", f"ld -r -o {at}/{PROBE}.ko {at}/{PROBE}.o {at}/{PROBE}.mod.o;  true")
    (directory / f"{PROBE}.mod").write_text(f"{at}/{GLUE}.o\n{at}/{PART}.o\n")
    (directory / "modules.order").write_text(f"{at}/{PROBE}.ko\n")


def test_the_commands_are_read_as_the_shell_and_the_compiler_get_them(tmp_path: Path) -> None:
    left_by_kbuild(tmp_path)
    commands = recorded.read(tmp_path)
    assert commands is not None
    compiler, objtool = commands.glue
    assert f'-DKBUILD_MODNAME="{PROBE}"' in compiler
    assert objtool[0] == "./tools/objtool/objtool"
    place = Path("/elsewhere/fix")
    assert (
        commands.for_module(commands.modpost, place, "fix")
        == "sed 's/ko$/o/' /elsewhere/fix/modules.order | scripts/mod/modpost -m -T -"
    )
    assert (
        commands.for_module(commands.finish, place, "fix")
        == "ld -r -o /elsewhere/fix/fix.ko /elsewhere/fix/fix.o /elsewhere/fix/fix.mod.o;  true"
    )
    assert commands.for_module(commands.order, place, "fix") == "/elsewhere/fix/fix.ko\n"


@pytest.mark.parametrize("name", [f"{PROBE}.usyms", "another.o"])
def test_a_kbuild_that_makes_more_is_not_understood(name: str, tmp_path: Path) -> None:
    """CONFIG_TRIM_UNUSED_KSYMS makes a list of undefined symbols, for one."""
    left_by_kbuild(tmp_path)
    (tmp_path / f".{name}.cmd").write_text(f"cmd_{name} := true\n")
    assert recorded.read(tmp_path) is None


def test_a_kbuild_that_leaves_something_out_is_not_understood(tmp_path: Path) -> None:
    left_by_kbuild(tmp_path)
    (tmp_path / ".Module.symvers.cmd").unlink()
    assert recorded.read(tmp_path) is None


def test_a_kbuild_that_lists_the_objects_in_another_way_is_not_understood(tmp_path: Path) -> None:
    """From where it runs, for one."""
    left_by_kbuild(tmp_path)
    (tmp_path / f"{PROBE}.mod").write_text(f"{GLUE}.o\n{PART}.o\n")
    assert recorded.read(tmp_path) is None


def test_what_modules_have_in_common_must_not_name_them(tmp_path: Path) -> None:
    left_by_kbuild(tmp_path)
    saved = tmp_path / f".{COMMON}.cmd"
    saved.write_text(f"cmd_{tmp_path}/{COMMON} := gcc -c -o {tmp_path}/{COMMON} common.c\n")
    assert recorded.read(tmp_path) is not None
    saved.write_text(saved.read_text().replace("gcc", f"gcc -DNAME={PROBE}"))
    assert recorded.read(tmp_path) is None


def test_a_live_patch_is_linked_by_the_commands(tmp_path: Path) -> None:
    assert direct.applies_to(tmp_path, tmp_path, "fix", TABLES, {"part_0": PLAIN})


@pytest.mark.parametrize("glue", ["EXPORT_SYMBOL_GPL(f);", 'MODULE_VERSION("1");'])
def test_what_kbuild_does_more_for_is_left_to_it(glue: str, tmp_path: Path) -> None:
    assert not direct.applies_to(tmp_path, tmp_path, "fix", glue, {"part_0": PLAIN})


def test_an_author_who_gives_the_module_a_version_gets_it_from_kbuild(tmp_path: Path) -> None:
    info = '__attribute__((section(".modinfo"))) const char info[] = '
    for text, expected in (("a=b\\0version=1", False), ("version=1", False), ("inversion=1", True)):
        obj = reader.read(compile_c(f'{info}"{text}";'), "author.o")
        assert direct.applies_to(tmp_path, tmp_path, "fix", TABLES, {"part_0": obj}) == expected


def test_a_name_that_two_files_would_have_is_left_to_kbuild(tmp_path: Path) -> None:
    for name in (GLUE, "part_0"):
        assert not direct.applies_to(tmp_path, tmp_path, name, TABLES, {"part_0": PLAIN})


def test_a_tree_with_a_kernel_in_it_is_left_to_kbuild(tmp_path: Path) -> None:
    """kbuild makes BTF there."""
    (tmp_path / "vmlinux").touch()
    assert not direct.applies_to(tmp_path, tmp_path, "fix", TABLES, {"part_0": PLAIN})


def test_a_place_that_a_shell_would_take_apart_is_left_to_kbuild(tmp_path: Path) -> None:
    assert not direct.applies_to(tmp_path, tmp_path / "a b", "fix", TABLES, {"part_0": PLAIN})


HEADERS = {
    "linux/first.h": "#define FIRST 1\nextern int first(void);\n",
    "linux/module.h": "#ifndef MODULE_H\n#define MODULE_H\n#define MODULE_NAME KBUILD_MODNAME\n"
    "static inline int counted(void) { return __COUNTER__; }\n#endif\n",
}
SOURCE = (
    "// begins with a comment\n#include <linux/module.h>\n\n"
    "const char *name = MODULE_NAME; int f(void) { return counted() + FIRST + __COUNTER__; }\n"
)


def tree(root: Path, **more: str) -> list[str]:
    """A tree with headers; returns the compiler's command for the probe."""
    for path, text in (HEADERS | more).items():
        (root / "include" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "include" / path).write_text(text)
    defined = f'-DKBUILD_MODNAME="{PROBE}"'
    options = ["-O2", "-I./include", "-include", "./include/linux/first.h", "-DMODULE", defined]
    return ["gcc", "-Wp,-MMD,x.d", *options, "-c", "-o", "x.o", "x.c"]


def test_precompiled_headers_make_the_same_bytes(tmp_path: Path) -> None:
    words = tree(tmp_path)
    compiler = precompiled.parse_command(words)
    assert compiler is not None
    kept, place = tmp_path / "kept", tmp_path / "place"
    place.mkdir()
    assert precompiled.make(compiler, SOURCE, tmp_path, clean_environment(), kept)
    assert precompiled.applies_to(compiler, kept, SOURCE)
    assert not precompiled.applies_to(compiler, kept, "int f;\n" + SOURCE)

    source = place / "x.c"
    source.write_text(SOURCE)
    fast = precompiled.command(compiler, kept, "fix", source, place)
    assert [word for word in fast if word in ("./include/linux/first.h", "-Wp,-MMD,x.d")] == []
    used = subprocess.run([*fast, "-H"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert f"! {kept}/headers.h.gch" in used.stderr  # gcc(1) on -H: it was valid, and used
    made = (place / "x.o").read_bytes()
    slow = [word.replace(PROBE, "fix") for word in words[:-2]]
    subprocess.run([*slow, place / "x.o", source], cwd=tmp_path, check=True)
    assert made == (place / "x.o").read_bytes()


def test_headers_that_use_the_modules_name_are_not_precompiled(tmp_path: Path) -> None:
    own = "static inline const char *own(void) { return KBUILD_MODNAME; }\n"
    compiler = precompiled.parse_command(tree(tmp_path, **{"linux/module.h": own}))
    assert compiler is not None
    kept = tmp_path / "kept"
    assert not precompiled.make(compiler, SOURCE, tmp_path, clean_environment(), kept)


@pytest.mark.parametrize("more", [f"-frandom-seed={PROBE}", f"-I/elsewhere/{PROBE}"])
def test_a_compiler_that_is_told_the_name_in_another_way_is_not_taken_apart(
    more: str, tmp_path: Path
) -> None:
    first, *rest = tree(tmp_path)
    assert precompiled.parse_command([first, more, *rest]) is None


def test_a_header_from_elsewhere_is_not_precompiled(tmp_path: Path) -> None:
    first, *rest = tree(tmp_path)
    elsewhere = os.fspath(tmp_path / "elsewhere.h")
    assert precompiled.parse_command([first, "-include", elsewhere, *rest]) is None

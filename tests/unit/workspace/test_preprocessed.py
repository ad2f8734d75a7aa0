# SPDX-License-Identifier: GPL-2.0-or-later
"""What of a preprocessed text counts; what the compiler makes of it is the witness."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.workspace.preprocessed import essence

USER = "int g(int x)\n{\n\treturn f(x);\n}\n"


def preprocessed(source: str, directory: Path) -> bytes:
    (directory / "x.c").write_text(source)
    return subprocess.run(
        ["gcc", "-E", "x.c"], cwd=directory, capture_output=True, check=True
    ).stdout


def compiled(source: str, directory: Path) -> bytes:
    (directory / "x.c").write_text(source)
    subprocess.run(["gcc", "-O2", "-w", "-c", "-o", "x.o", "x.c"], cwd=directory, check=True)
    return (directory / "x.o").read_bytes()


def same(old: str, new: str, directory: Path, *options: str) -> bool:
    return (
        essence(preprocessed(old, directory), options).digest
        == essence(preprocessed(new, directory), options).digest
    )


def inline(name: str, value: str, attributes: str = "") -> str:
    return f"static inline {attributes} int {name}(int x)\n{{\n\treturn {value};\n}}\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int a;\n", "/* a comment */\n\n   int a;   \n"),
        (inline("f", "x + 1") + "int a;\n", inline("f", "x + 2") + "int a;\n"),
        (inline("f", "x + 1") + "int a;\n", "int a;\n"),
        (
            inline("f", "x") + inline("h", "f(x)") + "int a;\n",
            inline("f", "x") + inline("h", "f(x) * 2") + "int a;\n",
        ),
        (
            inline("f", "'{'") + inline("h", '"}"[x]') + USER,
            inline("f", "'{'") + inline("h", '"}{"[x]') + USER,
        ),
        ("#define M 1\nint a;\n", "#define M 2\nint a;\n"),
    ],
)
def test_what_the_compiler_does_not_see_or_drops_is_no_difference(
    old: str, new: str, tmp_path: Path
) -> None:
    assert same(old, new, tmp_path)
    assert compiled(old, tmp_path) == compiled(new, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int a = 1;\n", "int a = 2;\n"),
        ('char *s = "a b";\n', 'char *s = "a  b";\n'),
        ("int f(void)\n{\n\treturn __LINE__;\n}\n", "\nint f(void)\n{\n\treturn __LINE__;\n}\n"),
        (inline("f", "x + 1") + USER, inline("f", "x + 2") + USER),
        # mentioned through another
        (
            inline("e", "x") + inline("f", "e(x)") + USER,
            inline("e", "x * 3") + inline("f", "e(x)") + USER,
        ),
        # mentioned by assembly alone
        (
            inline("f", "x + 1", "__attribute__((used))"),
            inline("f", "x + 2", "__attribute__((used))"),
        ),
        # two on a line: the second is mentioned
        (
            inline("e", "x").replace("\n", " ")
            + inline("f", "x + 1").replace("\n", " ")
            + "\n"
            + USER,
            inline("e", "x").replace("\n", " ")
            + inline("f", "x + 2").replace("\n", " ")
            + "\n"
            + USER,
        ),
        (inline("f", "__builtin_LINE()") + USER, "\n" + inline("f", "__builtin_LINE()") + USER),
        # the name is not the first thing with parentheses behind it
        (
            "static inline __typeof__(0) f(int x)\n{\n\treturn 1;\n}\n" + USER,
            "static inline __typeof__(0) f(int x)\n{\n\treturn 2;\n}\n" + USER,
        ),
        # an attribute on the line before
        (
            "__attribute__((used))\nstatic inline int f(int x)\n{\n\treturn 1;\n}\n",
            "__attribute__((used))\nstatic inline int f(int x)\n{\n\treturn 2;\n}\n",
        ),
    ],
)
def test_what_may_change_the_object_is_a_difference(old: str, new: str, tmp_path: Path) -> None:
    assert not same(old, new, tmp_path)
    assert compiled(old, tmp_path) != compiled(new, tmp_path)


def test_a_name_in_assembly_is_a_mention(tmp_path: Path) -> None:
    user = 'asm(".globl g\\ng: jmp f");\n'
    assert not same(inline("f", "x + 1") + user, inline("f", "x + 2") + user, tmp_path)


def test_positions_count_where_a_sanitizer_writes_them_down(tmp_path: Path) -> None:
    assert same("int a;\n", "\nint a;\n", tmp_path)
    assert not same("int a;\n", "\nint a;\n", tmp_path, "-fsanitize=undefined")


def test_inline_functions_that_leave_nothing_behind_are_named(tmp_path: Path) -> None:
    kept = inline("k", "x", "__attribute__((used))")
    text = (
        inline("e", "x")
        + inline("f", "e(x)")
        + inline("h", "x")
        + inline("i", "h(x)")
        + kept
        + USER
    )
    assert essence(preprocessed(text, tmp_path), ()).unmentioned == frozenset({b"h", b"i"})
    assert (
        essence(preprocessed(text, tmp_path), ("-fsanitize=kernel-address",)).unmentioned
        == frozenset()
    )

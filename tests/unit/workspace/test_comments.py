# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that differ in comments alone, and what only looks like a comment."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.workspace.comments import only_comments_differ
from suture.workspace.lines import renumber

CODE = "#define X(a) \\\n\tdo { f(a, __LINE__); } while (0)\nint g(void)\n{\n\tX(1);\n\treturn __LINE__;\n}\n"


def preprocessed(text: bytes, directory: Path) -> list[bytes]:
    """The tokens that the compiler sees, by GCC."""
    (directory / "x.h").write_bytes(text)
    command = ["gcc", "-E", "-P", "x.h"]
    return subprocess.run(command, cwd=directory, capture_output=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (CODE, "/* one\n * two\n */\n" + CODE),
        (CODE, CODE.replace("int g", "\n\n/* g() */\n// and more\nint g")),
        (CODE, CODE.replace("return", "/*\n * why\n */\n\treturn")),
        (CODE, CODE.replace("X(1);", "X(1); /* one */")),
        ("/* a */\n" + CODE, CODE),
        ("/* isn't \"\n */\n" + CODE, "/* is \n\n */\n" + CODE),
    ],
)
def test_comments_alone(old: str, new: str, tmp_path: Path) -> None:
    assert only_comments_differ(old.encode(), new.encode())
    assert preprocessed(old.encode(), tmp_path) == preprocessed(
        renumber(old.encode(), new.encode()), tmp_path
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (CODE, CODE.replace("f(a", "h(a")),
        ("int a;\n", "/* int a; */\n"),
        ("// a\nint b;\n", "// a \\\nint b;\n"),
        ("int a;\n", "/\\\n* int a; */\n"),
        ("#include <a//b.h>\n", "#include <a//c.h>\n"),
        ('char *s = "/* a */";\n', 'char *s = "/* b */";\n'),
        (
            "char c = '\"'; /* a */ int b = 1; /* \" */\n",
            "char c = '\"'; /* a */ int b = 2; /* \" */\n",
        ),
        ("#define X a \\\n\tb\nX\n", "#define X a \\\n\n\tb\nX\n"),
        ("#define X /* a\n */ 1\nint a = X;\n", "#define X /*\n a */\n 1\nint a = X;\n"),
        ("int a = 1;\n/* b */\n", "int a = 1;\n/* b\n"),
    ],
)
def test_more_than_comments(old: str, new: str) -> None:
    assert not only_comments_differ(old.encode(), new.encode())

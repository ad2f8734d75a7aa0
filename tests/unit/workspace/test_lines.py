# SPDX-License-Identifier: GPL-2.0-or-later
"""Line numbers of unchanged code: what the preprocessor itself says of ``__LINE__`` is the
witness."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suture.workspace.lines import renumber


def line_numbers(text: str, *options: str) -> dict[str, int]:
    """From each marker ``L(name)`` in a C text to the ``__LINE__`` there."""
    source = "#define L(name) MARK name __LINE__ END\n#line 1\n" + text
    command = ["gcc", "-E", "-P", *options, "-x", "c", "-"]
    out = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
    return {name: int(number) for name, number in re.findall(r"MARK (\w+) (\d+) END", out)}


def renumbered(old: str, new: str) -> str:
    return renumber(old.encode(), new.encode()).decode()


def test_lines_after_an_insertion_keep_their_numbers() -> None:
    old = "L(a)\nL(b)\nL(c)\n"
    new = "L(a)\nx;\ny;\nL(b)\nL(c)\n"
    assert line_numbers(renumbered(old, new)) == line_numbers(old)


def test_lines_after_a_deletion_keep_their_numbers() -> None:
    old = "L(a)\nx;\ny;\nL(b)\nL(c)\n"
    new = "L(a)\nL(b)\nL(c)\n"
    assert line_numbers(renumbered(old, new)) == line_numbers(old)


def test_added_lines_count_on_from_the_line_before() -> None:
    assert line_numbers(renumbered("L(a)\nL(b)\n", "L(a)\nL(n)\nL(b)\n")) == {
        "a": 1,
        "n": 2,
        "b": 2,
    }


def test_a_change_that_keeps_the_line_count_adds_no_directive() -> None:
    new = "L(a)\nchanged;\nL(b)\n"
    assert renumbered("L(a)\nold;\nL(b)\n", new) == new


def test_file_name_stays() -> None:
    assert "#line 2\n" in renumbered("a;\nb;\n", "a;\nx;\nb;\n")


@pytest.mark.parametrize(
    ("before", "inside", "after"),
    [
        ("/* a", "comment", "ends */"),
        ("/* it's a", "comment", "(ends */"),
        ("#define M(x) \\", "(x + \\", "1)"),
        ('char *s = "a \\', "b \\", 'c";'),
        ("f(1,", "2,", "3);"),
        ("// spliced \\", "comment \\", "ends"),
        ("x = ')'; y = '\"'; f(", "')',", "'(');"),
        ('s = "/*"; t = "("; f("\\"(",', "2,", "3);"),
        ("#define OPEN ( /* spans", "lines", "*/"),
    ],
)
def test_no_directive_where_it_may_not_stand(before: str, inside: str, after: str) -> None:
    old = f"L(a)\n{before}\n{inside}\n{after}\nL(b)\nL(c)\n"
    # The change is right before, or within, a place where a directive would be part of something
    # else.
    new = f"L(a)\n{before}\n{inside}\n{inside}\n{after}\nL(b)\nL(c)\n"
    text = renumbered(old, new)
    lines = text.split("\n")
    at = lines.index("#line 5")
    assert lines[at - 1] == after
    assert text.count("#line") == 1
    assert line_numbers(text) == line_numbers(old)


def test_unbalanced_branches_do_not_count_parentheses_twice() -> None:
    body = "#ifdef A\nf(1,\n#else\ng(1,\n#endif\n2);\n"
    old = f"L(a)\n{body}L(b)\nL(c)\n"
    new = f"L(a)\n{body}L(b)\nx;\nL(c)\n"
    assert line_numbers(renumbered(old, new)) == line_numbers(old)


@pytest.mark.parametrize("options", [[], ["-DA"]])
def test_a_directive_in_a_skipped_group_is_repeated_after_it(options: list[str]) -> None:
    old = "#ifdef A\nL(a)\nL(b)\n#else\nL(c)\n#endif\nL(d)\nL(e)\n"
    new = "#ifdef A\nL(a)\nx;\nL(b)\n#else\nL(c)\n#endif\nL(d)\nL(e)\n"
    assert line_numbers(renumbered(old, new), *options) == line_numbers(old, *options)


def test_a_miscounted_parenthesis_ends_with_the_function() -> None:
    old = "#define OPEN (\nint f(void)\n{\nx = OPEN 1);\ny = (OPEN 1));\nOPEN_2(\n}\nL(a)\nL(b)\n"
    new = old.replace("L(a)\n", "L(a)\nx;\n")
    assert line_numbers(renumbered(old, new)) == line_numbers(old)


def test_include_guard_still_hides_the_second_inclusion() -> None:
    old = "#ifndef G\n#define G\nL(a)\nL(b)\n#endif\n"
    new = "#ifndef G\n#define G\nL(a)\nx;\nL(b)\n#endif\n"
    text = renumbered(old, new)
    assert line_numbers(text) == line_numbers(old)
    assert text.index("#ifndef") == 0


# Every line is its own: where equal lines are put in and taken out, which of them stayed is a
# matter of opinion.
PIECES = st.sampled_from(
    [
        "MARK;",
        "/* {n} one\n   {n} comment's ( */",
        "#define M{n}(x) \\\n\t((x) + {n} + \\\n\t {n})",
        "call({n},\n     (2 + {n}),\n     3 + {n});",
        "#ifdef A // {n}\nMARK;\n#else // {n}\nMARK;\nMARK;\n#endif // {n}",
        "#if 0 // {n}\nit's not C ( {n}\n#endif // - {n}",
        's = "{n} a(\\\nb {n}";',
        "c{n} = '\\'';  // it's (",
        "int f{n}(int a,\n      int b{n})\n{ // {n}\n\tMARK;\n\treturn ({n});\n} // {n}",
    ]
)


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str]:
    """A C text of unique lines, and the same with pieces put in and taken out."""
    old: list[str] = []
    new: list[str] = []
    for number, piece in enumerate(draw(st.lists(PIECES, min_size=1, max_size=25))):
        text = piece.replace("{n}", str(number))
        for count in range(text.count("MARK")):
            text = text.replace("MARK", f"L(m{number}_{count})", 1)
        what = draw(st.sampled_from(["keep", "keep", "keep", "drop", "add"]))
        if what != "add":
            old.append(text)
        if what != "drop":
            new.append(text)
    return "\n".join(old) + "\n", "\n".join(new) + "\n"


@settings(max_examples=150, deadline=None)
@given(edited(), st.booleans())
def test_every_unchanged_marker_keeps_its_number(texts: tuple[str, str], defined: bool) -> None:
    old, new = texts
    options = ["-DA"] if defined else []
    before = line_numbers(old, *options)
    after = line_numbers(renumbered(old, new), *options)
    assert {name: after[name] for name in before.keys() & after.keys()} == {
        name: before[name] for name in before.keys() & after.keys()
    }

# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of refusals, and the page of them."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from pathlib import Path

from scripts import errors_doc
from suture import errors

TABLES = Path(errors.__file__).parent
PACKAGE = TABLES.parent
TESTS = Path(__file__).resolve().parents[1]

KINDS = {name: value for name, value in vars(errors).items() if isinstance(value, errors.Kind)}


def defined() -> list[str]:
    return [name for path in TABLES.glob("*.py") for name in _defined_in(path)]


def test_no_constant_is_defined_twice() -> None:
    assert [name for name, count in Counter(defined()).items() if count > 1] == []


def test_codes_are_unique() -> None:
    assert [
        code for code, count in Counter(kind.code for kind in KINDS.values()).items() if count > 1
    ] == []


def test_a_constant_is_named_as_its_code() -> None:
    wrong = {name for name, kind in KINDS.items() if kind.code != name.lower().replace("_", "-")}
    assert wrong == set()


def is_a_sentence(text: str) -> bool:
    return text.strip() == text and text.endswith((".", "'.[build]'"))


def test_a_kind_says_why_and_what_to_do_in_a_sentence() -> None:
    texts = [text for kind in KINDS.values() for text in (kind.why, kind.remedy)]
    assert [text for text in texts if not is_a_sentence(text)] == []


def test_every_kind_is_used() -> None:
    code = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.parent != TABLES)
    assert [name for name in KINDS if not re.search(rf"\b{name}\b", code)] == []


def test_the_page_of_errors_is_up_to_date() -> None:
    assert errors_doc.PAGE.read_text() == errors_doc.page(), "run 'make docs'"


def test_the_page_names_every_code() -> None:
    page = errors_doc.page()
    assert [kind.code for kind in KINDS.values() if f"### `{kind.code}`" not in page] == []


def test_examples_are_of_refusals_that_there_are() -> None:
    codes = {kind.code for kind in KINDS.values()}
    for code, line in errors_doc.EXAMPLES.items():
        assert code in codes
        assert re.fullmatch(rf"(error|warning|note)\[{code}\]: .+: .+", line)


IN_TABLES = (r'^    "([a-z-]+)": (?:lambda|\(|_)', r'"(source-renamed|source-removed)"')
"""Codes that tests have as keys of a table, or as parameters, and hand to `shows`."""


def shown(text: str) -> set[str]:
    """The codes that a test file calls `shows` for."""
    calls = (
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "shows"
    )
    arguments = (argument for call in calls for argument in call.args)
    named = {a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return named | {code for form in IN_TABLES for code in re.findall(form, text, re.MULTILINE)}


def test_every_code_has_an_example_that_a_test_makes_anew() -> None:
    codes = {kind.code for kind in KINDS.values()}
    assert codes - set(errors_doc.EXAMPLES) == set()
    texts = [path.read_text() for path in TESTS.rglob("test_*.py")]
    assert codes == {code for text in texts if "shows(" in text for code in shown(text)} & codes


def _defined_in(table: Path) -> list[str]:
    return (
        re.findall(r"^([A-Z][A-Z0-9_]*) = Kind\(", table.read_text(), re.MULTILINE)
        if table.exists()
        else []
    )


def test_a_refusal_reads_as_designed() -> None:
    refusal = errors.Refusal(
        errors.DISK_FULL,
        "/var/cache",
        "no room",
        why="Why.",
        remedy="Do this.",
        evidence=["one", "two"],
    )
    assert str(refusal).splitlines() == [
        "error[disk-full]: /var/cache: no room",
        "  Why.",
        "    one",
        "    two",
        "  Do this.",
    ]


def test_a_refusal_is_a_json_document() -> None:
    refusal = errors.Refusal(errors.DISK_FULL, "/var/cache", "no room", evidence=["one"])
    document = json.loads(json.dumps(refusal.as_dict()))
    assert document["code"] == "disk-full"
    assert document["why"] == errors.DISK_FULL.why
    assert document["evidence"] == ["one"]

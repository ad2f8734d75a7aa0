# SPDX-License-Identifier: GPL-2.0-or-later
"""The numbers of shadow variables are read from the code that uses them, and those that cannot be
are not made up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.formats.headers import ours
from suture.link import shadows
from suture.model import LivePatch, PatchedFunction, PatchedObject, RecordedFinding, ShadowVariable
from suture.module import modinfo
from suture.module.inspect import inspect
from tests.unit.link.module import compiled, glue
from tests.unit.toolchain import compile_c, read

DECLARED = """
void *klp_shadow_alloc(void *obj, unsigned long id, unsigned long size, unsigned flags, void *ctor, void *data);
void *klp_shadow_get_or_alloc(void *obj, unsigned long id, unsigned long size, unsigned flags, void *ctor, void *data);
void *klp_shadow_get(void *obj, unsigned long id);
void klp_shadow_free(void *obj, unsigned long id, void *dtor);
void klp_shadow_free_all(unsigned long id, void *dtor);
void use(void *);
extern unsigned long id;
"""


def numbers(code: str) -> list[int | None]:
    return [one.id for one in shadows.used_by(read(compile_c(f"{DECLARED}\n{code}")))]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("use(klp_shadow_get(o, 0)); use(klp_shadow_get(o, 1));", [0, 1]),
        ("use(klp_shadow_alloc(o, 0xfedcba9876543210, 8, 0, 0, 0));", [0xFEDCBA9876543210]),
        ("use(klp_shadow_get_or_alloc(o, -1UL, 8, 0, 0, 0));", [(1 << 64) - 1]),
        ("klp_shadow_free_all(7, 0); klp_shadow_free(o, 8, 0);", [7, 8]),
        ("klp_shadow_free_all(7, 0);", [7]),  # jumped to
        ("if (o) klp_shadow_free(o, 3, 0); else klp_shadow_free(use, 4, 0);", [3, 4]),
        (
            "for (int i = 0; i < 9; i++) { use(o); klp_shadow_free(o, 0x123456789abc, 0); }",
            [0x123456789ABC],
        ),
        ("klp_shadow_free(o, id, 0); klp_shadow_free(o, 5, 0);", [5, None]),
        ("klp_shadow_free(o, (unsigned long)o, 0);", [None]),
        (
            "klp_shadow_free(o, (unsigned long)&id, 0);",
            [None],
        ),  # an address, of which the code has none yet
        ("klp_shadow_free(use, o ? 5 : 900, 0);", [None]),
        ("use(o);", []),
    ],
)
def test_what_the_code_calls_with(body: str, found: list[int | None]) -> None:
    assert numbers(f"void f(void *o) {{ {body} }}") == found


def test_a_name_becomes_a_number_that_stands_in_the_code(tmp_path: Path) -> None:
    """As of the fields of Ksplice and the variables of kpatch's own core; checked with a reckoning
    of its own."""
    text = ours()["suture-hooks.h"].decode()
    start = text.index("static __always_inline unsigned long suture_shadow_id")
    function = text[start : text.index("\n}\n", start) + 3]
    names = ["a", "newpid", "a_name_that_is_longer_than_most_names_are", "x" * 64]
    calls = "".join(
        f'klp_shadow_free(o, suture_shadow_id("ksplice:", "{name}"), 0);' for name in names
    )
    code = f"#define __always_inline inline __attribute__((always_inline))\n{function}\nvoid f(void *o) {{ {calls} }}"
    assert numbers(code) == sorted(fnv(f"ksplice:{name}") for name in names)
    (tmp_path / "run.c").write_text(
        f"#include <stdio.h>\n#define __always_inline inline\n{function}\n"
        'int main(int count, char **words) { printf("%lx", suture_shadow_id("kpatch:", words[1])); }'
    )
    subprocess.run(["gcc", "-O0", "-o", tmp_path / "run", tmp_path / "run.c"], check=True)
    for name in (*names, "x" * 300, ""):
        assert int(subprocess.check_output([tmp_path / "run", name], text=True), 16) == fnv(
            f"kpatch:{name}"
        )


def fnv(text: str) -> int:
    number = 0xCBF29CE484222325
    for byte in text.encode():
        number = (number ^ byte) * 0x100000001B3 % (1 << 64)
    return number


TABLES = """
static int a(void) { return 1; }
static struct klp_func funcs[] = { { .old_name = "first", .new_func = a, .old_sympos = 2 },
    { .old_name = "a:b,1 c", .new_func = a }, { } };
static struct klp_object objs[] = { { .funcs = funcs }, { } };
"""


def test_what_a_module_says_about_itself_is_read_back(tmp_path: Path) -> None:
    functions = (
        PatchedFunction("first", 2, "a", "fs/a file.c:12"),
        PatchedFunction("a:b,1 c", 0, "a", "b.c"),
    )
    variables = (ShadowVariable(0), ShadowVariable(1 << 63), ShadowVariable(None))
    said = LivePatch(
        "livepatch_test",
        (PatchedObject("vmlinux", functions),),
        shadow_variables=variables,
        findings=(RecordedFinding("refuse", "state-renamed", "a", 'b: c = "d"', "é, and why"),),
    )
    module = modinfo.with_entries(compiled(glue(TABLES)), said)
    found = inspect(module).patch
    assert found == said
    assert [one.source for one in found.objects[0].functions] == ["fs/a file.c:12", "b.c"]


@pytest.mark.parametrize(
    "entry",
    [
        "livepatch_source=first",
        "livepatch_source=vmlinux:first,x a.c",
        "livepatch_shadow=7",
        "livepatch_found={}",
    ],
)
def test_what_is_not_understood_is_passed_over(entry: str) -> None:
    module = compiled(glue(TABLES + f'MODINFO(odd, "{entry}");'))
    found = inspect(module).patch
    assert found.shadow_variables == ()
    assert found.findings == ()
    assert [one.source for one in found.objects[0].functions] == ["", ""]

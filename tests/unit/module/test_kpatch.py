# SPDX-License-Identifier: GPL-2.0-or-later
"""kpatch's tables, compiled from the C structures that its documentation and tools have, in each of
their shapes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from suture.elf.object import ObjectFile
from suture.errors import Refusal
from suture.model import PatchedFunction
from suture.module.inspect import inspect
from suture.module.kpatch import is_kpatch_object, read_kpatch
from tests.unit.toolchain import compile_c, read

CODE = """
typedef unsigned long ulong;
#define IN(name) __attribute__((section(name), used, no_reorder))
char name_of[] IN(".kpatch.strings") = "old_one", objname_of[] IN(".kpatch.strings") = "vmlinux",
    symbol_of[] IN(".kpatch.strings") = "some_symbol", module_of[] IN(".kpatch.strings") = "loop";
int new_one(int x) { return x + 1; }
void called(void) { }
"""
FUNC = """
struct kpatch_patch_func { ulong new_addr, new_size, old_addr, old_size; SYMPOS char *name, *objname; };
struct kpatch_patch_func funcs[] IN(".kpatch.funcs") = {
    { .new_addr = (ulong)new_one, .new_size = 8, .old_addr = 0xffffffff81000010, .old_size = 24, POSITION
      .name = name_of, .objname = objname_of },
};
"""
DYNRELA = """
struct kpatch_patch_dynrela { ulong dest, src, type; SYMPOS char *name, *objname; int external, addend; };
struct kpatch_patch_dynrela dynrelas[] IN(".kpatch.dynrelas") = {
    { .dest = (ulong)new_one + 2, .src = 0xffffffff82000000, .type = 2, POSITION
      .name = symbol_of, .objname = objname_of, .external = EXTERNAL, .addend = -4 },
};
"""
INTERMEDIATE = """
struct kpatch_symbol { ulong src, sympos; unsigned char bind, type; char *name, *objname; };
struct kpatch_symbol symbols[] IN(".kpatch.symbols") = {
    { .src = 0xffffffff82000000, .sympos = 3, .bind = 0, .type = 1, .name = symbol_of, .objname = module_of },
};
struct kpatch_relocation { ulong dest; unsigned int type; FIELDS char *objname; struct kpatch_symbol *ksym; };
struct kpatch_relocation relocations[] IN(".kpatch.relocations") = {
    { .dest = (ulong)new_one + 2, .type = 2, .addend = ADDEND, .external = 0, .objname = objname_of, .ksym = symbols },
};
"""
LATER, OLDER = "int external; long addend;", "int addend, external;"
CALLS = """
struct kpatch_patch_hook { void (*hook)(void); char *objname; };
struct kpatch_patch_hook hooks[] IN(".kpatch.hooks.load") = { { called, module_of }, { called, objname_of } };
"""


def text(*parts: str, words: Mapping[str, str] | None = None, sympos: bool = True) -> str:
    """C with kpatch's structures."""
    made = CODE + "".join(parts)
    made = made.replace("SYMPOS", "ulong sympos;" if sympos else "").replace(
        "POSITION", ".sympos = 2," if sympos else ""
    )
    for word, meaning in {
        "EXTERNAL": "0",
        "FIELDS": LATER,
        "ADDEND": "-4",
        **(words or {}),
    }.items():
        made = made.replace(word, meaning)
    return made


def compiled(
    *parts: str, words: Mapping[str, str] | None = None, sympos: bool = True
) -> ObjectFile:
    return read(compile_c(text(*parts, words=words, sympos=sympos)))


@pytest.mark.parametrize("sympos", [True, False])
def test_a_module_of_kpatchs_core_is_read(sympos: bool) -> None:
    obj = compiled(FUNC, DYNRELA, CALLS, sympos=sympos)
    assert is_kpatch_object(obj)
    found = read_kpatch(obj)
    code = obj.section_named(".text.new_one")
    (function,) = found.functions
    assert (function.objname, function.name, function.new) == ("vmlinux", "old_one", (code, 0))
    assert (function.address, function.size, function.sympos) == (
        0xFFFFFFFF81000010,
        24,
        2 if sympos else None,
    )
    (dynrela,) = found.dynrelas
    assert (dynrela.place, dynrela.type, dynrela.addend) == ((code, 2), 2, -4)
    assert (dynrela.objname, dynrela.owner, dynrela.name) == ("vmlinux", "vmlinux", "some_symbol")
    assert (dynrela.address, dynrela.sympos) == (0xFFFFFFFF82000000, 2 if sympos else None)
    assert [(call.section, call.objname) for call in found.calls] == [
        (".kpatch.hooks.load", "loop"),
        (".kpatch.hooks.load", "vmlinux"),
    ]


def test_an_exported_symbol_has_no_owner() -> None:
    (dynrela,) = read_kpatch(compiled(FUNC, DYNRELA, words={"EXTERNAL": "1"})).dynrelas
    assert dynrela.owner == ""


@pytest.mark.parametrize("fields", [LATER, OLDER])
@pytest.mark.parametrize("addend", [-4, 4096, 0])
def test_an_intermediate_object_is_read_in_both_shapes(fields: str, addend: int) -> None:
    (dynrela,) = read_kpatch(
        compiled(FUNC, INTERMEDIATE, words={"FIELDS": fields, "ADDEND": str(addend)})
    ).dynrelas
    assert (dynrela.objname, dynrela.owner, dynrela.name) == ("vmlinux", "loop", "some_symbol")
    assert (dynrela.addend, dynrela.sympos, dynrela.type) == (addend, 3, 2)


def test_other_objects_are_told_apart() -> None:
    assert not is_kpatch_object(compiled())


@pytest.mark.parametrize(
    ("parts", "words", "found"),
    [
        ((FUNC.replace("(ulong)new_one", "0"),), {}, "does not begin with a pointer"),
        ((FUNC.replace("char *name,", "ulong more; char *name,"),), {}, "second pointer at 0x30"),
        (
            (FUNC.replace("(ulong)new_one", "(ulong)elsewhere"), "extern int elsewhere(int);"),
            {},
            "not in the file",
        ),
        (
            (FUNC.replace(".name = name_of", ".name = name_of + 900"),),
            {},
            "leads out of .kpatch.strings",
        ),
        ((FUNC.replace(".objname = objname_of", ".objname = 0"),), {}, "has no pointer at 0x30"),
        ((FUNC.replace("name_of,", "name_of + 7,"),), {}, "to no name"),
        ((FUNC, 'char more[3] IN(".kpatch.funcs") = "x";'), {}, "not a multiple of"),
        ((FUNC, DYNRELA), {"EXTERNAL": "7"}, "neither 0 nor 1"),
        (
            (FUNC, INTERMEDIATE.replace(".ksym = symbols", ".ksym = (void *)new_one")),
            {},
            "no entry of .kpatch.symbols",
        ),
        (
            (FUNC, INTERMEDIATE.replace(".external = 0", ".external = 1")),
            {"ADDEND": "0"},
            "neither of kpatch",
        ),
        (
            (FUNC, CALLS.replace("{ called, module_of }", "{ called, 0 }")),
            {},
            "has no pointer at 0x8",
        ),
    ],
)
def test_what_is_no_such_table_is_refused(
    parts: tuple[str, ...], words: dict[str, str], found: str
) -> None:
    kept = [part.replace("extern int elsewhere(int);", "") for part in parts]
    extern = "extern int elsewhere(int);\n" if "extern int elsewhere(int);" in parts else ""
    with pytest.raises(Refusal) as refused:
        read_kpatch(compiled(extern, *kept, words=words))
    assert refused.value.code == "kpatch-object-malformed"
    assert found in refused.value.found


def test_inspect_shows_what_it_replaces() -> None:
    found = inspect(compiled(FUNC, DYNRELA, CALLS))
    core, loop = sorted(found.patch.objects, key=lambda patched: patched.name, reverse=True)
    assert core.functions == (PatchedFunction("old_one", 2, "new_one"),)
    assert [callback.function for callback in (*core.callbacks, *loop.callbacks)] == [
        "called",
        "called",
    ]
    (reference,) = found.references
    assert str(reference.symbol) == ".klp.sym.vmlinux.some_symbol,2"
    assert not found.patch.replace


def test_inspect_shows_exported_symbols_as_imports() -> None:
    found = inspect(compiled(FUNC, DYNRELA, words={"EXTERNAL": "1"}))
    assert found.references == ()
    assert "some_symbol" in found.imports

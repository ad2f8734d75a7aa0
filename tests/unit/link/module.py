# SPDX-License-Identifier: GPL-2.0-or-later
"""A live patch module linked by ld, with the kernel's structures written down in their shape."""

from __future__ import annotations

from suture.diff.output import Linked, OutputObject, Outside
from suture.elf import writer
from suture.elf.object import ObjectFile
from suture.link import klp, stack_visibility
from suture.model import ExternalSymbol
from suture.objects.view import Unit
from tests.unit.toolchain import changes, compile_c, link, read, select_with

STRUCTS = r"""
/* The shape of include/linux/livepatch.h (Linux 6.1). */
typedef _Bool bool;
#define NULL ((void *)0)
#define true 1
#define false 0
struct list { struct list *next, *prev; };
struct kobject { const char *name; struct list entry; void *more[5]; };
struct klp_func {
    const char *old_name; void *new_func; unsigned long old_sympos;
    void *old_func; struct kobject kobj; struct list node, stack_node; unsigned long old_size, new_size;
    bool nop, patched, transition;
};
struct klp_object;
struct klp_callbacks {
    int (*pre_patch)(struct klp_object *); void (*post_patch)(struct klp_object *);
    void (*pre_unpatch)(struct klp_object *); void (*post_unpatch)(struct klp_object *); bool post_unpatch_enabled;
};
struct klp_object {
    const char *name; struct klp_func *funcs; struct klp_callbacks callbacks;
    struct kobject kobj; struct list func_list, node; void *mod; bool dynamic, patched;
};
struct module { char room[64]; };
struct klp_patch {
    struct module *mod; struct klp_object *objs; STATES bool replace;
    struct list list; struct kobject kobj; struct list obj_list; bool enabled, forced;
};
__attribute__((section(".gnu.linkonce.this_module"))) struct module __this_module;
#define MODINFO(tag, text) static const char tag[] __attribute__((section(".modinfo"), used)) = text
#define THIS_MODULE (&__this_module)
extern int klp_enable_patch(struct klp_patch *);
"""


def structs(*, states: bool = True) -> str:
    return STRUCTS.replace("STATES", "void *states;" if states else "")


def glue(
    objects: str,
    *,
    replace: bool = True,
    states: bool = True,
    info: str = "livepatch=Y",
    version: str = "6.1.0-toy",
) -> str:
    """:param objects: definitions of functions, of their tables and of ``objs[]``."""
    return f"""{structs(states=states)}
MODINFO(info_livepatch, "{info}");
MODINFO(info_name, "name=livepatch_test");
MODINFO(info_vermagic, "vermagic={version} SMP mod_unload modversions ");
{objects}
static struct klp_patch patch = {{ .mod = THIS_MODULE, .objs = objs, .replace = {str(replace).lower()} }};
int init_module(void) {{ return klp_enable_patch(&patch); }}
"""


def compiled(source: str) -> ObjectFile:
    return read(link(compile_c(source, sections=False)), "livepatch_test.ko")


class Kernel:
    """A resolver by table; what it does not name is linked."""

    def __init__(self, **outside: ExternalSymbol) -> None:
        self._outside = outside

    def defined(self, unit: Unit) -> Outside:
        return self._outside.get(unit.name, ExternalSymbol("vmlinux", unit.name, 0))

    def undefined(self, name: str) -> Outside:
        return self._outside.get(name, Linked(name))


def cut(original: str, patched: str, resolver: Kernel, objname: str = "vmlinux") -> OutputObject:
    return select_with(changes(original, patched), resolver, objname)


def linked(*outputs: OutputObject) -> ObjectFile:
    """What kbuild makes of glue and output objects, by ld -r alone."""
    parts: dict[str, ObjectFile] = {}
    tables: list[str] = []
    for number, output in enumerate(outputs):
        parts[f"part_{number}"], entries = klp.with_entries(output, len(tables))
        tables += [entry.name for entry in entries]
    objects = [writer.write(obj) for obj in stack_visibility.isolate_sections(parts).values()]
    declared = "".join(f"extern void {name}(void);\n" for name in tables)
    table = "".join(f'{{ "old_{number}", {name}, 0 }}, ' for number, name in enumerate(tables))
    text = f"{declared}static struct klp_func funcs[] = {{ {table} {{ }} }};\n"
    text += "static struct klp_object objs[] = { { .funcs = funcs }, { } };\n"
    return read(link(compile_c(glue(text), sections=False), *objects), "livepatch_test.ko")

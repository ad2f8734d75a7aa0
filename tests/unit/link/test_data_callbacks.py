# SPDX-License-Identifier: GPL-2.0-or-later
"""The callbacks that change data, run as a program: what they accept, write, and put back, called
as the core does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from suture.link import glue
from suture.link.callbacks import with_callbacks
from suture.link.glue import Variable
from suture.model import VMLINUX, LivePatch

SHIM = r"""
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64;
enum { MODULE_STATE_LIVE, MODULE_STATE_GOING };
struct module { int state; } __this_module;
struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; };
struct klp_object;
struct klp_callbacks {
    int (*pre_patch)(struct klp_object *); void (*post_patch)(struct klp_object *);
    void (*pre_unpatch)(struct klp_object *); void (*post_unpatch)(struct klp_object *);
};
struct klp_object { const char *name; struct klp_func *funcs; struct klp_callbacks callbacks; struct module *mod; };
struct klp_state { unsigned long id; unsigned int version; void *data; };
struct klp_patch { struct module *mod; struct klp_object *objs; struct klp_state *states; bool replace; };
static struct klp_state *before;
static struct klp_state *klp_get_prev_state(unsigned long id) { return before && before->id == id ? before : NULL; }
struct page;
static int no_memory_after = -1;
#define THIS_MODULE (&__this_module)
#define KBUILD_MODNAME "toy"
#define pr_err(...) printf(__VA_ARGS__)
#define pr_warn(...) printf(__VA_ARGS__)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define PAGE_SIZE 4096UL
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define GFP_KERNEL 0
#define VM_MAP 0
#define PAGE_KERNEL 0
#define kmalloc_array(n, size, flags) malloc((n) * (size))
#define kfree free
#define lm_alias(x) (x)
#define virt_to_page(x) ((struct page *)(x))
#define vmalloc_to_page(x) ((struct page *)(x))
static void *vmap(struct page **pages, int count, int flags, int protection)
{
    return no_memory_after >= 0 && no_memory_after-- == 0 ? NULL : pages[0];
}
#define vunmap(x)
#define ENOMEM 12
#define EINVAL 22
#define __init
#define __exit
#define __attribute_unused __attribute__((unused))
#define module_init(f) __attribute_unused static int (*begin)(void) = f;
#define module_exit(f) __attribute_unused static void (*end_)(void) = f;
#define MODULE_LICENSE(x)
#define MODULE_INFO(k, v)
#define MODULE_DESCRIPTION(x)
static int klp_enable_patch(struct klp_patch *p) { return 0; }
"""

MAIN = r"""
static u32 number = 5, table[3] = { 1, 2, 3 }, inside = 8;
static const u32 five = 5, six = 6, t_old[3] = { 1, 2, 0 }, t_new[3] = { 1, 20, 0 }, eight = 8, nine = 9;
static const u8 all[12] = { [0 ... 11] = 0xff }, part[12] = { [0 ... 7] = 0xff };
const struct livepatch_contents c0 = { (u8 *)&number, (u8 *)&five, (u8 *)&six, all };
const struct livepatch_contents c1 = { (u8 *)table, (u8 *)t_old, (u8 *)t_new, part };
const struct livepatch_contents c2 = { (u8 *)&inside, (u8 *)&eight, (u8 *)&nine, all };
static struct module toy_module;
#define CORE (&livepatch_objects[0])
#define MOD (&livepatch_objects[1])
static int enable(void) { return CORE->callbacks.pre_patch(CORE); }
static void settle(void) { CORE->callbacks.post_patch(CORE); }
static void disable(void) { CORE->callbacks.post_unpatch(CORE); }
static void show(void) { printf("%u %u %u %u %u;", number, table[0], table[1], table[2], inside); }
/* What an earlier live patch left: number is 7, table as we change it. */
static const u32 seven = 7;
static const struct livepatch_contents e0 = { (u8 *)&number, (u8 *)&five, (u8 *)&seven, all };
static struct livepatch_variable earlier[] = {
    { "vmlinux", "number", 0, 4, &e0 }, { "vmlinux", "table", 2, 12, &c1 }, { "mod", "inside", 0, 4, &c2 },
};
static struct livepatch_data earlier_data = { 3, earlier };
static struct klp_state earlier_state = { LIVEPATCH_DATA_ID, 1, &earlier_data };
int main(void) { MOD->mod = &toy_module; STEPS; (void)begin; return 0; }
"""

PATCH = LivePatch("toy", ())
VARIABLES = (
    Variable(VMLINUX, "number", 0, 4, "c0"),
    Variable(VMLINUX, "table", 2, 12, "c1"),
    Variable("mod", "inside", 0, 4, "c2"),
)


def run(tmp_path: Path, steps: str) -> str:
    """What the program prints when `steps` are done."""
    text = glue.source(with_callbacks(PATCH, (), {v.objname for v in VARIABLES}), "toy", VARIABLES)
    text = re.sub(r"^#include .*$", "", text, flags=re.MULTILINE)
    source = tmp_path / "toy.c"
    source.write_text(SHIM + text + MAIN.replace("STEPS", steps))
    command = ["gcc", "-O1", "-Wall", "-Werror", "-Wno-unused", "-fsanitize=undefined"]
    subprocess.run([*command, "-o", tmp_path / "toy", source], check=True)
    return subprocess.run([tmp_path / "toy"], check=True, capture_output=True, text=True).stdout


def test_the_new_values_come_and_the_old_ones_come_back(tmp_path: Path) -> None:
    steps = 'printf("%d;", enable()); show(); settle(); disable(); show()'
    assert run(tmp_path, steps) == "0;6 1 20 3 8;5 1 2 3 8;"


def test_a_module_has_its_own_turn_and_nothing_is_put_back_when_it_goes(tmp_path: Path) -> None:
    steps = (
        'enable(); settle(); printf("%d;", MOD->callbacks.pre_patch(MOD)); show();'
        "MOD->callbacks.post_unpatch(MOD); show(); inside = 8; MOD->callbacks.pre_patch(MOD);"
        "toy_module.state = MODULE_STATE_GOING; MOD->callbacks.post_unpatch(MOD); show()"
    )
    assert run(tmp_path, steps) == "0;6 1 20 3 9;6 1 20 3 8;6 1 20 3 9;"


def test_nothing_is_touched_when_one_value_is_someone_elses(tmp_path: Path) -> None:
    said = run(tmp_path, 'table[1] = 77; printf("%d;", enable()); show()')
    assert said == "toy: table in vmlinux does not hold its original value\n-22;5 1 77 3 8;"


def test_what_is_masked_is_neither_compared_nor_written(tmp_path: Path) -> None:
    assert (
        run(tmp_path, "table[2] = 33; enable(); show(); settle(); disable(); show()")
        == "6 1 20 33 8;5 1 2 33 8;"
    )


def test_the_new_value_may_be_there_already(tmp_path: Path) -> None:
    assert (
        run(tmp_path, 'number = 6; printf("%d;", enable()); settle(); disable(); show()')
        == "0;5 1 2 3 8;"
    )


def test_what_someone_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    said = run(tmp_path, "enable(); settle(); number = 9; disable(); show()")
    assert (
        said
        == "toy: number in vmlinux was changed by someone else meanwhile and is left as it is\n9 1 2 3 8;"
    )


REPLACING = "before = &earlier_state; number = 7; table[1] = 20; "


def test_what_a_replaced_patch_wrote_is_taken_over_and_the_original_put_back(
    tmp_path: Path,
) -> None:
    steps = REPLACING + 'printf("%d;", enable()); show(); settle(); disable(); show()'
    assert run(tmp_path, steps) == "0;6 1 20 3 8;5 1 2 3 8;"


def test_it_is_put_back_when_the_transition_is_taken_back(tmp_path: Path) -> None:
    assert run(tmp_path, REPLACING + "enable(); disable(); show()") == "7 1 20 3 8;"


def test_what_only_an_unknown_patch_wrote_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, 'number = 7; printf("%d;", enable()); show()').endswith("-22;7 1 2 3 8;")


@pytest.mark.parametrize(
    ("difference", "name"),
    [
        ('earlier[1].name = "other"', "other"),
        ("earlier[1].sympos = 1", "table"),
        ("earlier[0].size = 2", "number"),
        ("earlier[1].contents = &e0", "table"),
        ('earlier[2].object = "gone"', "inside"),
    ],
)
def test_a_successor_that_lacks_a_variable_is_refused(
    tmp_path: Path, difference: str, name: str
) -> None:
    said = run(tmp_path, f'{REPLACING}{difference}; printf("%d;", enable()); show()')
    assert f"toy: {name} in " in said
    assert said.endswith("-22;7 1 20 3 8;")


def test_without_memory_for_one_the_others_are_put_back(tmp_path: Path) -> None:
    assert run(tmp_path, 'no_memory_after = 1; printf("%d;", enable()); show()') == "-12;5 1 2 3 8;"

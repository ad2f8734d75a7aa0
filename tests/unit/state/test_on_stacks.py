# SPDX-License-Identifier: GPL-2.0-or-later
"""Structures that live on stacks, and what they contain by which others reach them."""

from __future__ import annotations

import pytest

from suture.builder.types import compare_types
from suture.elf import reader
from suture.errors import Finding, Level
from suture.workspace.applying import Changed
from suture.workspace.typed import TYPES
from tests.unit.toolchain import compile_c

HEADER = """\
typedef unsigned long u64;
struct list_head { struct list_head *next, *prev; };
struct wait_queue_entry { unsigned int flags; struct list_head entry; };
struct callback_head { struct callback_head *next; void (*func)(struct callback_head *head); };
struct call_single_data { unsigned int flags; };
struct wake_q_node { struct wake_q_node *next; };
struct kiocb { u64 pos; void (*ki_complete)(struct kiocb *iocb, long ret); };
struct reclaim_state { u64 reclaimed; struct kiocb *walk; void *data; };
struct rcu_synchronize { struct callback_head head; };
struct wait_bit_entry { u64 key; struct wait_queue_entry wq_entry; };
struct far { struct { union { struct wait_bit_entry entries[2]; u64 number; }; }; };
"""


def findings(after: str, before: str) -> list[Finding]:
    """Compare a file that includes the header with what an edit makes of it."""
    sides = [reader.read(compile_c(HEADER + text, *TYPES), "a.c") for text in (before, after)]
    change = Changed("fs/a.c", before.encode(), after.encode())
    return list(compare_types("fs/a.c", sides[0], sides[1], [change], lambda _: None))


LOCAL = """\
struct context { int depth; };
static int walk(struct context *context, int a) { return context->depth += a; }
int start(int a)
{
	struct context context = { .depth = 1 };

	return walk(&context, a);
}
"""
DEEPER = LOCAL.replace("int depth;", "int depth, limit;")


def test_a_structure_that_lives_on_stacks_is_a_note() -> None:
    (found,) = findings(DEEPER, LOCAL)
    assert found.level is Level.NOTE


CONTAINED = {
    "a list": ("struct list_head member", Level.REFUSE),
    "a list in a structure of a header": ("struct wait_queue_entry member", Level.REFUSE),
    "a list four levels down": ("struct far member", Level.REFUSE),
    "a list in a member without a type's name": ("struct { struct list_head a; } member[2]", Level.REFUSE),
    "an RCU head by its name in BTF": ("struct callback_head member", Level.REFUSE),
    "an RCU head in another structure": ("struct rcu_synchronize member", Level.REFUSE),
    "what another processor runs": ("struct call_single_data member", Level.REFUSE),
    "a link of a header": ("struct wake_q_node member", Level.REFUSE),
    "a callback of a header": ("struct kiocb member[2]", Level.REFUSE),
    "a pointer to a list": ("struct list_head *member", Level.NOTE),
    "a header's pointer to something else": ("struct reclaim_state member", Level.NOTE),
    "the file's own link": ("struct own { struct own *up; int (*ask)(int a); } member", Level.NOTE),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTAINED)
def test_what_a_structure_contains_decides_at_any_depth(case: str) -> None:
    member, level = CONTAINED[case]
    own = ""
    if member.startswith("struct own {"):
        own, member = f"{member.removesuffix(' member')};\n", "struct own member"
    before = own + LOCAL.replace("int depth;", f"int depth; {member};")
    (found,) = findings(before.replace("int depth;", "int depth, limit; u64 more;"), before)
    assert (found.name, found.level) == ("context", level)


def test_a_link_that_the_patch_takes_away_was_there_before() -> None:
    before = LOCAL.replace("int depth;", "int depth; struct wait_queue_entry entry;")
    (found,) = findings(LOCAL, before)
    assert found.level is Level.REFUSE


ESCAPES = {
    "a pointer from elsewhere": "int g(void *data)\n{\n\tstruct context *c = data;\n\n\treturn c->depth;\n}\n",
    "a static variable": "int g(void)\n{\n\tstatic struct context c;\n\n\treturn c.depth++;\n}\n",
    "a member": "struct holder {\n\tstruct context context;\n};\nstruct holder *g;\n",
    "its size": "u64 g(void)\n{\n\treturn sizeof(struct context);\n}\n",
}  # fmt: skip


@pytest.mark.parametrize("case", ESCAPES)
def test_a_structure_that_may_live_elsewhere_is_refused(case: str) -> None:
    (found,) = findings(DEEPER + ESCAPES[case], LOCAL + ESCAPES[case])
    assert found.level is Level.REFUSE

# SPDX-License-Identifier: GPL-2.0-or-later
"""Constants of enumerations before and after a patch, as the compiler describes them with BTF."""

from __future__ import annotations

import pytest

from suture.builder.types import compare_types
from suture.elf import reader
from suture.errors import Finding, Level
from suture.workspace.applying import Changed
from suture.workspace.typed import TYPES, changing_types
from tests.examples import shows
from tests.unit.toolchain import compile_c

STATES = "enum ctx_state { CTX_IDLE, CTX_BUSY, CTX_STALE };"
FLAGS = "enum { FLAG_A = 1, FLAG_B = 2, FLAG_C = 4 };"
COUNTED = "enum ctx_state { CTX_IDLE, CTX_BUSY, CTX_STALE, {} };"

BASE = """\
struct ctx { int state; int flags; };
STATES

FLAGS
void ctx_stop(struct ctx *ctx)
{
STOP
}
int ctx_ask(struct ctx *ctx)
{
ASK
	return ctx->state;
}
"""
STOP = "\tctx->state = CTX_STALE;"
ASK = "\tif (ctx->state == CTX_STALE)\n\t\treturn 1;"


def text(states: str = STATES, flags: str = FLAGS, stop: str = "", ask: str = "") -> str:
    parts = {"STATES": states, "FLAGS": flags, "STOP": stop or "\t;", "ASK": ask or "\t;"}
    made = BASE
    for word, part in parts.items():
        made = made.replace(f"{word}\n", f"{part}\n", 1)
    return made


def findings(old: str, new: str) -> list[Finding]:
    sides = [reader.read(compile_c(side, *TYPES), "ctx.c") for side in (old, new)]
    change = Changed("fs/ctx.c", old.encode(), new.encode())
    found = list(compare_types("fs/ctx.c", sides[0], sides[1], [change], lambda _: None))
    assert not found or changing_types([change]), "it would not have been compiled with types"
    return found


WITHOUT = STATES.replace(", CTX_STALE", "")


def test_a_state_that_goes_while_objects_may_be_in_it_is_a_warning() -> None:
    (found,) = findings(text(stop=STOP, ask=ASK), text(WITHOUT))
    assert (found.kind.code, found.name, found.level) == (
        "enumerator-removed",
        "CTX_STALE",
        Level.WARN,
    )
    assert found.where == "fs/ctx.c:2"
    assert found.evidence == ("fs/ctx.c:7 stores or passes it before the patch",)
    shows(found, "enumerator-removed")


STORED = {
    "an initial value": "\tstruct ctx made = { .state = CTX_STALE };\n\t*ctx = made;",
    "an argument": "\t__builtin_prefetch(ctx, 0, CTX_STALE);",
    "one of two": "\tctx->state = ctx->flags ? CTX_STALE : CTX_IDLE;",
    "a bit of a mask": "\tctx->flags |= 1 << CTX_STALE;",
}


@pytest.mark.parametrize("how", STORED)
def test_whatever_may_store_the_value_counts(how: str) -> None:
    (found,) = findings(text(stop=STORED[how]), text(WITHOUT))
    assert (found.name, found.level) == ("CTX_STALE", Level.WARN)


def test_a_flag_that_goes_is_a_warning() -> None:
    old = text(stop="\tctx->flags |= FLAG_C;", ask="\tif (ctx->flags & FLAG_C)\n\t\treturn 1;")
    (found,) = findings(old, text(flags=FLAGS.replace(", FLAG_C = 4", "")))
    assert (found.kind.code, found.name) == ("enumerator-removed", "FLAG_C")


def test_a_flag_that_is_given_another_value_is_refused() -> None:
    (found,) = findings(text(), text(flags=FLAGS.replace("= 4", "= 8").replace("= 2", "= 4")))
    assert (found.kind.code, found.name, found.level) == ("layout-changed", "FLAG_B", Level.REFUSE)


def test_a_state_that_goes_before_a_count_is_a_warning_and_the_count_is_none() -> None:
    for count in ("NR_STATES", "__CTX_MAX", "CTX_COUNT", "CTX_MAX"):
        old, new = (f"{states[:-3]}, {count} }};" for states in (STATES, WITHOUT))
        (found,) = findings(text(old, stop=STOP), text(new))
        assert (found.name, found.level) == ("CTX_STALE", Level.WARN)


def test_a_bound_that_is_stored_is_a_state() -> None:
    old, new = "enum level { LOW, MIDDLE, MAX };", "enum level { LOW, MAX };"
    stop = "\tctx->state = MAX;"
    (found,) = findings(text(f"{STATES}\n{old}", stop=stop), text(f"{STATES}\n{new}", stop=stop))
    assert (found.kind.code, found.name, found.level) == ("layout-changed", "MAX", Level.REFUSE)


SILENT = {
    "nobody stores it": (text(ask=ASK), text(WITHOUT)),
    "a case label and an index": (
        text(ask="\tstatic int of[3] = { [CTX_STALE] = 1 };\n"
             "\tswitch (ctx->state) { case CTX_STALE: return of[CTX_STALE]; }"),
        text(WITHOUT),
    ),
    "a mask of what it is tested with": (
        text(ask="\tif (ctx->flags & FLAG_C)\n\t\tctx->flags &= ~FLAG_C;"),
        text(flags=FLAGS.replace(", FLAG_C = 4", "")),
    ),
    "another name": (text(stop=STOP), text(STATES.replace("CTX_STALE", "CTX_DEAD"))),
    "another name in a header's words": (
        text(stop=STOP),
        text(STATES.replace("CTX_STALE", "CTX_DEAD, CTX_STALE = CTX_DEAD"), stop=STOP),
    ),
    "a count that goes": (
        text(COUNTED.replace("{}", "NR_STATES"), stop="\tctx->flags = NR_STATES;"), text(),
    ),
    "a count that goes with a loop": (
        text(COUNTED.replace("{}", "CTX_MAX"), stop="\tfor (int i = 0; i < CTX_MAX; i++)\n\t\tctx->flags++;"),
        text(),
    ),
    "a last one that another moves behind": (
        text(STATES.replace("CTX_STALE", "CTX_STALE, __CTX_LAST, CTX_MAX = __CTX_LAST - 1")),
        text(STATES.replace("CTX_STALE", "CTX_STALE, CTX_GONE, __CTX_LAST, CTX_MAX = __CTX_LAST - 1")),
    ),
    "the whole enumeration": (text(stop=STOP), text("")),
    "in a comment and in a message": (
        text(stop='\t__builtin_printf("CTX_STALE"); /* not CTX_STALE */'), text(WITHOUT),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SILENT)
def test_what_no_object_can_hold_or_what_has_a_new_name_is_silent(case: str) -> None:
    assert findings(*SILENT[case]) == []

# SPDX-License-Identifier: GPL-2.0-or-later
"""State that only left-out code sets up, and functions that only left-out code uses."""

from __future__ import annotations

import pytest

from suture.builder.findings import judged
from suture.errors import Finding, Level, Refusal
from suture.state.lost_functions import lost_functions
from suture.state.reach import Reach, unreached_parts
from suture.state.set_up import unset_state
from tests.examples import shows
from tests.unit.toolchain import changes

HEAD = """
#define __init __attribute__((section(".init.text"), cold, __noinline__))
#define __exit __attribute__((section(".exit.text"), cold, __noinline__))
#define noinline __attribute__((__noinline__))
#define NULL ((void *)0)
struct list { struct list *next, *prev; };
struct table { const char *name; void *data; int (*fn)(int); };
struct option { const char *name; int (*fn)(const char *); };
extern void *make(const char *);
extern void __init_waitqueue_head(void *);
extern int register_netdev_ops(const struct table *);
extern int __register_sysctl_init(const char *, struct table *);
extern void debugfs_create_u32(const char *, int *);
extern void static_key_enable(int *);
extern void mutex_lock(void *);
extern void mutex_unlock(void *);
extern void rt_spin_lock(void *);
extern void rt_spin_unlock(void *);
extern void wake(void *);
extern void update(struct table *);
extern void put(const char *, int (*)(int));
extern int outside(int);
extern int elsewhere;
"""
RUN = "int run(int x) {\n%s\treturn outside(x); }\n"
START = "__init int start(void) {\n%s\touts(); return 0; }\n"
OUTS = "extern void outs(void);\n"
BEFORE = HEAD + OUTS + RUN % "" + START % ""


def patched(declared: str, run: str, start: str, head: str = HEAD) -> str:
    return head + OUTS + declared + RUN % f"\t{run}\n" + START % f"\t{start}\n"


def findings(before: str, after: str) -> list[Finding]:
    reach = Reach({"one.c": changes(before, after)})
    return [*unset_state(reach), *lost_functions(reach)]


LIST = "static struct list all;\n"
ADD = "struct list *e = make(0); e->next = all.next; e->prev = &all; all.next->prev = e; all.next = e;"
REFUSED = {
    "what it allocates": ("static char *text;\n", "x += *text;", 'text = make("text");'),
    "a list": (
        LIST,
        "for (struct list *e = all.next; e != &all; e = e->next) x++;",
        "all.next = &all;",
    ),
    "a list that is added to": (LIST, ADD, "all.next = all.prev = &all;"),
    "what a function of another name updates": (
        "static struct table t;\n",
        "x += t.fn != NULL;",
        "update(&t);",
    ),
    "a wait queue": ("static long wq[3];\n", "wake(wq);", "__init_waitqueue_head(wq);"),
    "a number": ("static int limit;\n", "x += limit;", "limit = 7;"),
    "a count": ("static int left;\n", "if (!--left) return 0;", "left = 3;"),
    "a global": ("char *text;\n", "x += *text;", 'text = make("text");'),
    "a field": ("static struct table t;\n", "if (t.fn) x = t.fn(x);", "t.fn = outside;"),
    "entries of a list": (
        "static struct list all = { &all, &all };\n",
        "for (struct list *e = all.next; e != &all; e = e->next) x++;",
        "struct list *e = make(0); e->next = &all; all.next = e;",
    ),
    "what a registration fills in": (
        "static int id;\nstatic struct table ops = { NULL, &id, NULL };\n",
        "x += id;",
        "register_netdev_ops(&ops);",
    ),
    "what a callback does": (
        "static int seen;\nstatic int see(int x) { seen = x; return outside(x); }\n"
        "static struct table ops = { NULL, NULL, see };\n",
        "x += seen;",
        "register_netdev_ops(&ops);",
    ),
    "what a new init function does": (
        "static char *text;\n__init static int more(void) { text = make(NULL); return 0; }\n"
        'void *call __attribute__((section(".init.data"))) = more;\n',
        "x += *text;",
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_only_init_code_sets_up_is_refused(case: str) -> None:
    (finding,) = findings(BEFORE, patched(*REFUSED[case]))
    assert finding.level is Level.REFUSE
    with pytest.raises(Refusal) as refused:
        judged([finding], ())
    assert finding.where == "one.c: run()"
    assert any(line.startswith("run()") for line in finding.evidence)
    if case == "what it allocates":
        shows(refused.value, "state-not-set-up")
        assert "start()" in finding.found


WARNED = {
    "set up at first use": (
        "static char *text;\n",
        'if (!text) text = make("text"); x += *text;',
        'text = make("text");',
    ),
    "given to the same function": (
        "static long wq[3];\n",
        "__init_waitqueue_head(wq); wake(wq);",
        "__init_waitqueue_head(wq);",
    ),
    "a sysctl": (
        "static int limit = 5;\nstatic struct table t[] = { { NULL, &limit, NULL } };\n",
        "x += limit;",
        '__register_sysctl_init("kernel", t);',
    ),
    "a file in debugfs": ("static int limit;\n", "x += limit;", 'debugfs_create_u32("l", &limit);'),
    "a boot option": (
        "static int limit;\n__init static int set(const char *s) { limit = *s; return 1; }\n"
        'static struct option o __attribute__((used, section(".init.setup"))) = { "l=", set };\n',
        "x += limit;",
        "",
    ),
    "of another file": ("", "x += elsewhere;", "elsewhere = 5;"),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_the_new_code_may_do_without_is_a_warning(case: str) -> None:
    (finding,) = findings(BEFORE, patched(*WARNED[case]))
    assert finding.level is Level.WARN
    judged([finding], ())


SAFE = {
    "used by left-out code alone": ("static int limit;\n", "x++;", "limit = 7; outside(limit);"),
    "not set up there": ("static int limit = 5;\n", "x += limit;", "outside(limit);"),
    "set to what it is": ("static int lock;\n", "outside(lock);", "lock = 0;"),
    "a lock that its definition sets up": (
        "static long lock[4] = { 1 };\n",
        "mutex_lock(lock); mutex_unlock(lock);",
        "mutex_lock(lock); mutex_unlock(lock);",
    ),
    "a lock that PREEMPT_RT sets up as zeros": (
        "static long lock[4];\n",
        "rt_spin_lock(lock); rt_spin_unlock(lock);",
        "rt_spin_lock(lock); rt_spin_unlock(lock);",
    ),
    "only written": ("static int last;\n", "last = x;", "last = 7;"),
    "a message": ("", "x++;", 'make("more");'),
    "a registration that nothing else needs": (
        "static int limit;\nstatic struct table t[] = { { NULL, &limit, NULL } };\n",
        "x++;",
        '__register_sysctl_init("kernel", t);',
    ),
}


@pytest.mark.parametrize("case", SAFE)
def test_an_init_line_beside_a_fix_is_no_finding(case: str) -> None:
    assert findings(BEFORE, patched(*SAFE[case])) == []


STATE = "static char *volatile text; static struct table t;\nvoid *give(void) { return &t; }\n"
HELD = HEAD + OUTS + STATE
EXISTING = {
    "a field that init code sets now": (
        HELD + RUN % "" + START % "t.data = make(0);",
        HELD + RUN % "if (t.fn) x = t.fn(x);" + START % "t.data = make(0); t.fn = outside;",
        Level.REFUSE,
    ),
    "a field that it set before": (
        HELD + RUN % "" + START % "t.fn = outside;",
        HELD + RUN % "if (t.fn) x = t.fn(x);" + START % "t.fn = outside; outs();",
        None,
    ),
    "a field that running code sets": (
        HELD + RUN % "" + START % "" + "void set(void) { t.fn = outside; }\n",
        HELD
        + RUN % "if (t.fn) x = t.fn(x);"
        + START % "t.fn = outside;"
        + "void set(void) { t.fn = outside; }\n",
        None,
    ),
    "another field": (
        HELD + RUN % "" + START % "",
        HELD + RUN % "if (t.fn) x = t.fn(x);" + START % "t.data = make(0);",
        None,
    ),
    "one that is read already": (
        HELD + RUN % "if (text) x++;" + START % "",
        HELD + RUN % "if (text) x += 2;" + START % "text = make(0);",
        Level.WARN,
    ),
}


@pytest.mark.parametrize("case", EXISTING)
def test_of_a_variable_that_was_there_what_is_new_counts(case: str) -> None:
    before, after, level = EXISTING[case]
    assert [one.level for one in findings(before, after)] == ([level] if level else [])


@pytest.mark.parametrize(("stage", "levels"), [("pre", []), ("post", [Level.WARN])])
def test_a_callback_of_the_live_patch_sets_it_up(stage: str, levels: list[Level]) -> None:
    """One that runs when every task runs new code already is too late."""
    declared, run, start = REFUSED["what it allocates"]
    callback = (
        'static int before(void *obj) { text = make("text"); return 0; }\n'
        "static void *hook __attribute__((used, "
        f'section(".kpatch.callbacks.{stage}_patch"))) = before;\n'
    )
    found = findings(BEFORE, patched(declared + callback, run, start))
    assert [one.level for one in found] == levels


def test_a_global_of_another_file_of_the_patch() -> None:
    user = HEAD + "extern char *text;\n" + RUN
    fills = HEAD + OUTS + "char *text;\n" + START % 'text = make("text");'
    found = Reach(
        {
            "one.c": changes(HEAD + OUTS + START % "", fills),
            "two.c": changes(user % "", user % "x += *text;"),
        }
    )
    (finding,) = unset_state(found)
    assert (finding.where, finding.level) == ("two.c: run()", Level.REFUSE)


# --- functions that only left-out code uses

SHOW = "static int show(int x) { return outside(x) + 1; }\n"


def test_a_function_that_only_left_out_code_uses_is_named() -> None:
    table = "static struct table t = { NULL, NULL, show };\n"
    found = changes(BEFORE, patched(SHOW + table, "x++;", "register_netdev_ops(&t);"))
    (part,) = [part for _, part in unreached_parts(Reach({"one.c": found}))]
    assert part.what == "the new function show()"


def test_a_function_that_running_code_uses_too_is_not() -> None:
    used = SHOW.replace("static", "static noinline")
    found = changes(BEFORE, patched(used, "x += show(x);", "wake(show);"))
    assert list(unreached_parts(Reach({"one.c": found}))) == []


LOST = HEAD + OUTS + SHOW + RUN % "" + START % 'put("old", show);'


def test_a_function_in_the_place_of_one_that_goes_is_refused_in_doubt() -> None:
    after = LOST.replace("show", "shown").replace("+ 1", "+ 2").replace("old", "new")
    (finding,) = findings(LOST, after.replace(RUN % "", RUN % "x++;"))
    assert (finding.kind.code, finding.name) == ("function-renamed", "shown")
    assert "show() goes and shown() comes" in finding.found


def test_a_global_one_is_refused_although_running_code_uses_it_too() -> None:
    before = LOST.replace("static int show", "int show")
    after = before.replace("show", "shown").replace("+ 1", "+ 2")
    after = after.replace(RUN % "", RUN % "wake(shown);")
    (finding,) = findings(before, after)
    assert finding.kind.code == "function-renamed"

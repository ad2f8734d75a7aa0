# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses that escape from a live patch, in objects of C that the kernel's options compile."""

from __future__ import annotations

import pytest

from suture.diff.escapes import ChangedTable, escapes
from tests.unit.toolchain import compile_c, output, read

DECLARED = r"""
struct list { struct list *next, *prev; };
struct timer { struct list entry; void (*function)(struct timer *); };
struct work { long data; struct list entry; void (*func)(struct work *); };
struct notifier { int (*call)(struct notifier *, long, void *); struct notifier *next; };
struct mutex { long owner; struct list waiters; };
struct ratelimit { int interval, burst; };
struct operations { const char *name; int (*open)(void *), (*release)(void *); };
struct file { const struct operations *ops; const void *data; int kind; };
struct rcu { struct rcu *next; void (*func)(struct rcu *); };

extern void timer_setup(struct timer *, void (*)(struct timer *), unsigned);
extern void mod_timer(struct timer *, long);
extern void queue_work_on(int, void *, struct work *);
extern void register_reboot_notifier(struct notifier *);
extern void call_rcu(struct rcu *, void (*)(struct rcu *));
extern void mutex_lock(struct mutex *), mutex_unlock(struct mutex *);
extern void rt_spin_lock(struct mutex *), rt_spin_unlock(struct mutex *);
extern void migrate_disable(void), __local_bh_disable_ip(void *, int);
extern int ___ratelimit(struct ratelimit *, const char *);
extern int _printk(const char *, ...);
extern int unknown(void *), known(int);
extern void sort(void *, unsigned long, unsigned long, int (*)(const void *, const void *), void *);
extern void *memcpy(void *, const void *, unsigned long);
extern int request_threaded_irq(int, void *, void *, long, const char *, void *);
extern int single_open(struct file *, int (*)(void *), void *);
extern int run(void), two(void), three(void);
"""

NEW_FUNCTION = "static __attribute__((noinline)) int added(void *v) { return known(1) + 1; }\n"

ESCAPE = {
    "a function passed on": (
        NEW_FUNCTION + "int run(void) { return single_open(0, added, 0); }",
        ["run() passes added() to single_open()"],
    ),
    "a timer": (
        "static struct timer ours;\n"
        "static void tick(struct timer *t) { mod_timer(&ours, 1); }\n"
        "int run(void) { timer_setup(&ours, tick, 0); return 0; }",
        [
            "run() passes ours to timer_setup()",
            "run() passes tick() to timer_setup()",
            "tick() passes ours to mod_timer()",
        ],
    ),
    "a work item": (
        "static void later(struct work *w) { known(1); }\n"
        "static struct work ours = { .func = later };\n"
        "int run(void) { queue_work_on(1, 0, &ours); return 0; }",
        ["run() passes ours to queue_work_on()"],
    ),
    "a notifier": (
        "static int heard(struct notifier *n, long a, void *d) { return known(2); }\n"
        "static struct notifier ours = { .call = heard };\n"
        "int run(void) { register_reboot_notifier(&ours); return 0; }",
        ["run() passes ours to register_reboot_notifier()"],
    ),
    "an RCU head's function": (
        "static void freed(struct rcu *r) { known(3); }\n"
        "int run(void) { extern struct rcu there; call_rcu(&there, freed); return 0; }",
        ["run() passes freed() to call_rcu()"],
    ),
    "operations stored in an object": (
        NEW_FUNCTION + "static const struct operations ours = { .open = added };\n"
        "int set(struct file *f) { f->ops = &ours; return 0; }",
        ["set() stores the address of ours"],
    ),
    "a function stored in an object": (
        NEW_FUNCTION + "int set(struct operations *o) { o->open = added; return 0; }",
        ["set() stores the address of added()"],
    ),
    "a structure with a function that is copied": (
        NEW_FUNCTION + "static const struct operations ours = { .open = added };\n"
        "int set(struct operations *o) { memcpy(o, &ours, sizeof(ours)); *o = ours; return 0; }",
        None,
    ),
    "a function out of a table": (
        NEW_FUNCTION + "static int (*const table[])(void *) = { added, 0 };\n"
        "int set(struct operations *o, int n) { o->open = table[n]; return 0; }",
        ["set() stores the address of table"],
    ),
    "operations of the kernel's own functions that are passed on": (
        "static const struct operations ours = { .open = unknown };\n"
        "int run(void) { return known(1) + unknown((void *)&ours); }",
        ["run() passes ours to unknown()"],
    ),
    "a list head": (
        "static struct list ours = { &ours, &ours };\n"
        "int set(struct list *l) { l->next = ours.next; l->prev = &ours; return 0; }",
        ["set() stores the address of ours"],
    ),
    "a variable passed to a function that may keep it": (
        "static int ours;\nint run(void) { return unknown(&ours) + ours; }",
        ["run() passes ours to unknown()"],
    ),
    "a constant that is stored": (
        "static const int ours[] = { 1, 2, 3 };\n"
        "int set(struct file *f) { f->data = ours; return 0; }",
        ["set() stores the address of ours"],
    ),
    "a constant that is returned": (
        "static const int ours[] = { 1, 2, 3 };\n"
        "const int *find(int n) { return n ? &ours[n] : 0; }",
        ["find() returns the address of ours"],
    ),
    "a constant that a helper returns and a caller stores": (
        "static const int ours[] = { 1, 2, 3 };\n"
        "static __attribute__((noipa)) const int *find(int n) { return &ours[n & 1]; }\n"
        "int set(struct file *f) { f->data = find(f->kind); return 0; }",
        ["find() stores the address of ours"],
    ),
    "a constant that leads to a variable": (
        "static int level;\nstruct entry { int *data; };\n"
        "static const struct entry ours = { &level };\n"
        "int run(void) { return unknown((void *)&ours) + level; }",
        ["run() passes ours to unknown()"],
    ),
    "a variable kept by a helper": (
        "static int ours;\n"
        "static __attribute__((noipa)) int keep(int *p) { return unknown(p) + 1; }\n"
        "int run(void) { return keep(&ours) + ours; }",
        ["run() passes ours to unknown()"],
    ),
    "a variable passed on in one branch only": (
        "static struct mutex ours;\n"
        "int run(void) { if (known(1)) mutex_lock(&ours); else unknown(&ours); return 0; }",
        ["run() passes ours to unknown()"],
    ),
    "a variable passed on by a pointer": (
        "static int ours;\nint set(int (*f)(int *)) { return f(&ours) + ours; }",
        ["set() passes ours to a function by a pointer"],
    ),
    "a string that is kept": (
        'int run(void) { return request_threaded_irq(1, 0, 0, 0, "ours", 0); }',
        ["run() passes the string 'ours' to request_threaded_irq()"],
    ),
    "a callback on the stack": (
        NEW_FUNCTION + "int run(void) { struct operations o = { .open = added };\n"
        " return unknown(&o); }",
        ["run() uses the address of added()"],
    ),
}

STAY_INSIDE = {
    "a variable that a helper returns": (
        "static int ours;\n"
        "static __attribute__((noipa)) int *find(int n) { return n ? &ours : 0; }\n"
        "static __attribute__((noipa)) int *again(int n) { return find(n + 1); }\n"
        "int set(int n) { int *p = again(n); if (p) ++*p; return known(n); }"
    ),
    "a helper that is only called": NEW_FUNCTION + "int run(void) { return added(0) + known(3); }",
    "messages": 'int run(void) { _printk("ours %s %s", __func__, "too"); return 0; }',
    "a mutex": (
        "static struct mutex ours = { 0, { &ours.waiters, &ours.waiters } };\n"
        "int run(void) { mutex_lock(&ours); known(1); mutex_unlock(&ours); return 0; }"
    ),
    "a mutex in two branches": (
        "static struct mutex ours;\n"
        "int set(int n) { if (n) { mutex_lock(&ours); known(n); mutex_unlock(&ours); }\n"
        " return known(4); }"
    ),
    "a spinlock where it may sleep": (  # PREEMPT_RT: spin_lock_bh()
        "static struct mutex ours;\n"
        "int run(void) { here: __local_bh_disable_ip(&&here, 512); rt_spin_lock(&ours);\n"
        " migrate_disable(); known(1); rt_spin_unlock(&ours); return known(4); }"
    ),
    "a ratelimit": (
        "int run(void) { static struct ratelimit _rs = { 5, 10 };\n"
        ' if (___ratelimit(&_rs, __func__)) _printk("limited"); return 0; }'
    ),
    "a counter": "static int count;\nint run(void) { return ++count + known(count); }",
    "a table of numbers": (
        "static const int numbers[] = { 3, 1, 2 };\n"
        "int set(int n) { return numbers[n] + known(numbers[0]); }"
    ),
    "a table of functions that are only called": (
        NEW_FUNCTION + "static __attribute__((noinline)) int other(void *v) { return known(7); }\n"
        "static int (*const table[])(void *) = { added, other };\n"
        "int set(int n) { return table[n](0) + 1; }"
    ),
    "a constant that is passed on": (
        "static const int numbers[] = { 3, 1, 2 };\nint run(void) { return unknown((void *)numbers); }"
    ),
    "a function that is compared": (
        NEW_FUNCTION + "int set(struct operations *o) { return o->open == added; }"
    ),
    "a comparison for sort()": (
        "static int less(const void *a, const void *b) { return *(int *)a - *(int *)b; }\n"
        "int set(int *p) { sort(p, 4, 4, less, 0); return 0; }"
    ),
    "a variable in a helper that locks it": (
        "static struct mutex ours;\n"
        "static __attribute__((noinline)) void with(struct mutex *m)\n"
        "{ mutex_lock(m); known(1); mutex_unlock(m); }\n"
        "int run(void) { with(&ours); return known(2); }"
    ),
    "a copied constant": (
        'static const char name[] = "a name that is too long to be copied with one instruction";\n'
        "int set(char *p) { memcpy(p, name, sizeof(name)); return 0; }"
    ),
    "code that runs once": (
        NEW_FUNCTION
        + '__attribute__((section(".init.text"))) int run(void) { return unknown(added); }'
    ),
}


def found(source: str, *options: str) -> list[str]:
    return sorted(str(one) for one in escapes([read(compile_c(DECLARED + source, *options))]))


THUNKS = ("-mindirect-branch=thunk-extern", "-mindirect-branch-register")


@pytest.mark.parametrize("options", [(), THUNKS], ids=["plain", "retpolines"])
@pytest.mark.parametrize("case", ESCAPE)
def test_an_address_escapes(case: str, options: tuple[str, ...]) -> None:
    source, expected = ESCAPE[case]
    said = found(source, *options)
    assert said
    if expected is not None:
        assert said == expected


@pytest.mark.parametrize("options", [(), THUNKS], ids=["plain", "retpolines"])
@pytest.mark.parametrize("case", STAY_INSIDE)
def test_nothing_escapes(case: str, options: tuple[str, ...]) -> None:
    assert found(STAY_INSIDE[case], *options) == []


def test_an_address_escapes_into_another_object() -> None:
    """A new global function of one file, handed out by another."""
    defining = read(compile_c(DECLARED + "int two(void) { return known(1); }"))
    using = read(compile_c(DECLARED + "int run(void) { return unknown(two); }"))
    assert escapes([using]) == ()
    assert [str(one) for one in escapes([using, defining])] == ["run() passes two() to unknown()"]


def test_a_string_that_was_cut_out_is_known_as_one() -> None:
    before = DECLARED + "int run(void) { return known(1); }"
    after = DECLARED + ESCAPE["a string that is kept"][0]
    said = [str(one) for one in escapes([output(before, after).obj])]
    assert said == ["run() passes the string 'ours' to request_threaded_irq()"]


def test_a_table_in_memory_leads_to_the_live_patch() -> None:
    defining = read(compile_c(DECLARED + "int two(void) { return known(1); }"))
    value = read(compile_c(DECLARED + "int (*const new_value[])(void) = { two, (void *)known };"))
    section = value.section_named(".rodata.new_value")
    assert section is not None
    table = ChangedTable("operations", value, section)
    assert [str(one) for one in escapes([defining], [table])] == ["operations points to two()"]

# SPDX-License-Identifier: GPL-2.0-or-later
"""Replaced main functions of kernel threads: refused where a thread stays in them, noted where it
does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from suture.diff.plan import FilePlan
from suture.errors import Refusal
from suture.host.progress import Silent, reporter
from suture.verify.threads import reason_to_stay, refuse_unused, staying_threads
from tests.examples import shows
from tests.unit.toolchain import changes, view

BASE = """
extern int kthread_should_stop(void), outside(int), wait_a_bit(void *), prepare_to_wait_event(void *);
extern void schedule(void), do_exit(long) __attribute__((noreturn));
extern void *kthread_create_on_node(int (*)(void *), void *, int, const char *), *other_api(int (*)(void *));
#define noinline __attribute__((noinline))
static noinline int asks(int x) { while (x--) if (kthread_should_stop()) return 1; return 0; }
struct driver { int (*run)(void *); };
int user(int x) { return asks(x) + outside(x); }
"""
START = 'void *start(void) { return kthread_create_on_node(worker, 0, 0, "worker"); }'
LOOP = "while (!kthread_should_stop()) { wait_a_bit(p); if (outside(1)) schedule(); } return 0;"

STAYING = {
    "asks in a loop": (LOOP, START, "asks in a loop"),
    "handed to another function": (
        LOOP,
        "void *start(void) { return other_api(worker); }",
        "asks in a loop",
    ),
    "in a table": (LOOP, "struct driver driver = { worker };", "asks in a loop"),
    "sleeps in a loop": (
        "for (;;) { if (outside(1)) return 0; schedule(); }",
        START,
        "sleeps in a loop",
    ),
    "never returns": ("for (;;) { wait_a_bit(p); outside(2); }", START, "never returns"),
}
LEAVING = {
    "runs once": ("wait_a_bit(p); return outside(3);", START),
    "a loop that ends": ("for (int i = 0; i < 9; i++) wait_a_bit(p); return 0;", START),
    "ends itself": ("wait_a_bit(p); do_exit(outside(1));", START),
    "waits for one event": (
        "for (;;) { prepare_to_wait_event(p); if (outside(1)) break; schedule(); } return 0;",
        START,
    ),
    "asks once": ("if (kthread_should_stop()) return 1; return outside(3);", START),
}


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def notes() -> Iterator[list[str]]:
    heard = Notes()
    token = reporter.set(heard)
    yield heard.texts
    reporter.reset(token)


def planned(before: str, after: str) -> FilePlan:
    return FilePlan.of(changes(before, after))


def source(body: str, rest: str) -> str:
    return f"{BASE}static noinline int worker(void *p) {{ {body} }}\n{rest}\n"


@pytest.mark.parametrize("case", STAYING)
def test_a_function_that_a_thread_stays_in_is_refused(case: str) -> None:
    body, rest, why = STAYING[case]
    found = changes(source(body, rest), source(f"outside(77); {body}", rest))
    (finding,) = staying_threads(FilePlan.of(found))
    assert finding.subject == "thread-function-replaced:worker"
    assert "worker()" in finding.where
    assert why in finding.found
    assert "--replace-thread" in finding.refusal().remedy


@pytest.mark.parametrize("case", LEAVING)
def test_a_function_that_a_thread_leaves_is_noted(case: str, notes: list[str]) -> None:
    body, rest = LEAVING[case]
    assert not [*staying_threads(planned(source(body, rest), source(f"outside(77); {body}", rest)))]
    (note,) = notes
    assert "worker() is the main function of a kernel thread: the transition waits" in note


def test_what_it_was_before_the_patch_counts_as_well() -> None:
    plan = planned(source(LOOP, START), source("return outside(3);", START))
    (finding,) = staying_threads(plan)
    assert finding.kind.code == "thread-function-replaced"


def test_what_a_thread_calls_may_be_replaced(notes: list[str]) -> None:
    before = source("while (!kthread_should_stop()) user(3); return 0;", START)
    after = before.replace("return asks(x) + ", "return asks(x) - ").replace(
        "while (x--)", "while (--x)"
    )
    assert list(staying_threads(planned(before, after))) == []
    assert notes == []


def test_a_global_one_that_its_file_never_calls_is_for_other_files_to_hand_over() -> None:
    functions = (
        f"int worker(void *p) {{ {LOOP} }}\nnoinline int near(void *p) {{ outside(7); {LOOP} }}\n"
    )
    seen = view(f"{BASE}{functions}int f(void) {{ return near(0) + 1; }}")
    assert reason_to_stay(seen, seen.by_name["worker"][0], ()) is not None
    assert reason_to_stay(seen, seen.by_name["near"][0], ()) is None


def test_a_name_that_is_not_replaced_is_refused() -> None:
    found = changes(source(LOOP, START), source(f"outside(77); {LOOP}", START))
    refuse_unused([FilePlan.of(found)], {"worker"})
    with pytest.raises(Refusal) as refused:
        refuse_unused([FilePlan.of(found)], {"worker", "other"})
    assert "other" in refused.value.where
    shows(refused.value, "thread-not-replaced")

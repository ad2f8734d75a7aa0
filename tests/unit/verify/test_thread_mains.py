# SPDX-License-Identifier: GPL-2.0-or-later
"""Main functions of threads in linked code, and what their threads sleep in."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.verify.call_graph import call_graph
from suture.verify.idle import idle_functions
from suture.verify.thread_index import read_module_threads, read_threads
from suture.verify.thread_mains import ThreadMain, Threads, find_threads, sleeping
from tests.unit.toolchain import tool
from tests.unit.verify.kernel import shipped, shipped_module, vmlinux

API = """
#define __noinline __attribute__((noinline))
__noinline void schedule(void) { asm volatile("nop"); }
__noinline long schedule_timeout(long t) { asm volatile("nop"); return t; }
__noinline int kthread_should_stop(void) { int x; asm volatile("" : "=r"(x)); return x; }
__noinline void set_freezable(void) { asm volatile("nop"); }
__noinline void prepare_to_wait(void *p) { asm volatile("" : : "r"(p)); }
__noinline void finish_wait(void *p) { asm volatile("" : : "r"(p)); }
__noinline void *kthread_create_on_node(int (*f)(void *), void *d, int n, const char *fmt, ...)
{ asm volatile("" : : "r"(f), "r"(fmt)); return d; }
__noinline int busy(int x) { asm volatile("" : "+r"(x)); return x; }
__noinline void waits(void *p) { while (busy(1)) { asm volatile("nop"); schedule(); } }
"""

FILE = """
extern void schedule(void), set_freezable(void), prepare_to_wait(void *), finish_wait(void *), waits(void *);
extern long schedule_timeout(long);
extern int kthread_should_stop(void), busy(int);
extern void *kthread_create_on_node(int (*)(void *), void *, int, const char *, ...);
"""

START = 'void *start(void) { return kthread_create_on_node(worker, 0, 0, "work/%d", 1); }'

STAYS = {
    "while (!kthread_should_stop()) busy(1); return 0;": "asks in a loop",
    "for (;;) { if (busy(1)) return 0; schedule(); }": "sleeps in a loop",
    "for (;;) { prepare_to_wait(p); if (busy(1)) schedule(); finish_wait(p); if (busy(2)) return 0; }": (
        "sleeps in a loop"
    ),
    "for (;;) { busy(1); busy(2); }": "never returns",
    "set_freezable(); while (busy(2)) waits(p); return 0;": "in functions that it calls",
    "set_freezable(); while (busy(2)) schedule_timeout(100); return 0;": "sleeps in a loop",
}
LEAVES = {
    "waits(p); return busy(3);": False,
    "for (int i = 0; i < busy(7); i++) busy(i); return 0;": False,
    "for (;;) { prepare_to_wait(p); if (busy(1)) break; schedule(); } finish_wait(p); return 0;": False,
    "if (kthread_should_stop()) return 1; return busy(3);": False,
    # It may be long or short: audit_send_list_thread() (kernel/audit.c).
    "while (busy(2)) waits(p); return 0;": True,
}


def unknown(_: str) -> None:
    """The type of no function is known."""


def source(body: str, rest: str = START) -> str:
    return f"{FILE}__attribute__((noinline)) int worker(void *p) {{ {body} }}\n{rest}\n"


def threads(*sources: str, types: dict[str, bool] | None = None) -> Threads:
    graph = call_graph(shipped(API, *sources))
    return find_threads(graph, (types or {}).get, lambda _: False)


def mains(*sources: str, types: dict[str, bool] | None = None) -> dict[str, ThreadMain]:
    return {main.name: main for main in threads(*sources, types=types).mains.values()}


@pytest.mark.parametrize("body", STAYS)
def test_a_function_that_a_thread_stays_in_is_found_with_the_name_of_the_thread(body: str) -> None:
    (main,) = mains(source(body)).values()
    assert (main.name, main.thread) == ("worker", "work/%d")
    assert STAYS[body] in main.stays
    assert main.found.startswith('is the main function of the kernel thread "work/%d", and ')


@pytest.mark.parametrize("body", LEAVES)
def test_a_function_that_a_thread_leaves_has_no_reason(body: str) -> None:
    (main,) = mains(source(body)).values()
    assert (main.stays, main.sleeps) == ("", LEAVES[body])


def test_another_file_may_hand_it_over() -> None:
    sleeps = "for (;;) { if (busy(1)) return 0; schedule(); }"
    handing = f"{FILE}extern int worker(void *);\n{START}"
    assert mains(source(sleeps, ""), handing)["worker"].stays == "sleeps in a loop"


def test_one_in_a_table_is_known_by_its_type() -> None:
    table = "struct { int (*run)(void *); } driver = { worker };"
    text = source("for (;;) { if (busy(1)) return 0; schedule(); }", table)
    assert mains(text) == {}
    assert mains(text, types={"worker": True})["worker"].stays == "sleeps in a loop"
    assert mains(source("waits(p); return 0;", table), types={"worker": True}) == {}


def test_a_function_of_another_type_beside_it_is_none() -> None:
    body = "for (;;) { if (busy(1)) return 0; schedule(); }"
    head = "extern int work(void *); extern void take(int (*)(void *));\n"
    handing = head + START.replace("{ return", "{ take(work); return")
    work = f"{FILE}int work(void *p) {{ {body} }}\nvoid take(int (*f)(void *)) {{ busy(!f); }}"
    wrong = {"worker": False, "work": False}
    assert mains(source(body, handing), work, types=wrong).keys() == {"worker"}
    assert mains(source(body, handing), work).keys() == {"worker", "work"}


def test_a_function_of_its_own_that_never_returns_is_one_too() -> None:
    own = "static __attribute__((noinline)) void own(void) { for (;;) { busy(1); schedule(); } }\n"
    text = FILE + own + "int worker(void *p) { if (busy(1)) return 1; own(); return 0; }\n" + START
    assert mains(text)["own"].stays == "sleeps in a loop"


def test_threads_sleep_in_what_they_call_only_where_they_do_not_sleep_themselves() -> None:
    kernel = shipped(API, source("set_freezable(); while (busy(2)) waits(p); return 0;"))
    (waits,) = kernel.addresses("waits")
    found = find_threads(call_graph(kernel), unknown, lambda _: False)
    assert [main.name for main in found.sleepers[waits]] == ["worker"]
    both = "set_freezable(); while (busy(2)) { waits(p); schedule(); } return 0;"
    assert threads(source(both)).sleepers == {}


def test_a_module_names_what_its_threads_sleep_in_elsewhere() -> None:
    graph = call_graph(
        shipped_module(source("set_freezable(); while (busy(2)) waits(p); return 0;"))
    )
    found = find_threads(graph, unknown, {"waits"}.__contains__)
    assert [main.name for main in found.sleeping_in("waits")] == ["worker"]
    assert found.sleeping_in("busy") == ()


def test_the_functions_that_sleep_are_known_by_name() -> None:
    assert sleeping(call_graph(shipped(API))) == {"waits"}


def test_idle_tasks_have_the_loop_and_its_callers_on_their_stacks() -> None:
    idle = """
    extern int busy(int);
    static __attribute__((noinline)) void do_idle(void) { busy(1); }
    __attribute__((noinline)) void cpu_startup_entry(void) { do_idle(); busy(2); }
    void start_secondary(void) { cpu_startup_entry(); busy(3); }
    void default_idle(void) { busy(4); }
    """
    kernel = shipped(API, idle)
    names = {kernel.names(at)[0] for at in idle_functions(call_graph(kernel))}
    assert names == {"do_idle", "cpu_startup_entry", "start_secondary", "default_idle"}


def test_the_graph_is_what_objdump_shows() -> None:
    text = source("set_freezable(); while (busy(2)) waits(p); return 0;")
    graph = call_graph(shipped(API, text))
    listing = tool("objdump", "-d", "--no-show-raw-insn", data=vmlinux(API, text))
    shown, function = set(), ""
    for line in listing.splitlines():
        words = line.split()
        if line.endswith(">:"):
            function = words[1].strip("<>:")
        elif len(words) > 3 and words[1] in ("call", "jmp") and "+" not in words[3]:
            shown.add((function, words[3].strip("<>")))
    calls = {
        (graph.name(caller), graph.name(callee))
        for caller, callees in graph.callees.items()
        for callee in callees
    }
    assert shown == calls


def test_what_was_found_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernel = shipped(API, source("set_freezable(); while (busy(2)) waits(p); return 0;"))
    first = read_threads(kernel, lambda: None)
    (kept,) = (tmp_path / "suture" / "indexes").iterdir()
    assert read_threads(kernel, lambda: pytest.fail("it was searched again")) == first
    kept.write_bytes(kept.read_bytes()[:-9])
    assert read_threads(kernel, lambda: None) == first
    module = shipped_module(source("set_freezable(); while (busy(2)) waits(p); return 0;"))
    in_module = read_module_threads(module, kernel, lambda: None, {"waits"}.__contains__)
    again = read_module_threads(module, kernel, lambda: pytest.fail("searched"), lambda _: False)
    assert in_module == again != first

# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that mention what changes in a header: all that come out differently are among them, with the
compiler as the witness."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suture.workspace import includes, words_child
from suture.workspace.applying import Changed
from suture.workspace.lines import renumber
from suture.workspace.mentions import files_mentioning, header_changes
from suture.workspace.words import WordIndex

MM = """\
#ifndef MM_H
#define MM_H
#define FOLL_GET 4
#define FOLL_PIN (FOLL_GET << 1)
#define FLAG_MOST 1
#define PASTED(x) FLAG_##x
struct page { int flags; };
static inline int page_pinned(struct page *page)
{
	return page->flags & FOLL_PIN;
}
extern int get_page(struct page *page);
enum {
	PG_LOCKED,
	PG_DIRTY,
	PG_LAST
};
#endif
"""
FILES = {
    "include/linux/mm.h": MM,
    "include/linux/pin.h": "#include <linux/mm.h>\n#define PIN_FLAGS (FOLL_PIN | 1)\n",
    "include/linux/odd.h": "#include <linux/mm.h>\nstruct odd { char bits[FOLL_GET]; };\n",
    "mm/gup.c": "#include <linux/mm.h>\nint gup(void) { return FOLL_GET; }\n",
    "mm/plain.c": "#include <linux/mm.h>\nint plain(void) { return 1; }\n",
    "mm/pins.c": "#include <linux/pin.h>\nint pins(void) { return PIN_FLAGS; }\n",
    "mm/reads_pins.c": "#include <linux/pin.h>\nint reads(void) { return 2; }\n",
    "mm/odd.c": "#include <linux/odd.h>\nint odd(void) { return sizeof(struct odd); }\n",
    "mm/reads_odd.c": "#include <linux/odd.h>\nint reads(void) { return 3; }\n",
    "mm/calls.c": "#include <linux/mm.h>\nint calls(struct page *p) { return page_pinned(p); }\n",
    "mm/pasted.c": "#include <linux/mm.h>\nint pasted(void) { return PASTED(MOST); }\n",
    "mm/comment.c": "#include <linux/mm.h>\nint comment(void) { return 1; } /* not FOLL_GET */\n",
    "mm/whole.c": '#include "gup.c"\n',
    "mm/locked.c": "#include <linux/mm.h>\nint locked(void) { return PG_LOCKED; }\n",
    "mm/dirty.c": "#include <linux/mm.h>\nint dirty(void) { return 1 << PG_DIRTY; }\n",
    "mm/later.c": "#include <linux/mm.h>\n#ifdef FOLL_LATER\nint later;\n#endif\n",
    "Documentation/gup.rst": "FOLL_LATER\n",
    "arch/x86/x.c": "#include <linux/mm.h>\nint x(void) { return FOLL_PIN; }\n",
    "arch/arm/x.c": "#include <linux/mm.h>\nint x(void) { return FOLL_PIN; }\n",
}
SOURCES = sorted(name for name in FILES if name.endswith(".c") and "arm" not in name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def compiled(tree: Path) -> dict[str, bytes]:
    """The assembly of each C file."""
    command = ["gcc", "-S", "-O2", "-nostdinc", "-Iinclude", "-o", "-"]
    return {
        name: subprocess.run([*command, name], cwd=tree, capture_output=True, check=True).stdout
        for name in SOURCES
    }


def candidates(tree: Path, new: str) -> set[str] | None:
    """The C files that may change with the header, if not all may."""
    change = Changed("include/linux/mm.h", MM.encode(), new.encode())
    index = tree.with_name("words")
    words_child.make(tree, "x86", index)
    files = files_mentioning(WordIndex(tree, "x86", index), change.path, header_changes([change]))
    if files is None:
        return None
    found = files | includes.users(tree, includes.scan(tree, "x86"), files)
    return {path for path in found if path.endswith(".c")}


LAST = "extern int get_page(struct page *page);\n"
CHANGES: dict[str, tuple[str, str, set[str] | None]] = {
    "a macro that nobody mentions": (LAST, f"{LAST}#define FOLL_NEW 8\n", set()),
    "a macro that is asked for": (LAST, f"{LAST}#define FOLL_LATER 8\n", {"mm/later.c"}),
    "a function that nobody calls": (LAST, f"{LAST}int put_page(struct page *page);\n", set()),
    "a macro in macros, functions and types": (
        "FOLL_GET 4",
        "FOLL_GET 2",
        {"mm/gup.c", "mm/whole.c", "mm/pins.c", "mm/odd.c", "mm/reads_odd.c", "mm/calls.c", "arch/x86/x.c"},
    ),
    "a macro in a macro": (
        "(FOLL_GET << 1)",
        "(FOLL_GET << 2)",
        {"mm/pins.c", "mm/calls.c", "arch/x86/x.c"},
    ),
    "a body": ("page->flags &", "page->flags +", {"mm/calls.c"}),
    "an enumerator": ("\tPG_DIRTY,\n", "\tPG_BUSY,\n\tPG_DIRTY,\n", {"mm/dirty.c"}),
    "a negative enumerator": ("\tPG_LOCKED,\n", "\tPG_LOCKED = -4,\n", {"mm/locked.c", "mm/dirty.c"}),
    "the first enumerator": ("\tPG_LOCKED,\n", "\tPG_LOCKED = 4,\n", {"mm/locked.c", "mm/dirty.c"}),
    "a name of two parts": ("FLAG_MOST 1", "FLAG_MOST 2", None),
    "a member": ("int flags;", "int flags, more;", None),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_all_that_changes_is_among_those_that_mention_it(case: str, tree: Path) -> None:
    old, new, expected = CHANGES[case]
    assert MM.count(old) == 1
    text = MM.replace(old, new)
    found = candidates(tree, text)
    assert found == expected
    before = compiled(tree)
    (tree / "include/linux/mm.h").write_bytes(renumber(MM.encode(), text.encode()))
    after = compiled(tree)
    differing = {name for name in SOURCES if before[name] != after[name]}
    assert differing <= (set(SOURCES) if found is None else found)


def test_an_added_header_may_reach_any(tree: Path) -> None:
    index = tree.with_name("words")
    words_child.make(tree, "x86", index)
    added = Changed("include/linux/new.h", None, b"")
    assert (
        files_mentioning(WordIndex(tree, "x86", index), added.path, header_changes([added])) is None
    )


@pytest.mark.parametrize("makefile", ["Makefile", "scripts/Makefile.lib", "arch/x86/Makefile"])
def test_what_all_objects_are_compiled_with_may_reach_any(makefile: str, tree: Path) -> None:
    (tree / "scripts").mkdir()
    (tree / makefile).write_text("c_flags += -DMODE=FOLL_PIN\n")
    assert candidates(tree, MM.replace("(FOLL_GET << 1)", "3")) is None

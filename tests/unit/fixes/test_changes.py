# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes in a file, and in which functions."""

from __future__ import annotations

from suture.fixes.changes import changes, function_lines
from suture.fixes.trees import FileVersions

SOURCE = b"""\
// first
#include <linux/fs.h>
static int limit = 3;
static const struct file_operations fops = {
\t.open = opened,
};

static int __init
opened(struct inode *inode,
       struct file *file)
{
\tif (limit)
\t\tgoto out;
out:
\treturn 0;
}

int declared(void);

__printf(2, 3) void said(int level, const char *format, ...)
{
}

SYSCALL_DEFINE3(read, unsigned int, fd, char __user *, buf, size_t, count)
{
\treturn ksys_read(fd, buf, count);
}

DEFINE_PER_CPU(int, counter);
#define DOES(x) do { \\
} while (0)
"""


def test_functions_are_found_by_the_first_column() -> None:
    found = function_lines(SOURCE)
    assert dict(zip(found.names, zip(found.starts, found.ends, strict=True), strict=True)) == {
        "opened": (9, 16),
        "said": (20, 22),
        "read": (24, 27),
    }
    assert [found.at(number) for number in (1, 3, 5, 8, 9, 11, 16, 17, 24, 29)] == [
        *("", "", "", "", "opened", "opened", "opened", "", "read", ""),
    ]
    assert function_lines(b"").at(1) == ""


def changed(old: bytes | None, new: bytes | None) -> tuple[int, int, set[str], set[str]]:
    (found,) = changes([FileVersions("fs/some file.c".replace(" ", "_"), old, new)])
    assert found.path == "fs/some_file.c"
    assert found.text.startswith("--- a/fs/some_file.c\n+++ b/fs/some_file.c\n@@ -")
    return found.added, found.removed, set(found.functions), set(found.words)


def test_a_change_is_in_the_functions_before_and_after() -> None:
    new = SOURCE.replace(b"\t\tgoto out;", b"\t\tgoto done;").replace(b"out:", b"done:")
    assert changed(SOURCE, new) == (2, 2, {"opened"}, {"goto", "out", "done"})
    renamed = SOURCE.replace(b"opened(struct", b"open_it(struct")
    added, removed, functions, words = changed(SOURCE, renamed)
    assert (added, removed) == (1, 1)
    assert functions == {"opened", "open_it"}
    assert words == {"opened", "open_it", "struct", "inode"}
    assert changed(SOURCE, SOURCE.replace(b"limit = 3", b"limit = 4"))[2] == set()


def test_what_is_added_stands_in_the_function_around_it() -> None:
    new = SOURCE.replace(b"\treturn ksys_read", b"\tcheck();\n\treturn ksys_read")
    assert changed(SOURCE, new) == (1, 0, {"read"}, {"check"})


def test_files_may_come_and_go() -> None:
    assert changed(None, SOURCE)[:3] == (SOURCE.count(b"\n"), 0, {"opened", "said", "read"})
    assert changed(SOURCE, None)[:3] == (0, SOURCE.count(b"\n"), {"opened", "said", "read"})


def test_dashes_at_the_beginning_of_lines_are_no_heads() -> None:
    old, new = b"-- a\n++ b\nint a;\n", b"-- c\n++ d\nint a;\n"
    assert changed(old, new)[:2] == (2, 2)


def test_form_feeds_and_other_bytes_are_part_of_a_line() -> None:
    """Old drivers have a form feed between functions (drivers/scsi/aic7xxx/)."""
    old = SOURCE.replace(b"// first", b"// \f first \0 \xe9")
    assert changed(old, old.replace(b"limit = 3", b"limit = 4"))[:2] == (1, 1)
    new = old.replace(b"first", b"second").replace(b"ksys_read(fd", b"ksys_write(fd")
    assert changed(old, new)[:3] == (2, 2, {"read"})


def test_a_last_line_without_end() -> None:
    assert changed(b"int a;", b"int b;")[:2] == (1, 1)


def test_nothing_changed_is_no_change() -> None:
    assert list(changes([])) == []

# SPDX-License-Identifier: GPL-2.0-or-later
"""What mails and commits around a diff say of it; git itself writes the inputs."""

from __future__ import annotations

import base64
import quopri
import re
import subprocess
from pathlib import Path

import pytest

from suture.formats import diff
from suture.formats.messages import decoded, fixes
from suture.model import Fix

TITLE = "net: sched: refuse a quantum that überruns the length of every packet of this device"
UPSTREAM = "0123456789012345678901234567890123456789"
MESSAGE = f"""{TITLE}

commit {UPSTREAM} upstream.

It is CVE-2024-1086, and CVE-2024-1086 again; CVE-2025-12345 too.

Fixes: 1da177e4c3f4 ("Linux-2.6.12-rc2")
Link: https://lore.kernel.org/r/x@y
Closes: https://bugs.example.org/1
Signed-off-by: A. Üthor <a@example.org>
"""
DATE = "2026-11-28T12:00:00+01:00"
FIX = Fix(
    TITLE,
    "A. Üthor <a@example.org>",
    DATE,
    UPSTREAM,
    ("CVE-2024-1086", "CVE-2025-12345"),
    ("https://lore.kernel.org/r/x@y", "https://bugs.example.org/1"),
    ('1da177e4c3f4 ("Linux-2.6.12-rc2")',),
)
PLAIN = "--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-int a;\n+int b;\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of three commits, the last two of which are fixes."""
    directory = tmp_path_factory.mktemp("repository")
    git(directory, "init", "--quiet")
    (directory / "fs").mkdir()
    for text, message in (("a", "first"), ("b", MESSAGE), ("c", "fs: the second fix\n")):
        (directory / "fs/x.c").write_text(f"int {text};\n")
        git(directory, "add", ".")
        git(directory, "commit", "--quiet", "--message", message)
    return directory


def git(directory: Path, *words: str) -> str:
    person = {"NAME": "A. Üthor", "EMAIL": "a@example.org", "DATE": "2026-11-28 12:00:00 +0100"}
    environment = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in person.items()
    }
    command = ["git", *words]
    return subprocess.run(
        command,
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), **environment},
    ).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["format-patch", "-1", "--stdout", "HEAD~"],
        ["format-patch", "-1", "--stdout", "--subject-prefix=PATCH net v2", "HEAD~"],
        ["show", "HEAD~"],
        ["show", "--decorate", "HEAD~"],
        ["show", "--format=fuller", "--date=iso", "HEAD~"],
        ["log", "-p", "-1", "--date=iso-strict", "HEAD~"],
        ["format-patch", "-1", "--stdout", "--from=Someone Else <else@example.org>", "HEAD~"],
    ],
)
def test_a_commit_as_git_writes_it(repository: Path, words: list[str]) -> None:
    assert fixes(git(repository, *words)) == (FIX,)


def test_a_mail_that_hides_its_commit_names_none(repository: Path) -> None:
    (fix,) = fixes(git(repository, "format-patch", "-1", "--stdout", "--zero-commit", "HEAD"))
    assert fix.title == "fs: the second fix"
    assert fix.commit == ""


def test_each_mail_of_a_series_and_its_cover_letter_is_passed_over(repository: Path) -> None:
    series = git(repository, "format-patch", "--cover-letter", "--stdout", "HEAD~2")
    first, second = fixes(series)
    assert first == FIX
    assert second.title == "fs: the second fix"
    assert second.commit == git(repository, "rev-parse", "HEAD").strip()
    assert len(diff.parse("series.mbox", series.encode()).changes) == 2


def test_mails_of_a_series_are_put_in_order(repository: Path) -> None:
    series = git(repository, "format-patch", "--cover-letter", "--stdout", "HEAD~2")
    cover, first, second = re.split(r"(?m)^(?=From [0-9a-f]{40} )", series)[1:]
    arrived = f"{second}{cover}{first}".encode()
    assert decoded(arrived).decode() == series
    assert [fix.title for fix in diff.parse("series.mbox", arrived).fixes] == [
        FIX.title,
        "fs: the second fix",
    ]


def test_mails_of_two_versions_of_a_series_stay_as_they_are(repository: Path) -> None:
    series = git(repository, "format-patch", "--stdout", "HEAD~2")
    first, second = re.split(r"(?m)^(?=From [0-9a-f]{40} )", series)[1:]
    both = f"{second}{first}{second}".encode()
    assert decoded(both) == both


def test_what_follows_the_three_dashes_is_no_part_of_the_commit(repository: Path) -> None:
    mail = git(repository, "format-patch", "-1", "--stdout")
    (fix,) = fixes(mail.replace("---\n", "---\nv2: not CVE-2020-0001\n", 1))
    assert fix.cves == ()


def test_a_mail_without_a_line_for_mailboxes(repository: Path) -> None:
    mail = git(repository, "format-patch", "-1", "--stdout", "HEAD~").partition("\n")[2]
    assert fixes(mail) == (FIX,)


@pytest.mark.parametrize("text", [PLAIN, "Index: fs/x.c\n" + PLAIN, "A note.\n\n" + PLAIN, ""])
def test_a_diff_alone_says_nothing(text: str) -> None:
    assert fixes(text) == ()
    assert decoded(text.encode()) == text.encode()


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_encoded_mail_is_read(encoding: str) -> None:
    body = f"Ä CVE-2024-1086\n---\n{PLAIN}".encode()
    coded = base64.encodebytes(body) if encoding == "base64" else quopri.encodestring(body)
    mail = (
        b"From mboxrd@z Thu Jan  1 00:00:00 1970\nReceived: here\nFrom: A <a@example.org>\n"
        b"Subject: [PATCH] fs: fix\nContent-Type: text/plain; charset=utf-8\n"
        b"Content-Transfer-Encoding: " + encoding.encode() + b"\n\n" + coded + b"\n"
    )
    patch = diff.parse("fix.mbox", mail)
    assert [change.path for change in patch.changes] == ["fs/x.c"]
    assert patch.text.rstrip().endswith(PLAIN.encode().rstrip())
    assert patch.fixes == (Fix("fs: fix", "A <a@example.org>", cves=("CVE-2024-1086",)),)


@pytest.mark.parametrize(
    "mail",
    [
        "Subject: fix\nFrom: <<<>\nDate: never\n\n" + PLAIN,
        "Subject: =?utf-8?b?//?=\nFrom: =?no-such?q?=ff?= <@>\n\n" + PLAIN,
        "Subject: fix\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\n" + PLAIN,
    ],
)
def test_damaged_headers_are_read_as_far_as_they_go(mail: str) -> None:
    fixes(mail)
    decoded(mail.replace("\n\n", "\nContent-Transfer-Encoding: base64\n\n", 1).encode())

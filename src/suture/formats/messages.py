# SPDX-License-Identifier: GPL-2.0-or-later
"""What a patch file says of its changes besides the diffs: mails, as ``git format-patch`` writes
them, and the output of ``git show`` and ``git log -p``.

1. `decoded` undoes the transfer encodings of mails, so that a diff in base64 can be read, and puts
   the mails of a series in order.
2. The file is split where the next mail or commit begins.
3. `fixes` reads the title, the author and the trailers of each.

Trailers are those of ``Documentation/process/submitting-patches.rst``: ``Fixes:``, ``Link:``,
``Closes:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from email.utils import parseaddr, parsedate_to_datetime
from itertools import pairwise

from suture.model import Fix

_START = re.compile(
    r"^(?:From (?P<mail>\S+) .*\d\d:\d\d.*\n(?=[\w-]+:)"
    r"|commit (?P<commit>[0-9a-f]{7,64})(?: \(.*\))?\n(?=Author:|Merge:))",
    re.MULTILINE,
)
"""The beginning of a mail in a mailbox (``From 1da177e4c3f4 Mon Sep 17 00:00:00 2001``), or of a
commit as ``git show`` prints it."""

_HEADER = re.compile(r"(?:From|Date|Subject|Message-Id|Received|Return-Path): ", re.IGNORECASE)
_ENCODED = re.compile(rb"^content-transfer-encoding:\s*(?:base64|quoted-printable)", re.I | re.M)
_NUMBERED = re.compile(rb"^Subject: *\[[^\]]*\b\d+/\d+\]", re.I | re.M)
_DIFF = re.compile(r"^(?:diff --git |Index: |--- \S)", re.MULTILINE)
_END_OF_MESSAGE = re.compile(r"^---[ \t]*$", re.MULTILINE)
"""In a mail, what follows the line is not part of the commit (git-am(1))."""

_TAGS = re.compile(r"^(?:\s*\[[^\]]*\])+\s*")
"""``[PATCH v2 1/3]`` before a title."""

CVE = re.compile(r"\bCVE-\d{4}-\d{4,19}\b")
_LINK = re.compile(r"^(?:Link|Closes|BugLink):\s*(https?://\S+)", re.MULTILINE | re.IGNORECASE)
_FIXES = re.compile(r"^Fixes:\s*(\S.*)$", re.MULTILINE | re.IGNORECASE)
_UPSTREAM = re.compile(
    r"^\s*(?:commit ([0-9a-f]{40}) upstream\b|\[ Upstream commit ([0-9a-f]{40}) \])",
    re.MULTILINE,
)
"""How the stable trees name the commit that they took (the kernel's
Documentation/process/stable-kernel-rules.rst)."""


def fixes(text: str) -> tuple[Fix, ...]:
    """Return what each mail or commit in a patch file says of its change; nothing for a diff alone.

    A mail without a diff, such as a cover letter, is passed over.
    """
    return tuple(fix for part in _parts(text) if (fix := _fix(part)) is not None)


def decoded(data: bytes) -> bytes:
    """Return a patch file with its mails' transfer encodings undone, and those of a series in
    order; other files as they are."""
    if not _ENCODED.search(data) and not _NUMBERED.search(data):
        return data
    text = data.decode("utf-8", errors="surrogateescape")
    parts = [
        _plain(part) if _ENCODED.search(part.encode("utf-8", "surrogateescape")) else part
        for part in _parts(text)
    ]
    return "".join(_ordered(parts)).encode("utf-8", errors="surrogateescape")


def _ordered(parts: Sequence[str]) -> Sequence[str]:
    """Return the mails of a series by their numbers: a mailbox holds them as they arrived.

    Mails that are not all numbered, or not of one series, stay as they are.
    """
    numbers = [_number(part) for part in parts]
    patches = [one for one, part in zip(numbers, parts, strict=True) if _DIFF.search(part)]
    if None in patches or len({one[1] for one in patches if one}) != 1:
        return parts
    if len(set(patches)) != len(patches):  # two versions of a series
        return parts
    order = sorted(range(len(parts)), key=lambda index: (numbers[index] or (0, 0))[0])
    return [parts[index] for index in order]


def _number(part: str) -> tuple[int, int] | None:
    """Return the number of a mail in its series, and of how many: ``[PATCH v2 2/3]``."""
    head = re.sub(r"\n[ \t]+", " ", part.partition("\n\n")[0])
    found = re.search(r"^Subject: *\[[^\]]*?(\d+)/(\d+)\]", head, re.MULTILINE | re.IGNORECASE)
    return (int(found[1]), int(found[2])) if found else None


def _parts(text: str) -> Iterator[str]:
    """Yield the mails or commits of a file, in order; together they are the whole file."""
    starts = [match.start() for match in _START.finditer(text)]
    bounds = [0, *starts, len(text)] if not starts or starts[0] else [*starts, len(text)]
    for start, end in pairwise(bounds):
        yield text[start:end]


def _plain(part: str) -> str:
    """Return a mail with its headers and its text, decoded."""
    first, _, rest = part.partition("\n") if part.startswith("From ") else ("", "", part)
    if not _HEADER.match(rest):
        return part
    mail = message_from_bytes(rest.encode("utf-8", errors="surrogateescape"), policy=policy.default)
    headers = [f"{name}: {mail[name]}" for name in ("From", "Date", "Subject") if mail[name]]
    texts = [_content(one) for one in mail.walk() if one.get_content_maintype() == "text"]
    return "\n".join([*([first] if first else []), *headers, "", *texts]) + "\n"


def _content(mail: EmailMessage) -> str:
    try:
        return str(mail.get_content()).replace("\r\n", "\n")
    except (LookupError, ValueError):  # a character set that Python does not know
        payload = mail.get_payload(decode=True)
        return payload.decode("latin-1") if isinstance(payload, bytes) else ""


def _fix(part: str) -> Fix | None:
    start = _DIFF.search(part)
    if start is None:
        return None
    head = part[: start.start()].encode("utf-8", "replace").decode()
    marked = _START.match(head)
    rest = head[marked.end() :] if marked else head
    if marked and marked["commit"]:
        return _of_commit(marked["commit"], rest)
    if not _HEADER.match(rest):
        return None
    return _of_mail(marked["mail"] if marked else "", rest)


def _of_mail(name: str, text: str) -> Fix | None:
    mail = message_from_string(text, policy=policy.default)
    subject, date = _header(mail, "Subject"), _header(mail, "Date")
    body = _END_OF_MESSAGE.split("" if mail.is_multipart() else str(mail.get_payload()))[0]
    # git-am(1): a mail that one person sends for another begins with "From:" and a name.
    sent_for = re.match(r"\s*From: (.+)\n", body)
    # 'git format-patch --zero-commit' writes only zeros.
    commit = name if re.fullmatch("(?!0+$)[0-9a-f]{40,64}", name) else ""
    title = _TAGS.sub("", subject)
    author = sent_for[1] if sent_for else _person(*parseaddr(_header(mail, "From")))
    return _described(title, author, _iso(date), commit, body)


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(mail[name] or "").split())
    except (ValueError, IndexError):  # the parser of addresses raises some for damaged ones
        return ""


def _person(name: str, address: str) -> str:
    """Return a person as git writes one, without quotation marks (``"A. Author" <a@example.org>``
    in a mail)."""
    return f"{name} <{address}>" if name and address else name or address


def _of_commit(commit: str, text: str) -> Fix | None:
    """Read what ``git show`` prints: headers, then the message, indented by four spaces."""
    headers, _, message = text.partition("\n\n")
    found: list[tuple[str, str]] = re.findall(r"^(\w+):\s+(.*)$", headers, re.MULTILINE)
    fields = dict(found)
    body = "\n".join(line.removeprefix("    ") for line in message.split("\n"))
    title, _, rest = body.strip("\n").partition("\n")
    date = fields.get("AuthorDate", fields.get("Date", ""))
    return _described(title.strip(), fields.get("Author", ""), _iso(date), commit, rest)


def _described(title: str, author: str, date: str, commit: str, body: str) -> Fix | None:
    if not title:
        return None
    upstream = _UPSTREAM.search(body)
    return Fix(
        title,
        author,
        date,
        (upstream[1] or upstream[2]) if upstream else commit,
        _each_once(CVE.findall(f"{title}\n{body}")),
        _each_once(_LINK.findall(body)),
        _each_once(_FIXES.findall(body)),
    )


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.strip() for text in texts))


def _iso(date: str) -> str:
    """Return a date in ISO 8601; as it is written where it is in no form of mail or git."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return read(date).isoformat()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    try:  # git log --date=iso: 2026-11-28 12:00:00 +0100
        return datetime.strptime(date, "%Y-%m-%d %H:%M:%S %z").isoformat()
    except ValueError:
        return date

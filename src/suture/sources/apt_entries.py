# SPDX-License-Identifier: GPL-2.0-or-later
"""The entries of apt's list of sources on this host (sources.list(5)), in both of its forms.

``apt-get indextargets`` lists only sources with downloaded lists, and a container often has none,
so the files themselves are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.host import files, run

ONE_LINE = re.compile(
    r"\s*(?P<type>deb|deb-src)\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)"
    r"(?P<components>[^#\n]*)"
)
"""``deb [signed-by=FILE] URI SUITE COMPONENT...``; what follows ``#`` is a comment."""

OWN_FIELDS = frozenset({"types", "uris", "suites", "components", "enabled", "x-repolib-name"})
"""The fields that `AptEntry` has as attributes, or that mean nothing once an entry counts."""

NOT_KEPT = frozenset(
    {"architectures", "arch", "languages", "lang", "targets", "target", "include", "exclude"}
)
"""Options that say which of an archive's lists or packages are used, and not how it is trusted."""

NO = frozenset({"no", "false", "off", "without", "disable", "0"})
"""What apt reads as false (``apt-pkg/contrib/strutl.cc: StringToBool()``)."""


@dataclass(frozen=True, slots=True)
class AptEntry:
    """One entry: packages of the components of some suites of archives.

    :ivar file: where it stands.
    :ivar options: the fields that say how the archive is trusted and reached (``Signed-By``,
        ``Trusted``, ``Check-Valid-Until``), named as in the form with fields, values as written.
    """

    file: Path
    types: tuple[str, ...]
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: Mapping[str, str]


def entries() -> Iterator[AptEntry]:
    """Yield this host's entries that are enabled, in apt's order; malformed ones are passed over,
    about which apt itself complains.

    :raises Refusal: ``tool-missing``
    """
    for path in _files():
        text = files.read_bytes(path).decode("utf-8", "replace")
        yield from (_with_fields(path, text) if path.suffix == ".sources" else _lines(path, text))


def _files() -> list[Path]:
    asked = ["LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"]
    shell = run.check(["apt-config", "shell", *asked]).stdout
    named = dict(re.findall(r"^(\w+)='(.*)'$", shell, re.MULTILINE))
    parts = Path(named.get("PARTS", "/nonexistent"))
    found = [Path(named["LIST"])] if "LIST" in named else []
    if parts.is_dir():
        found += sorted(path for path in parts.iterdir() if path.suffix in (".list", ".sources"))
    return [path for path in found if path.is_file()]


def _lines(path: Path, text: str) -> Iterator[AptEntry]:
    for line in text.splitlines():
        match = ONE_LINE.match(line)
        if match is not None:
            yield AptEntry(
                path,
                (match["type"],),
                (match["uri"],),
                (match["suite"],),
                tuple(match["components"].split()),
                dict(_options(match["options"] or "")),
            )


def _options(text: str) -> Iterator[tuple[str, str]]:
    """Yield the options of a line: ``signed-by=/usr/share/keyrings/a.gpg`` as ``Signed-By``."""
    for word in text.split():
        name, _, value = word.partition("=")
        # As in ``lang+=de``: the option adds to a list.
        plain = name.rstrip("+-")
        if plain not in NOT_KEPT and value:
            yield plain.title(), value.replace(",", " ")


def _with_fields(path: Path, text: str) -> Iterator[AptEntry]:
    from debian.deb822 import Deb822

    for paragraph in Deb822.iter_paragraphs(text.splitlines(), use_apt_pkg=False):
        fields = {name.lower(): value for name, value in paragraph.items()}
        if fields.get("enabled", "yes").strip().lower() in NO or "uris" not in fields:
            continue
        yield AptEntry(
            path,
            tuple(fields.get("types", "").split()),
            tuple(fields["uris"].split()),
            tuple(fields.get("suites", "").split()),
            tuple(fields.get("components", "").split()),
            {
                name: value
                for name, value in paragraph.items()
                if name.lower() not in OWN_FIELDS | NOT_KEPT
            },
        )

# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's suites beside the host's own: their package lists, without changing the host's apt.

A suite gets a configuration of apt for itself, below ``suites/`` in the cache, with the addresses
and keys of the host's Debian archives and the names of the other suite:

====================  ===========================================================
``apt.conf``          read after the host's configuration, which still counts (proxies)
``debian.sources``    its archives: ``trixie``, ``trixie-updates``, ``trixie-backports``, and
                      ``trixie-security`` where the host has a security archive
``lists/``            the package lists, verified by apt with the archives' keys
``status``            empty: nothing is installed, so apt resolves all of a package's dependencies
``refreshed``         its time is that of the last ``apt-get update``
====================  ===========================================================

Nothing of it needs root rights.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from suture.errors import SUITE_NOT_FOUND, SUITE_UNCONFIGURED, Refusal
from suture.host import files
from suture.host.paths import cache
from suture.host.progress import note, step
from suture.sources import apt
from suture.sources.apt import AptConfiguration
from suture.sources.apt_entries import AptEntry, entries

REFRESH_SECONDS = 6 * 3600
"""Lists are refreshed when they are older: Debian's archive changes four times a day."""

UPDATES, SECURITY, BACKPORTS = "-updates", "-security", "-backports"
PARTS = (UPDATES, SECURITY, BACKPORTS)


@dataclass(frozen=True, slots=True)
class DebianSuite:
    """A suite that Suture knows.

    :ivar parts: the suffixes of the suites that complete it.
    :ivar releases: matches the names of its kernels.
    """

    name: str
    releases: re.Pattern[str]
    parts: tuple[str, ...] = PARTS


SUITES = (
    DebianSuite("trixie", re.compile(r"\S+\+deb13\S*|6\.12\.\d+-\S+")),
    DebianSuite("bookworm", re.compile(r"\S+\+deb12\S*|6\.1\.0-\d+-\S+")),
    DebianSuite("bullseye", re.compile(r"\S+[.+]deb11\S*|5\.10\.0-\d+-\S+")),
    DebianSuite("sid", re.compile(r"\d+\.\d+(\.\d+)?(\+deb14\S*)?(\+\d+)?-[a-z]\S*"), ()),
)
"""In the order in which they are asked for a release that several of them may have.

Backports have the name of the suite that they are for: ``7.3.4+deb13-amd64``, and in Debian 11
``6.1.0-0.deb11.52-amd64``.  Kernels of testing are in unstable first: ``7.2.13+deb14-amd64``.
"""

BACKPORTED = re.compile(r"\S+[+~]bpo\S*")
"""The names of kernels in backports until Debian 12: ``6.12.9+bpo-amd64``."""

ALIASES = {"unstable": "sid"}


CONTENTS = {"deb": "Packages", "deb-src": "Sources"}
"""The type of a source (sources.list(5)) -> the lists that belong to it."""


@dataclass(frozen=True, slots=True)
class SuiteLists:
    """The package lists of one suite.

    :ivar parts: the suites that it consists of, its own name first.
    :ivar type: ``deb``, or ``deb-src`` for its source packages.
    """

    name: str
    parts: tuple[str, ...]
    type: str = "deb"
    configuration: AptConfiguration = field(init=False)

    def __post_init__(self) -> None:
        configuration = replace(
            apt.HOST,
            name=f"Debian {self.name}",
            options=("-c", str(self.directory / "apt.conf")),
            stamp=self.directory / "refreshed",
        )
        object.__setattr__(self, "configuration", configuration)

    @property
    def contents(self) -> str:
        """What its lists are called."""
        return CONTENTS[self.type]

    @property
    def directory(self) -> Path:
        """Where they are kept."""
        return cache() / "suites" / (self.name if self.type == "deb" else f"{self.name}.source")

    def refreshed(self) -> AptConfiguration:
        """Return the configuration for apt, with lists that are there and not old.

        Old lists that cannot be refreshed are used, and said to be old.

        :raises Refusal: ``suite-not-found``, ``suite-unconfigured``, ``package-untrusted``,
            ``archive-unreachable``, ``disk-full``, ``tool-missing``
        """
        with files.locked(self.directory / ".lock"):
            if self._lay_out() or self._age() > REFRESH_SECONDS:
                self._refresh()
        return self.configuration

    def kept(self) -> AptConfiguration | None:
        """Return the configuration if lists are there, however old; nothing is downloaded."""
        return self.configuration if self._stamp.exists() else None

    @property
    def _stamp(self) -> Path:
        assert self.configuration.stamp is not None
        return self.configuration.stamp

    def _age(self) -> float:
        """Return the seconds since the last refresh."""
        try:
            return abs(time.time() - self._stamp.stat().st_mtime)
        except FileNotFoundError:
            return float("inf")

    def _lay_out(self) -> bool:
        """Write the configuration; tell whether it is another than before, as after a change of the
        host's archives."""
        sources = _sources(self.parts, self.type)
        for directory in ("lists/partial", "cache/archives/partial"):
            (self.directory / directory).mkdir(parents=True, exist_ok=True)
        written = {
            "status": "",
            "apt.conf": _apt_conf(self.directory),
            "debian.sources": "\n".join(sources),
        }
        changed = [name for name, text in written.items() if _text(self.directory / name) != text]
        for name in changed:
            files.write_atomic(self.directory / name, written[name].encode())
        return bool(changed)

    def _refresh(self) -> None:
        with step("Getting the package lists", self.configuration.name):
            failure = apt.update(self.configuration)
        listed = self.parts[0] in apt.listed_suites(self.configuration, self.contents)
        if failure is None and listed:
            self._stamp.touch()
        elif not listed:
            self._stamp.unlink(missing_ok=True)
            raise self._refusal(failure)
        else:
            assert failure is not None
            self._settle(failure)

    def _settle(self, failure: Refusal) -> None:
        """Go on with what there is: the lists of before, or those of the parts that the archive
        still has (Debian 11's backports are gone)."""
        note(f"{self.configuration.name}: {failure.found}")
        if failure.kind is SUITE_NOT_FOUND:
            self._stamp.touch()

    def _refusal(self, failure: Refusal | None) -> Refusal:
        if failure is None or failure.kind is SUITE_NOT_FOUND:
            evidence = () if failure is None else failure.evidence
            found = f"the archive has no suite {self.parts[0]}"
            return Refusal(SUITE_NOT_FOUND, self.configuration.name, found, evidence=evidence)
        return failure


def lists(name: str, *, source_packages: bool = False) -> SuiteLists:
    """Return the lists of a suite by its name: ``trixie`` with all that completes it, or one part
    such as ``trixie-backports`` alone.

    :param source_packages: the lists of its source packages, for ``apt-get source``; the others
        have binary packages only.
    :raises Refusal: ``suite-not-found`` (not a name)
    """
    if not re.fullmatch(r"[a-z][a-z0-9.+-]*", name):
        raise Refusal(SUITE_NOT_FOUND, repr(name), "is not the name of a suite")
    plain = ALIASES.get(name, name)
    known = next((suite for suite in SUITES if suite.name == plain), None)
    parts = (plain,) if known is None else (plain, *(plain + part for part in known.parts))
    return SuiteLists(plain, parts, "deb-src" if source_packages else "deb")


def names() -> tuple[str, ...]:
    """Return the names of the suites that ``all`` means."""
    return tuple(suite.name for suite in SUITES)


def suites_of(release: str) -> tuple[str, ...]:
    """Return the suites that a kernel of this name may be from, the likeliest first."""
    if BACKPORTED.fullmatch(release):
        return tuple(suite.name for suite in SUITES if BACKPORTS in suite.parts)
    return tuple(suite.name for suite in SUITES if suite.releases.fullmatch(release))


def _sources(parts: Sequence[str], type_: str) -> list[str]:
    """Return the entries for a suite, made from the host's entries of Debian's archives.

    :raises Refusal: ``suite-unconfigured``
    """
    hosts = _debians(entries())
    made: dict[str, None] = {}
    for entry in hosts:
        is_security = any(_is_of_security(suite) for suite in entry.suites)
        wanted = [part for part in parts if _is_of_security(part) == is_security]
        if wanted:
            made[_stanza(entry, wanted, type_)] = None
    if not made:
        raise Refusal(
            SUITE_UNCONFIGURED,
            parts[0],
            "no Debian archive is among the sources of this host's apt",
        )
    return list(made)


def _debians(found: Iterable[AptEntry]) -> Iterator[AptEntry]:
    """Yield the entries of Debian's own archives.

    Others often name their suites as Debian does (``https://apt.releases.hashicorp.com bookworm
    main``).  The archive's own word counts (``Origin`` in its Release file); where the host's lists
    have not been downloaded, its address does.
    """
    origins = apt.origins(apt.HOST)
    for entry in found:
        if "deb" in entry.types and "main" in entry.components:
            uris = tuple(uri for uri in entry.uris if _is_debians(uri, origins.get(_plain(uri))))
            if uris:
                yield replace(entry, uris=uris)


def _is_debians(uri: str, origin: str | None) -> bool:
    return "debian" in uri.lower() if origin is None else origin.startswith("Debian")


def _plain(uri: str) -> str:
    return uri.rstrip("/")


def _is_of_security(suite: str) -> bool:
    """Tell whether a suite is in the security archive; ``buster/updates`` is the older form."""
    return suite.endswith((SECURITY, "/updates"))


def _stanza(entry: AptEntry, suites: Sequence[str], type_: str) -> str:
    fields = {
        "Types": type_,
        "URIs": " ".join(entry.uris),
        "Suites": " ".join(suites),
        "Components": "main",
        "Targets": CONTENTS[type_],
        **entry.options,
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _apt_conf(directory: Path) -> str:
    settings = {
        "Dir::Etc::sourcelist": directory / "debian.sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": directory / "lists",
        "Dir::State::status": directory / "status",
        "Dir::State::extended_states": directory / "extended_states",
        "Dir::Cache": directory / "cache",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Acquire::Languages": "none",
    }
    # Commands of the host that apt runs around an update are about the host's own lists.
    cleared = "".join(
        f"#clear APT::Update::{when};\n"
        for when in ("Pre-Invoke", "Post-Invoke", "Post-Invoke-Success")
    )
    return cleared + "".join(f'{name} "{value}";\n' for name, value in settings.items())


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None

# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the changed files an entry of a changelog may mean.

A changelog has titles alone.  A title begins with the place in the kernel and may name a function::

    smb: client: fix OOB read/write from unvalidated DataOffset in coalesce_t2()

1. *sure*, by name: the title has a name of C that one changed file alone has in its changed lines
   or functions, and every word of the place is in that file's path.
2. *sure*, by place: of all changed files, one source file alone has every word of the place in its
   path, the last one in its own name or that of its directory; headers like that go with it.  If
   the title has names of C, one of them is in the changes of these files.  The title has one place:
   "lockd, nfsd: ..." is about files in both.
3. *likely*: other files have every word of the place in their paths; each of them may be meant.
4. *unsure*: no file can be named.

Names without the place are not enough: "mptcp: prevent race between disconnect() and rtx" names a
function that only net/bluetooth/mgmt.c changes.  Nor is the place without the names: "ipv6: fib6:
fix NULL deref in fib6_walk_continue()" is in net/ipv6/ip6_fib.c, and fib6_rules.c alone has the
words.  A header alone is never sure, since what uses it changes too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import takewhile

from suture.fixes.changes import CodeChange

MOST_FILES = 40
"""A place with more changed files (``net``, ``drm``) says nothing."""

PLACES: Mapping[str, tuple[str, ...]] = {
    "alsa": ("sound",),
    "asoc": ("sound/soc",),
    "bpf": ("net/core/filter.c",),
    "cifs": ("fs/smb/client", "fs/cifs", "fs/smb/common"),
    "dm": ("drivers/md",),
    "dma-direct": ("kernel/dma/direct.c", "kernel/dma/direct.h"),
    "dmaengine": ("drivers/dma",),
    "fsnotify": ("fs/notify",),
    "ksmbd": ("fs/smb/server", "fs/ksmbd", "fs/smb/common"),
    "libceph": ("net/ceph",),
    "mlx5e": ("drivers/net/ethernet/mellanox/mlx5/core",),
    "net_sched": ("net/sched",),
    "nfsv4": ("fs/nfs",),
    "nvme-core": ("drivers/nvme/host/core.c",),
    "nvme-fc": ("drivers/nvme/host/fc.c",),
    "nvme-pci": ("drivers/nvme/host/pci.c",),
    "nvme-rdma": ("drivers/nvme/host/rdma.c",),
    "nvme-tcp": ("drivers/nvme/host/tcp.c",),
    "nvmet": ("drivers/nvme/target",),
    "pm": ("kernel/power", "drivers/base/power"),
    "rdma": ("drivers/infiniband",),
    "svcrdma": ("net/sunrpc/xprtrdma",),
    "tracing": ("kernel/trace",),
    "usb-audio": ("sound/usb",),
    "vt-d": ("drivers/iommu/intel",),
    "wifi": ("drivers/net/wireless", "net/mac80211", "net/wireless"),
}
"""Words of places that stand for directories or files that do not have the word in their path."""

_PLACE = re.compile(r"[\w./,+ ()-]{1,60}")
_WORDS_OF_PLACE = re.compile(r"[a-z0-9_.+-]+")
_DRIVER = re.compile(r"\((?P<hwmon>\w[\w.-]*)\) |(?P<input>\w[\w.-]*) - ")
"""As two subsystems name drivers: ``hwmon: (pmbus) Clear generic status alarms``, ``Input: ims-pcu
- add response length checks``."""

_NAME = re.compile(r"[A-Za-z_]\w*_\w+|[A-Za-z_]\w+(?=\(\))|(?<=->)[A-Za-z_]\w+")
"""A word of C: with an underscore, or called, or a member."""

_NOT_PLACES = frozenset(("fix", "revert", "driver", "core", "new", "and", "the", "of", "drivers"))
"""Words before a colon that are in no path, or in all: ``driver core: ...``."""


class Certainty(StrEnum):
    """How sure a match is, and by what."""

    COMMIT = "sure, by commit"
    NAME = "sure, by name"
    PLACE = "sure, by place"
    LIKELY = "likely"
    UNSURE = "unsure"

    @property
    def is_sure(self) -> bool:
        """Whether the files are those that the entry means."""
        return self in (Certainty.COMMIT, Certainty.NAME, Certainty.PLACE)


@dataclass(frozen=True, slots=True)
class FileMatch:
    """The changed files that an entry may mean.

    :ivar files: their paths, sorted; none where it is unsure.
    :ivar because: the names, or the words of the place, that decided.
    """

    certainty: Certainty
    files: tuple[str, ...] = ()
    because: tuple[str, ...] = ()


class Matcher:
    """Matches titles with the files that changed between two versions."""

    def __init__(self, changes: Iterable[CodeChange]) -> None:
        """Index the changed files by the names in their changed lines and by the words of their
        paths."""
        self._by_name: dict[str, set[str]] = defaultdict(set)
        self._by_word: dict[str, set[str]] = defaultdict(set)
        self._paths: list[str] = []
        for change in changes:
            self._paths.append(change.path)
            for name in change.words | change.functions:
                self._by_name[name].add(change.path)
            for word in _words(change.path):
                self._by_word[word].add(change.path)
        self._at = lru_cache(1 << 12)(self._find)

    def match(self, title: str) -> FileMatch:
        """Return the files that an entry may mean, by its title."""
        places = places_of(title)
        files = frozenset[str]().union(*map(self._at_place, places))
        if named := self._by_names(title, files):
            return named
        because = tuple(dict.fromkeys(word for place in places for word in place))
        meant = _meant_by_place(places[0], files) if len(places) == 1 else ()
        if meant and self._has_names(title, meant):
            return FileMatch(Certainty.PLACE, meant, because)
        if 0 < len(files) <= MOST_FILES:
            return FileMatch(Certainty.LIKELY, tuple(sorted(files)), because)
        return FileMatch(Certainty.UNSURE, because=because)

    def _by_names(self, title: str, at_place: frozenset[str]) -> FileMatch | None:
        """Return the one file that has names of a title, if there is one and it is at the place."""
        having = {name: self._by_name[name] for name in _names(title)}
        single = {name: next(iter(paths)) for name, paths in having.items() if len(paths) == 1}
        files = set(single.values())
        if len(files) != 1 or not files <= at_place or next(iter(files)).endswith(".h"):
            return None
        return FileMatch(Certainty.NAME, tuple(files), tuple(single))

    def _has_names(self, title: str, files: Collection[str]) -> bool:
        """Whether the changes of some files have one of the names of a title, if it has any."""
        names = _names(title)
        return not names or any(not self._by_name[name].isdisjoint(files) for name in names)

    def _at_place(self, place: tuple[str, ...]) -> frozenset[str]:
        """Return the files whose paths have every word of a place."""
        return frozenset.intersection(*map(self._at, place))

    def _find(self, word: str) -> frozenset[str]:
        """Return the paths that have a word of a place: as it is, or below what it stands for, or
        each of its pieces (``nvmet-auth``: ``drivers/nvme/target/auth.c``)."""
        found = set(self._by_word.get(word, ()))
        for place in PLACES.get(word, ()):
            found |= {path for path in self._paths if path == place or path.startswith(f"{place}/")}
        pieces = re.split(r"[_-]", word)
        if word not in PLACES and len(pieces) > 1 and all(len(piece) > 1 for piece in pieces):
            found |= frozenset.intersection(*map(self._at, pieces))
        return frozenset(found)


def places_of(title: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of each place that a title begins with: ``(("smb", "client"),)`` of "smb:
    client: ...", ``(("lockd",), ("nfsd",))`` of "lockd, nfsd: ..."."""
    title = re.sub(r'^Revert "(.*)"$', r"\1", title)
    *parts, rest = title.split(": ")
    if named := _DRIVER.match(rest):
        parts.append(named["hwmon"] or named["input"])
    text = " ".join(part.lower() for part in takewhile(_PLACE.fullmatch, parts))
    places = (tuple(dict.fromkeys(_words_of_place(one))) for one in text.split(","))
    return tuple(place for place in places if place)


def _words_of_place(text: str) -> Iterator[str]:
    for word in _WORDS_OF_PLACE.findall(text):
        plain = word.strip(".-")
        if plain and plain not in _NOT_PLACES:
            yield plain


def _names(title: str) -> list[str]:
    """Return the names of C of a title behind its place, which looks like one: ``io_uring``."""
    return _NAME.findall(title.rpartition(": ")[2])


def _words(path: str) -> frozenset[str]:
    """Return the words of a path: its parts, with and without the ends of file names, and what
    stands between the dashes and underscores of each."""
    parts = path.lower().split("/")
    parts.append(parts[-1].rpartition(".")[0])
    pieces = {piece for part in parts for piece in re.split(r"[_-]", part)}
    dashed = {part.replace("_", "-") for part in parts}
    underscored = {part.replace("-", "_") for part in parts}
    return frozenset({*parts, *pieces, *dashed, *underscored})


def _meant_by_place(place: tuple[str, ...], files: Collection[str]) -> tuple[str, ...]:
    """Return the one source file that a place means, with headers at the place; none where several
    are possible.

    One word is no place for a file with that name: "ethtool: fail closed if ..." is in net/ethtool,
    not in ethtool.c of e1000e.

    :param files: at the place.
    """
    sources = [path for path in files if not path.endswith(".h")]
    if len(sources) == 1 and _is_named(place[-1], sources[0]):
        return tuple(sorted(files))
    exact = [path for path in sources if _is_stem(place[-1], path)]
    return tuple(exact) if len(exact) == 1 and len(place) > 1 else ()


def _is_stem(word: str, path: str) -> bool:
    """Whether a word is the whole name of a file and not that of its directory: the place
    ``mm/damon/sysfs`` is sysfs.c and not sysfs-schemes.c, and ``team`` is any file of team/."""
    *_, directory, file = ["", *path.lower().split("/")]
    stem = file.rpartition(".")[0]
    return stem.replace("-", "_") == word.replace("-", "_") != directory.replace("-", "_")


def _is_named(word: str, path: str) -> bool:
    """Whether a word is the name of a source file or a part of it, or that of its directory, or
    stands for it."""
    directory, _, file = f"/{path}".rpartition("/")
    names = _words(file) | _words(directory.rpartition("/")[2])
    return path in PLACES.get(word, ()) or not names.isdisjoint((word, word.replace("-", "_")))

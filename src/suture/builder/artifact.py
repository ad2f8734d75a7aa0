# SPDX-License-Identifier: GPL-2.0-or-later
"""A built live patch module, with its provenance and what it replaces, adds and leaves out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from suture import __version__
from suture.diff.omitted import LeftOut
from suture.errors import Finding
from suture.formats import suse
from suture.formats.recognise import Input
from suture.host.files import paths_below, read_bytes, write_atomic
from suture.kernel import config
from suture.kernel.release import Target
from suture.link.callbacks import Hooked
from suture.link.glue import Variable
from suture.model import LivePatch
from suture.verify.plan import CallerReplacement
from suture.workspace.applying import Adapted

if TYPE_CHECKING:
    from suture.builder.evidence import BuildEvidence
    from suture.formats.cmodule import CModule
    from suture.verify.replaced import Checked


@dataclass(frozen=True, slots=True)
class Digest:
    """One input file and its contents.

    :ivar name: as the author named it.
    :ivar sha256: hexadecimal.
    """

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """The inputs and tools that a module was built from.

    :ivar suture: the version of Suture.
    :ivar release: the target's release; `version`: that of its packages, or "".
    :ivar compiler: the target's compiler, as its configuration names it.
    :ivar inputs: the files that the author gave, in order.
    """

    suture: str
    release: str
    version: str
    compiler: str
    inputs: tuple[Digest, ...]

    @classmethod
    def of(cls, target: Target, inputs: Iterable[Input]) -> Provenance:
        """Record a target and inputs; the inputs are read once more, for their digests.

        :raises Refusal: ``file-unreadable``
        """
        compiler = config.read(target.config).compiler
        digests = tuple(digest for given in inputs for digest in _digests(given))
        return cls(__version__, target.release, target.version, compiler, digests)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A finished module.

    :ivar data: the module's bytes.
    :ivar patch: what it replaces, as read back from the module; empty for a module that live
        patches need and that replaces nothing.
    :ivar path: where it was written, or, if not `is_written`, the default place.
    :ivar new: functions that the patch adds: (source file, name).
    :ivar left_out: parts of the patch that the live patch leaves out.
    :ivar callers: functions that are replaced because they call a changed one.
    :ivar findings: dangers that the author accepts, warnings, and questions for the author.
    :ivar data_changes: variables that change in memory while it is in force.
    :ivar calls: functions that the patch wants to be called.
    :ivar checked: functions that an author's module replaces, which cannot be proved.
    :ivar author_module: the only input, where that is an author's module.
    :ivar adapted: patch files that did not fit as they are written.
    :ivar hands_out: addresses in an author's own module that the kernel may keep, as sentences: its
        author decides how long it stays in memory.
    :ivar suse_fixes: of one of SUSE's directories, the fixes that it has.
    :ivar seconds: how long the build took.
    :ivar evidence: what the build worked with, where that was asked for.
    """

    name: str
    data: bytes
    target: Target
    patch: LivePatch
    provenance: Provenance
    inputs: tuple[Input, ...] = ()
    path: Path = Path()
    is_written: bool = False
    new: tuple[tuple[str, str], ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    callers: tuple[CallerReplacement, ...] = ()
    findings: tuple[Finding, ...] = ()
    data_changes: tuple[Variable, ...] = ()
    calls: tuple[Hooked, ...] = ()
    checked: tuple[Checked, ...] = ()
    author_module: CModule | None = None
    hands_out: tuple[str, ...] = ()
    adapted: tuple[Adapted, ...] = ()
    suse_fixes: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    evidence: BuildEvidence | None = field(default=None, compare=False, repr=False)

    @property
    def is_live_patch(self) -> bool:
        """Whether it replaces anything."""
        return bool(self.patch.objects)

    def written(self, path: Path | None) -> Artifact:
        """Write the module, unless `path` is None.

        :raises Refusal: ``file-unwritable``, ``disk-full``
        """
        if path is None:
            return replace(self, path=Path(f"{self.name}.ko"))
        write_atomic(path, self.data)
        return replace(self, path=path, is_written=True)

    @property
    def sha256(self) -> str:
        """The digest of the module's bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def _digests(given: Input) -> Iterator[Digest]:
    if not given.path.is_dir():
        yield Digest(str(given), hashlib.sha256(read_bytes(given.path)).hexdigest())
        return
    for path in paths_below(given.path):
        below = path.relative_to(given.path).as_posix()
        if path.is_file() and not suse.is_left_out(below, given.only):
            name = f"{given}/{below}"
            yield Digest(name, hashlib.sha256(read_bytes(path)).hexdigest())

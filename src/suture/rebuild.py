# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds live patches again for another kernel, from the sources that their modules carry.

1. What becomes of each is looked up (`suture.core.upgrade`): one that the new kernel keeps or does
   not need is left alone.
2. The sources are built for the new kernel, with all that proves and refuses there.  If its source
   has the fix already, that is recorded.
3. The new module is loaded and unloaded in the lab.
4. It is installed for the new kernel, as the old one was for the old kernel: all before the reboot.

One that cannot be built keeps none of the others from it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from suture.core import installing, upgrade
from suture.core.change import Options
from suture.core.store import Store, StoreEntry
from suture.core.upgrade import Succession, SuccessionKind
from suture.elf import reader
from suture.errors import (
    LAB_TEST_FAILED,
    PATCH_ALREADY_APPLIED,
    SIGNER_NEEDED,
    SOURCES_NOT_CARRIED,
    Refusal,
)
from suture.host.files import read_bytes, write_atomic
from suture.module import carried
from suture.module.inspect import inspect

if TYPE_CHECKING:
    from suture.kernel.release import Target
    from suture.module.sign import Signer


class RebuildState(StrEnum):
    """What came of one live patch."""

    KEPT = "kept"
    FIXED = "fixed"
    INSTALLED = "installed"
    WRITTEN = "written"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One live patch and the new kernel.

    :ivar origin: the kernel that it was built for before.
    :ivar because: how it is known that the new kernel does not need it.
    :ivar path: where the new module was written; empty where it was installed.
    :ivar is_tested: it was loaded and unloaded in the lab.
    """

    name: str
    origin: str
    state: RebuildState
    because: str = ""
    path: str = ""
    is_tested: bool = False
    refusal: Refusal | None = None

    @property
    def is_missing(self) -> bool:
        """Whether the new kernel is without it."""
        return self.refusal is not None


@dataclass(frozen=True, slots=True)
class RebuildOptions:
    """How live patches are built again.

    :ivar output: a directory to write the modules to, instead of installing them.
    :ivar is_tested: load and unload each in the lab.
    :ivar signer: who signs them.
    """

    output: Path | None = None
    is_tested: bool = True
    signer: Signer | None = None
    store: Store = field(default_factory=Store)
    change: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True)
class _EarlierModule:
    """A module that is to be built again.

    :ivar entry: as it is kept; None for a file.
    """

    name: str
    release: str
    data: bytes
    where: str
    entry: StoreEntry | None = None


def rebuild(
    release: str,
    names: Sequence[str] = (),
    *,
    options: RebuildOptions | None = None,
) -> Iterator[Rebuilt]:
    """Build live patches that are kept for other kernels again for `release`.

    :param names: those to build; by default all.
    :raises Refusal: ``not-installed``, ``path-untrusted``; what is about one live patch is in its
        result
    """
    chosen = options or RebuildOptions()
    wanted = upgrade.chosen(upgrade.successions(release, chosen.store), names)
    if chosen.output is None:
        with suppress(Refusal):  # a user may look, and only root records
            upgrade.record(release, wanted, chosen.store)
    for one in wanted:
        yield _each(one, release, chosen)


def rebuild_files(
    release: str,
    paths: Sequence[Path],
    *,
    options: RebuildOptions | None = None,
) -> Iterator[Rebuilt]:
    """Build the live patches of module files again for `release`.

    :raises Refusal: ``file-unreadable``, ``object-malformed``, ``not-a-live-patch``; what is about
        building is in the result
    """
    chosen = options or RebuildOptions()
    for path in paths:
        data = read_bytes(path)
        found = inspect(reader.read(data, str(path)))
        origin = _EarlierModule(found.patch.name, found.release, data, str(path))
        yield _rebuilt(origin, release, chosen)


def _each(one: Succession, release: str, options: RebuildOptions) -> Rebuilt:
    if one.kind is SuccessionKind.KEPT:
        return Rebuilt(one.name, one.origin, RebuildState.KEPT)
    if one.kind is SuccessionKind.FIXED:
        return Rebuilt(one.name, one.origin, RebuildState.FIXED, one.because)
    try:
        entry = options.store.entry(one.origin, one.name)
        data = options.store.module(entry)
    except Refusal as refusal:
        return Rebuilt(one.name, one.origin, RebuildState.REFUSED, refusal=refusal)
    where = str(options.store.path / one.origin / entry.module_file)
    origin = _EarlierModule(one.name, one.origin, data, where, entry)
    return _rebuilt(origin, release, options)


def _rebuilt(origin: _EarlierModule, release: str, options: RebuildOptions) -> Rebuilt:
    result = Rebuilt(origin.name, origin.release, RebuildState.REFUSED)
    try:
        if origin.entry is not None and origin.entry.require_signature and not options.signer:
            found = f"was installed for {origin.release} with --require-signature"
            raise Refusal(SIGNER_NEEDED, origin.name, found)
        data, target = _built(origin, _sources(origin), release, options)
        if options.is_tested:
            _try_out(data, origin.name, target)
        return _delivered(result, origin, data, release, options)
    except Refusal as refusal:
        if refusal.kind is not PATCH_ALREADY_APPLIED:
            return replace(result, refusal=refusal)
        because = f"its source has the fix ({refusal.where}: {refusal.found})"
        if origin.entry is not None and options.output is None:
            with suppress(Refusal):
                options.store.record_fixed(release, origin.name, because)
        return replace(result, state=RebuildState.FIXED, because=because)


def _sources(origin: _EarlierModule) -> bytes:
    """Return the archive that the module carries.  :raises Refusal: ``sources-not-carried``"""
    archive = carried.source_of(reader.read(origin.data, origin.where))
    if not archive:
        raise Refusal(SOURCES_NOT_CARRIED, origin.where, f"has no section {carried.SECTION}")
    return archive


def _built(
    origin: _EarlierModule, archive: bytes, release: str, options: RebuildOptions
) -> tuple[bytes, Target]:
    """Return the new module, signed if that is wanted, and its kernel, fetched if need be."""
    from suture import sources
    from suture.builder import build
    from suture.module.sign import sign

    target = sources.fetch(release)
    with tempfile.TemporaryDirectory(prefix="suture-") as work:
        written = Path(work, f"{origin.name}.livepatch.tar.xz")
        written.write_bytes(archive)
        data = build([written], target).data
    return (sign(data, origin.name, options.signer) if options.signer else data), target


def _try_out(data: bytes, name: str, target: Target) -> None:
    """Load and unload the module in the lab.

    :raises Refusal: ``lab-test-failed``, and what `suture.lab.livepatch.try_out` refuses
    """
    from suture.lab.livepatch import try_out

    report = try_out(target, data, inspect(reader.read(data, name)).patch)
    if not report.passed:
        failure = [str(report.failure)] if report.failure is not None else []
        evidence = [*map(str, report.findings), *failure]
        evidence += [line for complaint in report.complaints for line in complaint.lines]
        raise Refusal(LAB_TEST_FAILED, name, f"on {target.release}", evidence=evidence)


def _delivered(
    result: Rebuilt, origin: _EarlierModule, data: bytes, release: str, options: RebuildOptions
) -> Rebuilt:
    """Write the module, or install it as the old one was installed."""
    if options.output is not None:
        path = options.output / f"{origin.name}-{release}.ko"
        write_atomic(path, data)
        return replace(
            result, state=RebuildState.WRITTEN, path=str(path), is_tested=options.is_tested
        )
    entry = origin.entry
    installing.install(
        data,
        origin.where,
        enabled=entry is None or entry.enabled,
        require_signature=entry is not None and entry.require_signature,
        store=options.store,
        # What replaces what was decided for the old kernel.
        options=replace(options.change, replace=True),
    )
    return replace(result, state=RebuildState.INSTALLED, is_tested=options.is_tested)

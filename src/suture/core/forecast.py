# SPDX-License-Identifier: GPL-2.0-or-later
"""Says what loading a live patch would do, and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from suture.core import checks, modules, redirections, replacing
from suture.core.change import Options
from suture.core.checks import Module
from suture.core.cores import current
from suture.core.replacing import EarlierFunction
from suture.core.running import ROOT
from suture.errors import Refusal
from suture.model import Fix


@dataclass(frozen=True, slots=True)
class LoadForecast:
    """What would happen.

    :ivar name: of the module, which may have to be another one than the live patch's.
    :ivar live_patch: the name that the live patch was built with.
    :ivar functions: the functions that it replaces, ``OBJECT:FUNCTION``.
    :ivar replaces: the live patches in force that it takes the place of.
    :ivar lost: functions of those that would go back to the kernel's own code.
    :ivar shared: functions of earlier live patches whose place its code takes.
    :ivar stays: why its module stays in memory until the reboot.
    :ivar staying: of those that it replaces, the ones whose modules stay in memory.
    :ivar signer: as `suture.core.load.Loaded.signer`.
    :ivar refusals: everything that stands in the way; empty where it would be loaded.
    :ivar unseen: as `suture.core.load.Loaded.unseen`.
    """

    name: str
    live_patch: str
    release: str
    functions: tuple[str, ...]
    replaces: tuple[str, ...]
    lost: tuple[EarlierFunction, ...]
    shared: tuple[EarlierFunction, ...]
    stays: tuple[str, ...]
    staying: tuple[str, ...]
    signer: str
    refusals: tuple[Refusal, ...]
    fixes: tuple[Fix, ...] = ()
    unseen: str = ""


def forecast(
    data: bytes, where: str, options: Options | None = None, root: Path = ROOT
) -> LoadForecast:
    """Look at a live patch module and at the running kernel.

    :param where: the file it came from, for messages.
    :raises Refusal: ``object-malformed``, ``object-unsupported``, ``not-a-live-patch``
    """
    chosen = options or Options()
    module = checks.read(data, where)
    patch, before = module.inspection.patch, current(root).patches()
    signer, refusals = checks.obstacles(module, ignore_probes=chosen.ignore_probes, root=root)
    lost = replacing.lost_functions(patch, before)
    if not chosen.replace:
        refusals += _refused_for(lost, where)
    named, more = _under_free_name(module, root)
    replaces = tuple(earlier.name for earlier in replacing.replaced_by(patch, before))
    return LoadForecast(
        named.name,
        module.live_patch,
        module.inspection.release,
        tuple(f"{objname}:{function.old_name}" for objname, function in patch.each_function()),
        replaces,
        lost,
        replacing.shared_functions(patch, before),
        patch.stays,
        tuple(name for name in replaces if modules.stays(name, root)),
        str(signer or ""),
        refusals + more,
        patch.fixes,
        redirections.unreadable(root),
    )


def _refused_for(lost: tuple[EarlierFunction, ...], where: str) -> tuple[Refusal, ...]:
    try:
        replacing.refuse_lost(lost, where)
    except Refusal as refusal:
        return (refusal,)
    return ()


def _under_free_name(module: Module, root: Path) -> tuple[Module, tuple[Refusal, ...]]:
    try:
        return checks.under_free_name(module, root), ()
    except Refusal as refusal:
        return module, (refusal,)

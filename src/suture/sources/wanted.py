# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that somebody names, also by patterns: those that are here, and those on offer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from suture.errors import KERNEL_NOT_FETCHED, KERNEL_NOT_OFFERED, Refusal
from suture.kernel.release import Target
from suture.sources.registry import EVERY, find_offer, survey
from suture.sources.source import Offer
from suture.sources.store import fetch, fetched

PATTERN = "*?["


@dataclass(frozen=True, slots=True)
class WantedKernel:
    """A kernel that is here, or on offer."""

    release: str
    target: Target | None
    offer: Offer | None = None

    def got(self) -> Target:
        """Return the target; fetch it if it is not here.

        :raises Refusal: as `suture.sources.fetch`
        """
        if self.target is not None:
            return self.target
        return fetch(self.release, self.offer.version if self.offer is not None else None)


def is_pattern(name: str) -> bool:
    """Tell whether a name stands for several kernels: ``all``, or a pattern of the shell.

    No release has signs that cannot be printed, and so no pattern has.
    """
    return name == EVERY or (name.isprintable() and any(sign in name for sign in PATTERN))


def wanted(names: Sequence[str]) -> tuple[WantedKernel, ...]:
    """Return the kernels that names stand for, each once, in order.

    :param names: releases, patterns (``6.1.*-amd64``), and ``all`` for what is here or on offer.
    :raises Refusal: ``kernel-not-offered`` for a name that nothing has, as `survey`
    """
    here: dict[str, Target] = {}
    for target in fetched():
        here.setdefault(target.release, target)
    missing = [name for name in names if name not in here]
    offers: dict[str, Offer] = {}
    if missing:
        for offer in survey().offers:
            offers.setdefault(offer.release, offer)
    found: dict[str, WantedKernel] = {}
    for name in names:
        for release in _named(name, here, offers):
            found.setdefault(release, _one(release, here.get(release), offers.get(release)))
    return tuple(found.values())


def refuse_unfetched(kernels: Iterable[WantedKernel]) -> None:
    """Refuse kernels that are not here.

    :raises Refusal: ``kernel-not-fetched``
    """
    missing = [kernel for kernel in kernels if kernel.target is None]
    if not missing:
        return
    first, *others = (kernel.release for kernel in missing)
    names = f"{first} and {len(others)} more" if others else first
    size = sum(kernel.offer.size for kernel in missing if kernel.offer is not None) / 1e6
    raise Refusal(
        KERNEL_NOT_FETCHED,
        names,
        f"{'these kernels have' if len(missing) > 1 else 'this kernel has'} not been fetched",
        remedy=f"Give --fetch ({size:.0f} MB to download), or run "
        f"'suture kernel fetch {first}' first.",
    )


def _one(release: str, target: Target | None, offer: Offer | None) -> WantedKernel:
    if target is None and offer is None:
        offer = find_offer(release)
    return WantedKernel(release, target, offer)


def _named(name: str, here: dict[str, Target], offers: dict[str, Offer]) -> list[str]:
    """Return the releases that a name stands for.

    :raises Refusal: ``kernel-not-offered``
    """
    if not is_pattern(name):
        return [name]
    pattern = "*" if name == EVERY else name
    found = [release for release in (*offers, *here) if fnmatchcase(release, pattern)]
    if not found:
        near = [f"offered: {release}" for release in list(offers)[:3]]
        raise Refusal(
            KERNEL_NOT_OFFERED, name, "no kernel has a release of this pattern", evidence=near
        )
    return list(dict.fromkeys(found))

# SPDX-License-Identifier: GPL-2.0-or-later
"""A demonstration on a stock kernel: a source diff changes the kernel's output while it runs, and
back.

1. Fetch a stock 6.1 kernel, unless one is here.
2. Build ``meminfo.patch``, which changes one string in ``meminfo_proc_show()``.
3. Boot that kernel in the lab, and read ``/proc/meminfo`` before, with and after the live patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from suture import sources
from suture.builder import build
from suture.builder.artifact import Artifact
from suture.errors import KERNEL_NOT_OFFERED, Refusal
from suture.host.files import write_atomic
from suture.host.paths import cache
from suture.kernel.release import Target
from suture.lab.livepatch import TestReport, try_out
from suture.sources import Offer

SERIES = "6.1."
SCRIPT = b"grep -i vmallocchunk /proc/meminfo\n"


@dataclass(frozen=True, slots=True)
class Demonstration:
    """The result of a demonstration.

    :ivar patch: the text of the source diff.
    """

    patch: str
    built: Artifact
    report: TestReport


def demonstrate(release: str | None = None) -> Demonstration:
    """Run the demonstration.

    :param release: the kernel to run it on; by default a 6.1 kernel that is here, else the newest
        one that is offered.
    :raises Refusal: ``kernel-not-offered``, and refusals of the fetch, the build and the boot
    """
    target = sources.fetch(release) if release else a_target()
    directory = cache() / "demo"
    patch = directory / "meminfo.patch"
    text = patch_text()
    write_atomic(patch, text.encode())
    built = build([patch], target, output=directory / "meminfo.ko", name="livepatch_meminfo")
    report = try_out(target, built.data, built.patch, script=SCRIPT)
    return Demonstration(text, built, report)


def patch_text() -> str:
    """Return the source diff."""
    return resources.files("suture.demo").joinpath("meminfo.patch").read_text()


def a_target() -> Target:
    """Return a stock 6.1 kernel: one that is here, else the newest one that is offered.

    :raises Refusal: ``kernel-not-offered``
    """
    here = [target for target in sources.fetched() if target.release.startswith(SERIES)]
    if here:
        # The plain flavour has the fewest words: 6.1.0-50-amd64 and 6.1.0-50-cloud-amd64.
        return min(here, key=lambda target: target.release.count("-"))
    return sources.fetch(newest_offer().release)


def newest_offer() -> Offer:
    """Return the newest stock 6.1 kernel that a source offers, of the plain flavour: a survey has
    that first.

    :raises Refusal: ``kernel-not-offered``
    """
    for offer in sources.offers():
        if offer.release.startswith(SERIES):
            return offer
    raise Refusal(KERNEL_NOT_OFFERED, f"{SERIES}*", "no kernel of this series is offered complete")

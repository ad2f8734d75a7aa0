# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job, shown on a stock kernel: a source diff changes what a kernel says while it runs,
and back.

1. Fetch a stock 6.1 kernel, unless one is here.
2. Build `PATCH`, which changes one string in ``meminfo_proc_show()``.
3. Boot that kernel in the lab, load the live patch, and read ``/proc/meminfo`` before, with and
   after it.
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
    """What was shown.

    :ivar patch: the source diff.
    """

    patch: str
    built: Artifact
    report: TestReport


def demonstrate(release: str | None = None) -> Demonstration:
    """Run it.

    :param release: the kernel to run it on; by default a 6.1 kernel that is here, else the newest
        that is offered.
    :raises Refusal: ``kernel-not-offered``, and what fetching, building and booting raise
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
    return resources.files("suture.demo").joinpath("meminfo.patch").read_text()


def a_target() -> Target:
    """A stock 6.1 kernel: one that is here, else the newest that is offered.

    :raises Refusal: ``kernel-not-offered``
    """
    here = [target for target in sources.fetched() if target.release.startswith(SERIES)]
    if here:
        # The plain flavour has the fewest words: 6.1.0-50-amd64 and 6.1.0-50-cloud-amd64.
        return min(here, key=lambda target: target.release.count("-"))
    return sources.fetch(newest_offer().release)


def newest_offer() -> Offer:
    """The newest stock 6.1 kernel that a source offers; a survey lists the plain flavour first.

    :raises Refusal: ``kernel-not-offered``
    """
    for offer in sources.offers():
        if offer.release.startswith(SERIES):
            return offer
    raise Refusal(KERNEL_NOT_OFFERED, f"{SERIES}*", "no kernel of this series is offered complete")

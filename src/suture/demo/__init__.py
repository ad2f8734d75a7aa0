# SPDX-License-Identifier: GPL-2.0-or-later
"""A demonstration on a stock kernel: a source diff changes the kernel's output while it runs, and
back.

1. Fetch the newest stock kernel that this host's archives offer, unless one of theirs is here.
2. Make a source diff from its own source (`suture.demo.change`): it changes one string in
   ``meminfo_proc_show()``.
3. Build a live patch from the diff.
4. Boot that kernel in the lab, and read ``/proc/meminfo`` before, with and after the live patch.
"""

from __future__ import annotations

from dataclasses import dataclass

from suture import sources
from suture.builder import build
from suture.builder.artifact import Artifact
from suture.demo import change
from suture.host.files import write_atomic
from suture.host.paths import cache
from suture.kernel.release import Target
from suture.lab.livepatch import TrialPlan, try_out
from suture.lab.results import TestReport
from suture.lab.scripts import GuestScript
from suture.sources import Offer
from suture.workspace.prepare import prepare

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

    :param release: the kernel to run it on; by default `a_release`.
    :raises Refusal: ``demo-text-missing``, and refusals of the fetch, the build and the boot
    """
    target = sources.fetch(release or a_release(sources.offers(), sources.fetched()))
    directory = cache() / "demo"
    patch = directory / "meminfo.patch"
    text = change.diff(prepare(target).tree)
    write_atomic(patch, text.encode())
    built = build([patch], target, output=directory / "meminfo.ko", name="livepatch_meminfo")
    plan = TrialPlan((GuestScript("script", SCRIPT),))
    report = try_out(target, built.data, built.patch, plan)
    return Demonstration(text, built, report)


def a_release(offers: tuple[Offer, ...], fetched: tuple[Target, ...]) -> str:
    """Return the newest release that is offered, but rather one of them that is here.

    :param offers: newest first and, of one upload, the plain flavour first.
    """
    here = {target.release for target in fetched}
    return next((offer for offer in offers if offer.release in here), offers[0]).release

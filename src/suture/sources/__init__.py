# SPDX-License-Identifier: GPL-2.0-or-later
"""Where kernels come from.

1. `survey`: which kernels can be had complete, and why others cannot.
2. `fetch`: get one: its source downloads, verifies and unpacks its `Parts`; the image is unpacked,
   its symbols are listed, and what there is is written down: a `Target`.
3. `find`: the same target again, without its source and without a network.

Nothing is in its final place before it is complete, so a run can be killed at any moment.

To add another source of kernels:

1. Read `suture.sources.source`: the protocols `KernelSource` and `Offer`, and `Parts`.
2. Write one module with the two classes, ``ubuntu.py``: names of packages, patterns of releases,
   where a package has which part.  ``debian.py`` shows how; ``apt.py`` has what is apt's alone.
3. Put the source into `suture.sources.registry.SOURCES`.
4. Name the programs that it runs in the distribution's `tools`, with their packages
   (`suture.host.distributions`).
5. Test it on an archive in a directory, as ``tests/unit/sources/test_debian.py`` does;
   ``tests/unit/sources/test_stranger.py`` has the smallest source that there can be.

Nothing else knows of distributions: ``tests/unit/sources/test_seam.py`` fails where something does.
``docs/sources.md`` says how the kernels of Ubuntu, Fedora and its kin, and SUSE map.
"""

from suture.sources.registry import offers, survey
from suture.sources.source import KernelSource, Offer, Parts, Survey, UnusableKernel
from suture.sources.store import fetch, fetched, find

__all__ = [
    "KernelSource",
    "Offer",
    "Parts",
    "Survey",
    "UnusableKernel",
    "fetch",
    "fetched",
    "find",
    "offers",
    "survey",
]

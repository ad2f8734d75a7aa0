# SPDX-License-Identifier: GPL-2.0-or-later
"""Sources of kernels.

1. `survey` lists the kernels that are offered complete, and the reasons why others are not.
2. `fetch` gets one.  Its source downloads, verifies and unpacks its `Parts`; Suture unpacks the
   image, lists its symbols, and records all parts of the result, a `Target`.
3. `find` returns the same target later, without its source and without a network.

Nothing is in its final place before it is complete, so a run can be killed at any moment.

To add another source of kernels:

1. Read `suture.sources.source`: the protocols `KernelSource` and `Offer`, and `Parts`.
2. Write one module with the two classes, ``ubuntu.py``: names of packages, patterns of releases,
   and the place of each part in its package.  ``debian.py`` is an example; ``apt.py`` is for any
   source with apt.
3. Add the source to `suture.sources.registry.SOURCES`.
4. Add the programs that it runs to the distribution's `tools`, with their packages
   (`suture.host.distributions`).
5. Test it with an archive in a directory, as ``tests/unit/sources/test_debian.py`` does;
   ``tests/unit/sources/test_stranger.py`` has the smallest possible source.

Nothing else knows of distributions: ``tests/unit/sources/test_seam.py`` fails where something does.
``docs/sources.md`` describes how the kernels of Ubuntu, Fedora and its kin, and SUSE map.
"""

from suture.sources.registry import compilers, find_offer, offers, source_offers, survey
from suture.sources.source import (
    CompilerOffer,
    KernelSource,
    NewerSource,
    Offer,
    Parts,
    SourceOffer,
    Survey,
    UnusableKernel,
)
from suture.sources.store import fetch, fetched, find

__all__ = [
    "CompilerOffer",
    "KernelSource",
    "NewerSource",
    "Offer",
    "Parts",
    "SourceOffer",
    "Survey",
    "UnusableKernel",
    "compilers",
    "fetch",
    "fetched",
    "find",
    "find_offer",
    "offers",
    "source_offers",
    "survey",
]

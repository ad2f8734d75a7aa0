# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets from the package archives that this host's apt is configured for.

1. `survey`: which releases have image, headers and source together, and why others do not.
2. `fetch`: download the three packages with apt, which checks their signatures; keep them.
3. Unpack them without installing, decompress the image, list its symbols, write down what there is:
   a `Target`.
4. `find`: the same target again, without apt and without a network.

Nothing is in its final place before it is complete, so a run can be killed at any moment.
"""

from suture.sources.offers import LeftOut, Offer, Survey, offers, survey
from suture.sources.store import fetch, fetched, find

__all__ = ["LeftOut", "Offer", "Survey", "fetch", "fetched", "find", "offers", "survey"]

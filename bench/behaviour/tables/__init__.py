# SPDX-License-Identifier: GPL-2.0-or-later
"""All inputs, a file for each camp."""

from __future__ import annotations

from bench.behaviour.tables import (
    diffs,
    kpatch,
    ksplice,
    modules,
    objects,
    refused_diffs,
    refused_modules,
    together,
)

INPUTS = (
    *diffs.ALL,
    *kpatch.ALL,
    *ksplice.ALL,
    *modules.ALL,
    *together.ALL,
    *objects.ALL,
    *refused_diffs.ALL,
    *refused_modules.ALL,
)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Suture turns a fix for the Linux kernel into a live patch, proves that it fits, and moves a
running kernel to it.

>>> import suture
>>> target = suture.fetch("6.1.0-50-amd64")                 # doctest: +SKIP
>>> artifact = suture.build(["fix.patch"], target)          # doctest: +SKIP
>>> suture.try_out(artifact, target).passed                 # doctest: +SKIP
True
>>> suture.load(artifact)                                   # doctest: +SKIP

All that the command line can do is here, under the names in ``__all__``; ``docs/api.md`` shows how.
Every refusal is a `Refusal`.  Nothing is imported before it is used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from suture.api import (
        inspect,
        load,
        report_on,
        sign,
        try_out,
        verify_module,
        write_report,
    )
    from suture.builder import build, build_all
    from suture.builder.artifact import Artifact, Provenance
    from suture.builder.compare_objects import compare_objects
    from suture.builder.convert import convert
    from suture.builder.inputs import Choices
    from suture.core.change import Options
    from suture.core.status import status
    from suture.core.unload import unload
    from suture.errors import Refusal
    from suture.fixes.listing import list_fixes
    from suture.kernel.release import Target
    from suture.lab.livepatch import TrialPlan
    from suture.lab.scripts import GuestScript
    from suture.model import LivePatch
    from suture.module.sign import new_key
    from suture.sources import fetch, fetched, find, survey
    from suture.sources.directory import from_directory

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "Choices",
    "GuestScript",
    "LivePatch",
    "Options",
    "Provenance",
    "Refusal",
    "Target",
    "TrialPlan",
    "__version__",
    "build",
    "build_all",
    "compare_objects",
    "convert",
    "fetch",
    "fetched",
    "find",
    "from_directory",
    "inspect",
    "list_fixes",
    "load",
    "new_key",
    "report_on",
    "sign",
    "status",
    "survey",
    "try_out",
    "unload",
    "verify_module",
    "write_report",
]

_PLACES = {
    "Artifact": "suture.builder.artifact",
    "Choices": "suture.builder.inputs",
    "GuestScript": "suture.lab.scripts",
    "LivePatch": "suture.model",
    "Options": "suture.core.change",
    "Provenance": "suture.builder.artifact",
    "Refusal": "suture.errors",
    "Target": "suture.kernel.release",
    "TrialPlan": "suture.lab.livepatch",
    "build": "suture.builder",
    "build_all": "suture.builder",
    "compare_objects": "suture.builder.compare_objects",
    "convert": "suture.builder.convert",
    "fetch": "suture.sources",
    "fetched": "suture.sources",
    "find": "suture.sources",
    "from_directory": "suture.sources.directory",
    "inspect": "suture.api",
    "list_fixes": "suture.fixes.listing",
    "load": "suture.api",
    "new_key": "suture.module.sign",
    "report_on": "suture.api",
    "sign": "suture.api",
    "status": "suture.core.status",
    "survey": "suture.sources",
    "try_out": "suture.api",
    "unload": "suture.core.unload",
    "verify_module": "suture.api",
    "write_report": "suture.api",
}
"""Public name -> the module that has it."""


BUILD_LIBRARIES = "/usr/lib/suture-build"
"""Where the Debian package suture-build has the Python packages of the extra ``build``."""

_BESIDE = "/usr/lib/python3/dist-packages"
"""Where the Debian package suture has this file."""

if __file__ == f"{_BESIDE}/suture/__init__.py" and _BESIDE in sys.path:
    # Before Debian's own: its python3-debian, for one, is too old in Debian 12.
    sys.path.insert(sys.path.index(_BESIDE), BUILD_LIBRARIES)


def __getattr__(name: str) -> object:
    """Import the module that has a public name, when the name is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'suture' has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

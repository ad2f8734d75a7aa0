# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way Suture refuses: `Refusal` and `Kind`, and all kinds, from the module of the room that
raises them."""

from __future__ import annotations

from suture.errors.builder import *  # noqa: F403
from suture.errors.cli import *  # noqa: F403
from suture.errors.cmodule import *  # noqa: F403
from suture.errors.core import *  # noqa: F403
from suture.errors.diff import *  # noqa: F403
from suture.errors.elf import *  # noqa: F403
from suture.errors.finding import Acceptance as Acceptance
from suture.errors.finding import Finding as Finding
from suture.errors.finding import Level as Level
from suture.errors.fixes import *  # noqa: F403
from suture.errors.fleet import *  # noqa: F403
from suture.errors.formats import *  # noqa: F403
from suture.errors.host import *  # noqa: F403
from suture.errors.kernel import *  # noqa: F403
from suture.errors.lab import *  # noqa: F403
from suture.errors.link import *  # noqa: F403
from suture.errors.rebuild import *  # noqa: F403
from suture.errors.refusal import Kind as Kind
from suture.errors.refusal import Refusal as Refusal
from suture.errors.repo import *  # noqa: F403
from suture.errors.report import *  # noqa: F403
from suture.errors.signing import *  # noqa: F403
from suture.errors.state import *  # noqa: F403
from suture.errors.store import *  # noqa: F403
from suture.errors.verify import *  # noqa: F403
from suture.errors.workspace import *  # noqa: F403

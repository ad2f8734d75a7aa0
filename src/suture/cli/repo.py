# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture repo``: the group with all its commands."""

from __future__ import annotations

from suture.cli import repo_patches, repo_roles
from suture.cli.repo_group import repo

__all__ = ["repo", "repo_patches", "repo_roles"]

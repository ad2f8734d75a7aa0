# SPDX-License-Identifier: GPL-2.0-or-later
"""What newer versions of a kernel's source fix."""

from __future__ import annotations

from suture.errors.refusal import Kind

VERSION_NOT_NEWER = Kind(
    "version-not-newer",
    "Fixes are what a newer version of the kernel's source has and the kernel has not.",
    "Give a later version, or leave out --to for the newest.",
)
VERSION_NOT_OFFERED = Kind(
    "version-not-offered",
    "The archives do not have that version of the kernel's source, or no longer: they drop old "
    "ones.",
    "Leave out --to for the newest, or give one of those that are shown.",
)
CHANGELOG_UNKNOWN = Kind(
    "changelog-unknown",
    "Fixes are named after the entries of the source package's changelog between the two versions.",
    "Report it, with the version: the form of the changelog may have changed.",
)
MODULE_LIST_UNKNOWN = Kind(
    "module-list-unknown",
    "A list of modules is a copy of /proc/modules, the output of lsmod, or a name in each line.",
    "On the other host, run 'lsmod > FILE', and give that file.",
)
VERSION_NOT_IN_CLONE = Kind(
    "version-not-in-clone",
    "The commits between two versions are read from a clone of the stable kernel's repository, "
    "which has a tag for each version.",
    "Run 'git fetch --tags' in it, or give a clone of the stable tree of that series.",
)
HEADER_REACHES_MANY = Kind(
    "header-reaches-many",
    "Each object that a changed header may reach is preprocessed, and compiled twice if it "
    "changes.",
    "Build the change by itself, with 'suture build', which has no such limit.",
)
NO_FIX_CAN_BE_LIVE = Kind(
    "no-fix-can-be-live",
    "Each group of changed files that was chosen is refused, or changes nothing in this kernel.",
    "Choose others with --only, or plan a reboot into a newer kernel.",
)
FIX_NOT_LISTED = Kind(
    "fix-not-listed",
    "A choice is a path of the kernel's tree that differs, the beginning of one, a CVE number of "
    "the list, or the place that titles begin with.",
    "See what there is with 'suture fixes --all'.",
)

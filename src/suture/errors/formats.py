# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch files."""

from __future__ import annotations

from suture.errors.refusal import Kind

NOT_A_PATCH = Kind(
    "not-a-patch",
    "Suture reads unified diffs, as 'git diff', 'git format-patch' and 'diff -u' write them.",
    "Make the diff again with one of these.",
)
PATCH_HAS_BINARY = Kind(
    "patch-has-binary",
    "A binary change has no lines that could be compiled.",
    "Leave the file out of the patch.",
)
PATCH_PATH_ESCAPES = Kind(
    "patch-path-escapes",
    "A patch may only touch regular files inside the kernel tree.",
    "Make the diff at the top of the kernel tree, or say how many path components to strip with --strip-level.",
)
PATCH_HAS_CRLF = Kind(
    "patch-has-crlf",
    "The patch has DOS line ends, which mail programs and editors add; the kernel's source has none.",
    "Convert it ('sed -i s/\\\\r$// FILE') or save the mail's original text.",
)
PATCH_HEADER_UNKNOWN = Kind(
    "patch-header-unknown",
    "Suture brings its own kpatch and Ksplice headers, which stand for theirs, and has none of that name.",
    "Include one that there is (docs/formats.md), or add the header to the patch.",
)

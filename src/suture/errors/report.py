# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports."""

from __future__ import annotations

from suture.errors.refusal import Kind

REPORT_FORM_UNKNOWN = Kind(
    "report-form-unknown",
    "The end of the file's name says how the report is written.",
    "Name it OUT.html for a page, OUT.md for a mail, or OUT.json for programs.",
)

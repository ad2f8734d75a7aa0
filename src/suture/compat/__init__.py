# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that administrators of other live patching tools are used to, over `suture.core` and
`suture.builder`.

They print what the originals print and exit as they exit, as far as scripts read it; written from
what those document and do.  ``docs/compat.md`` says where they differ, and why.
"""

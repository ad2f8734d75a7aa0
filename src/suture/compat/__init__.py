# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands of other live patching tools, on top of `suture.core` and `suture.builder`.

They reproduce the output and exit statuses that scripts rely on, and are written from what the
originals document and do.  ``docs/compat.md`` lists the differences and the reasons.
"""

# SPDX-License-Identifier: GPL-2.0-or-later
"""What newer versions of a kernel's source fix.

1. The sources of the kernel and of the newer version are compared, file by file
   (`suture.fixes.trees`), and the changelog between them is read.
2. For each changed file it is found out which functions change (`suture.fixes.changes`), and into
   which modules it is built (`suture.fixes.objnames`).
3. Each entry of the changelog is matched with the changed files that it may mean
   (`suture.fixes.matching`).

`suture.fixes.listing.list_fixes` takes all steps and keeps the result for each pair of versions.
"""

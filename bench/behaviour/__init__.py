# SPDX-License-Identifier: GPL-2.0-or-later
"""What Suture makes of a fixed set of inputs, recorded and compared between two versions.

1. `tables` lists the inputs: files, and the command lines that are run on them.
2. `record` runs each with ``python -m suture`` of a checkout, and keeps what it wrote and said.
3. `compare` tells two such records apart.

Suture itself is used by its command line alone, so that any version of it can be recorded.
"""

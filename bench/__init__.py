# SPDX-License-Identifier: GPL-2.0-or-later
"""How long Suture's main job takes on this machine, step by step, and against what (see
``README.md``)."""

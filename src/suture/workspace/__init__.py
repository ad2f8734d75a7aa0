# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's source tree, prepared so that single files compile exactly as in the target."""

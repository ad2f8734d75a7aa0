# SPDX-License-Identifier: GPL-2.0-or-later
"""Reports on live patch modules, for those who review and sign them."""

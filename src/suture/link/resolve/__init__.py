# SPDX-License-Identifier: GPL-2.0-or-later
"""Resolvers: what new code refers to in the running kernel, one module for each source of facts."""

# SPDX-License-Identifier: GPL-2.0-or-later
"""The meaning of what is in an object file: functions and variables, references between them, and
the entries of special sections."""

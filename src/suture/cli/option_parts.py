# SPDX-License-Identifier: GPL-2.0-or-later
"""The headings under which the help of a command with many options lists them."""

from __future__ import annotations

from enum import StrEnum


class OptionPart(StrEnum):
    """The headings; an option without one stands under "Options", at the end."""

    TARGET = "Target"
    INPUT = "Input"
    OUTPUT = "Output"
    BUILD = "Build"
    PURPOSE = "What it is for"
    DECISIONS = "What is replaced and kept"
    SIGNATURE = "Signature"

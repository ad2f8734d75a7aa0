# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's configuration (``.config``, ``/boot/config-*``):
Documentation/kbuild/kconfig.rst."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.errors import CONFIG_MALFORMED, Refusal
from suture.host import files

SET = re.compile(r"CONFIG_(\w+)=(.*)")
UNSET = re.compile(r"# CONFIG_(\w+) is not set")


@dataclass(frozen=True, slots=True)
class Config:
    """A kernel's options.

    :ivar options: option without ``CONFIG_`` -> value, a string without its quotes; options that
        are "not set" are absent.
    """

    options: Mapping[str, str]

    def enabled(self, name: str) -> bool:
        """Whether an option is ``y`` or ``m``."""
        return self.options.get(name) in ("y", "m")

    def value(self, name: str) -> str:
        """Return an option's value, or "" if it is not set."""
        return self.options.get(name, "")

    @property
    def compiler(self) -> str:
        """The first line of ``gcc --version`` of the compiler that built the kernel; "" before
        Linux 5.1."""
        return self.value("CC_VERSION_TEXT")


def read(path: Path) -> Config:
    """Read a ``.config``.

    :raises Refusal: ``file-unreadable``, ``config-malformed``
    """
    return parse(files.read_bytes(path), str(path))


def parse(data: bytes, where: str) -> Config:
    """Parse a ``.config``; refuse lines that it cannot have.

    :raises Refusal: ``config-malformed``
    """
    options: dict[str, str] = {}
    known = 0
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        if match := SET.fullmatch(line):
            options[match[1]] = _unquoted(match[2])
            known += 1
        elif UNSET.fullmatch(line):
            known += 1
        elif line.strip() and not line.startswith("#"):
            raise Refusal(
                CONFIG_MALFORMED, f"{where}:{number}", f"{line.strip()[:60]!r} sets no option"
            )
    if known == 0:
        raise Refusal(CONFIG_MALFORMED, where, "it contains no options")
    return Config(options)


def assignments(data: bytes) -> dict[str, str]:
    """Return option with ``CONFIG_`` -> value as written, of a ``.config``; other lines are
    ignored."""
    return dict(re.findall(r"^(CONFIG_\w+)=(.*)$", data.decode(errors="replace"), re.MULTILINE))


def _unquoted(value: str) -> str:
    """Return a string's text; kconfig puts it in double quotes and escapes quotes and
    backslashes."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value

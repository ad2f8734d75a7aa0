# SPDX-License-Identifier: GPL-2.0-or-later
"""The Makefile of an author's module, read and never run (Documentation/kbuild/modules.rst,
makefiles.rst).

Suture understands ``obj-m``, ``obj-$(CONFIG_X)``, ``NAME-y``, ``NAME-objs``, ``ccflags-y`` and its
older spellings with ``-I``, ``-D`` and ``-U``, conditions on ``KERNELRELEASE`` and on options of
the target, and simple variables.  Rules and their recipes are for the author's own make and are
ignored.  Anything else that decides about the module is refused with its line, never guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from suture.errors import MAKEFILE_ESCAPES, MAKEFILE_NOT_UNDERSTOOD, Refusal
from suture.kernel.config import Config

_ASSIGNMENT = re.compile(
    r"^(?:export\s+|override\s+)*([^\s:=+?#]+(?:\([^)]*\)[^\s:=+?#]*)?)\s*(:{0,2}|\+|\?)=\s*(.*)$"
)
_CONDITION = re.compile(r"^(ifeq|ifneq|ifdef|ifndef)\b\s*(.*)$")
_REFERENCE = re.compile(r"\$(?:\(([^()$]*)\)|\{([^{}$]*)\}|(.))")
_FLAGS = (
    "ccflags-y",
    "EXTRA_CFLAGS",
    "subdir-ccflags-y",
    "ccflags-m",
    "KBUILD_CFLAGS",
    "KBUILD_CPPFLAGS",
    "cppflags-y",
)
_HARMLESS_FLAGS = re.compile(r"-W[\w=-]*|-g[0-3]?|-O2")
"""What changes no code, or is the kernel's own way."""

_OURS = ("src", "obj", "PWD", "CURDIR", "M", "KBUILD_EXTMOD", "srctree/$(src)")
"""Variables that stand for the Makefile's own directory."""


@dataclass(frozen=True, slots=True)
class ListedModule:
    """One module of a Makefile.

    :ivar parts: its C files, from the Makefile's directory.
    :ivar include: directories, from there.
    """

    name: str
    parts: tuple[str, ...]
    include: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(slots=True)
class _Read:
    """The variables of a Makefile so far, and the lines that set them."""

    where: str
    values: dict[str, list[str]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    modules: dict[str, int] = field(default_factory=dict)


def read(where: str, text: str, config: Config, files: frozenset[str]) -> tuple[ListedModule, ...]:
    """Return the modules that a Makefile lists, in its order.

    :param where: the Makefile's path.
    :param files: the C files and headers of its directory.
    :raises Refusal: ``makefile-not-understood``, ``makefile-escapes``
    """
    found = _Read(where)
    for number, line in _relevant(where, text, config):
        _assign(found, number, line)
    if not found.modules:
        raise Refusal(MAKEFILE_NOT_UNDERSTOOD, where, "it lists no module (obj-m)")
    return tuple(_listed(found, name, line, files) for name, line in found.modules.items())


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines joined with their continuations, without comments, with the number of their first
    line."""
    number, whole = 0, ""
    for current, line in enumerate(text.splitlines(), 1):
        number = number or current
        if line.endswith("\\"):
            whole += line[:-1] + " "
            continue
        yield number, re.sub(r"(?<!\\)#.*", "", whole + line)
        number, whole = 0, ""
    if whole:
        yield number, whole


def _relevant(where: str, text: str, config: Config) -> Iterator[tuple[int, str]]:
    """Yield the lines that are in no recipe and in no group that a condition excludes."""
    taken: list[bool | None] = []  # None: cannot be decided
    in_rule = False
    for number, raw in _logical(text):
        line = raw.strip()
        condition = _CONDITION.match(line)
        if not line:
            continue
        if condition:
            taken.append(_decide(condition[1], condition[2], config))
        elif line.split()[0] == "else":
            if not taken:
                raise Refusal(
                    MAKEFILE_NOT_UNDERSTOOD,
                    f"{where}:{number}",
                    "an else has no condition",
                )
            taken[-1] = None if taken[-1] is None else not taken[-1]
            if chained := _CONDITION.match(line[4:].strip()):
                decided = _decide(chained[1], chained[2], config)
                taken[-1] = None if taken[-1] is None or decided is None else taken[-1] and decided
        elif line.split()[0] == "endif":
            if not taken:
                raise Refusal(
                    MAKEFILE_NOT_UNDERSTOOD,
                    f"{where}:{number}",
                    "an endif has no condition",
                )
            taken.pop()
        elif raw.startswith("\t") and in_rule:
            continue
        elif not _ASSIGNMENT.match(line):
            if line.split()[0] in ("include", "-include", "sinclude") and False not in taken:
                raise Refusal(
                    MAKEFILE_NOT_UNDERSTOOD,
                    f"{where}:{number}",
                    f"it includes another file: {line[:60]}",
                )
            in_rule = ":" in line
        elif False not in taken:
            in_rule = False
            if None in taken and _decides(line):
                found = f"the target's configuration does not decide this condition: {line[:60]}"
                raise Refusal(MAKEFILE_NOT_UNDERSTOOD, f"{where}:{number}", found)
            yield number, line
    if taken:
        raise Refusal(MAKEFILE_NOT_UNDERSTOOD, where, "a condition has no endif")


def _decides(line: str) -> bool:
    """Tell whether an assignment decides about the module."""
    match = _ASSIGNMENT.match(line)
    assert match
    name = match[1]
    return (
        name.startswith(("obj-", "CFLAGS_"))
        or name.endswith(("-y", "-objs", "-m"))
        or name in _FLAGS
    )


def _decide(kind: str, rest: str, config: Config) -> bool | None:
    if kind in ("ifdef", "ifndef"):
        value = _known(rest.strip(), config)
        return None if value is None else bool(value) == (kind == "ifdef")
    match = re.match(r"""^\((.*),(.*)\)$|^["'](.*)["']\s+["'](.*)["']$""", rest.strip())
    if match is None:
        return None
    sides = [side.strip() for side in match.groups() if side is not None]
    values = [_condition_value(side, config) for side in sides]
    if len(values) != 2 or None in values:
        return None
    return (values[0] == values[1]) == (kind == "ifeq")


def _condition_value(side: str, config: Config) -> str | None:
    plain = re.fullmatch(r"\$[({](?:strip\s+)?(\w+)[)}]", side)
    if plain:
        return _known(plain[1], config)
    return None if "$" in side else side


def _known(name: str, config: Config) -> str | None:
    """Return the value of a variable when kbuild reads the Makefile; None if unknown."""
    if name == "KERNELRELEASE":
        return "set"
    return config.value(name.removeprefix("CONFIG_")) if name.startswith("CONFIG_") else None


def _assign(found: _Read, number: int, line: str) -> None:
    match = _ASSIGNMENT.match(line)
    assert match
    name, operator, value = match.groups()
    if name.startswith("obj-"):
        if name not in ("obj-m", "obj-y") and not re.fullmatch(r"obj-\$[({]CONFIG_\w+[)}]", name):
            raise Refusal(
                MAKEFILE_NOT_UNDERSTOOD, f"{found.where}:{number}", f"it assigns to {name}"
            )
        if operator != "+" and name == "obj-m":
            found.modules.clear()
        for word in _words(found, number, value):
            if not word.endswith(".o"):
                raise Refusal(
                    MAKEFILE_NOT_UNDERSTOOD,
                    f"{found.where}:{number}",
                    f"it lists {word} as a module",
                )
            found.modules.setdefault(_inside(found.where, number, word[:-2]), number)
        return
    if name.startswith("CFLAGS_"):
        raise Refusal(
            MAKEFILE_NOT_UNDERSTOOD,
            f"{found.where}:{number}",
            f"it has options for one file: {name}",
        )
    wanted = _decides(line)
    if wanted and "$" in name:
        raise Refusal(MAKEFILE_NOT_UNDERSTOOD, f"{found.where}:{number}", f"it assigns to {name}")
    if operator == "?" and name in found.values:
        return
    words = _words(found, number, value) if wanted else [value]
    found.values[name] = [*found.values.get(name, ()), *words] if operator == "+" else words
    found.lines[name] = number


def _words(found: _Read, number: int, value: str) -> list[str]:
    """Return a value's words with its variables replaced."""
    for _ in range(16):
        if "$" not in value:
            return value.split()

        def replaced(match: re.Match[str]) -> str:
            name = match[1] or match[2] or match[3] or ""
            if name in _OURS:
                return "."
            if name in ("srctree", "objtree"):
                raise Refusal(
                    MAKEFILE_ESCAPES,
                    f"{found.where}:{number}",
                    f"$({name}) is the kernel's own tree",
                )
            if name not in found.values:
                what = f"$({name})" if " " not in name else f"$({name[:40]}), a function of make,"
                raise Refusal(
                    MAKEFILE_NOT_UNDERSTOOD,
                    f"{found.where}:{number}",
                    f"{what} has no known value",
                )
            return " ".join(found.values[name])

        changed = _REFERENCE.sub(replaced, value)
        if changed == value:
            break
        value = changed
    raise Refusal(
        MAKEFILE_NOT_UNDERSTOOD,
        f"{found.where}:{number}",
        f"{value[:60]} refers to itself or is truncated",
    )


def _listed(found: _Read, name: str, line: int, files: frozenset[str]) -> ListedModule:
    names = [f"{name}-y", f"{name}-objs", f"{name}-m"]
    words = [(word, found.lines[one]) for one in names for word in found.values.get(one, ())]
    parts = []
    for word, number in words or [(f"{PurePosixPath(name).name}.o", line)]:
        part = _inside(found.where, number, word.removesuffix(".o") + ".c")
        if not word.endswith(".o") or part not in files:
            raise Refusal(
                MAKEFILE_NOT_UNDERSTOOD,
                f"{found.where}:{number}",
                f"{word} has no source file",
            )
        if part not in parts:
            parts.append(part)
    include, options = _flags(found)
    return ListedModule(PurePosixPath(name).name, tuple(parts), include, options)


def _flags(found: _Read) -> tuple[tuple[str, ...], tuple[str, ...]]:
    include: list[str] = []
    options: list[str] = []
    for name in _FLAGS:
        words = list(found.values.get(name, ()))
        number = found.lines.get(name, 0)
        while words:
            word = words.pop(0)
            if word in ("-I", "-D", "-U") and words:
                word += words.pop(0)
            if word.startswith("-I"):
                include.append(_inside(found.where, number, word[2:]))
            elif word.startswith(("-D", "-U")) and re.fullmatch(r"-[DU]\w+(=[\w.\"\\'-]*)?", word):
                if word.count('"') % 2 or word.count("'") % 2:
                    raise Refusal(
                        MAKEFILE_NOT_UNDERSTOOD,
                        f"{found.where}:{number}",
                        f"a quote in {word} is not closed",
                    )
                options.append(word)
            elif not _HARMLESS_FLAGS.fullmatch(word):
                raise Refusal(
                    MAKEFILE_NOT_UNDERSTOOD,
                    f"{found.where}:{number}",
                    f"{word} is not one of -I, -D and -U",
                )
    return tuple(include), tuple(options)


def _inside(where: str, number: int, path: str) -> str:
    plain = os.path.normpath(path)
    if plain.startswith(("/", "..")) or not re.fullmatch(r"[\w.+/-]+", plain):
        raise Refusal(
            MAKEFILE_ESCAPES, f"{where}:{number}", f"{path} is not in the Makefile's directory"
        )
    return plain

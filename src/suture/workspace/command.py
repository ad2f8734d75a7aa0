# SPDX-License-Identifier: GPL-2.0-or-later
"""The command by which kbuild compiled an object, read from the object's ``.NAME.o.cmd``.

The file is a makefile fragment (``scripts/Kbuild.include``: ``make-cmd``;
``scripts/basic/fixdep.c``)::

    savedcmd_fs/proc/meminfo.o := gcc-12 ... -c -o fs/proc/meminfo.o fs/proc/meminfo.c ;
    ./tools/objtool/objtool ...

    source_fs/proc/meminfo.o := fs/proc/meminfo.c

    deps_fs/proc/meminfo.o := \
        $(wildcard include/config/MMU) \
      include/linux/compiler-version.h \

Before 6.2 the first name is ``cmd_...``.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_SAVED = re.compile(r"^(?:saved)?cmd_\S+ := *(.*)$", re.MULTILINE)
_SOURCE = re.compile(r"^source_\S+ := *(\S+)$", re.MULTILINE)
_DEPENDENCIES = re.compile(r"^deps_\S+ := \\\n((?:.*\\\n)*)", re.MULTILINE)
_MODNAME = re.compile(r"-DKBUILD_MODNAME=\"([^\"]*)\"")


@dataclass(frozen=True, slots=True)
class Compilation:
    """The commands by which kbuild makes one object.

    :ivar object: its path from the top of the tree, as kbuild names it.
    :ivar source: the file from which it is compiled.
    :ivar steps: the commands, as words: the compiler, then (depending on the configuration)
        objtool.
    :ivar dependencies: every file that the compiler read, the source first.
    """

    object: str
    source: str
    steps: tuple[tuple[str, ...], ...]
    dependencies: tuple[str, ...]

    @property
    def reads(self) -> frozenset[str]:
        """The dependencies by their plain paths: ``virt/kvm/x.h`` for
        ``arch/x86/kvm/../../../virt/kvm/x.h``."""
        return frozenset(os.path.normpath(path) for path in self.dependencies)

    @property
    def text(self) -> str:
        """The commands as a shell takes them."""
        return " ; ".join(shlex.join(step) for step in self.steps)

    @property
    def modname(self) -> str | None:
        """The ``KBUILD_MODNAME`` of the object's module; None if it is built in."""
        compiler = self.steps[0]
        if "-DMODULE" not in compiler:
            return None
        return next((match[1] for word in compiler if (match := _MODNAME.fullmatch(word))), None)

    def redirected(self, output: str, dependency_file: str) -> tuple[tuple[str, ...], ...]:
        """Return the same commands with their output in another file."""
        return tuple(
            tuple(self._redirect(word, output, dependency_file) for word in step)
            for step in self.steps
        )

    def preprocessing(self, output: str, dependency_file: str) -> tuple[str, ...]:
        """Return the compiler's command for the preprocessor alone, with its output in another
        file."""
        compiler = (self._redirect(word, output, dependency_file) for word in self.steps[0])
        return tuple("-E" if word == "-c" else word for word in compiler)

    def _redirect(self, word: str, output: str, dependency_file: str) -> str:
        if word == self.object:
            return output
        if word.startswith(("-Wp,-MMD,", "-Wp,-MD,")):
            return ",".join([*word.split(",")[:2], dependency_file])
        return word


def saved_in(tree: Path, name: str) -> Path:
    """Return the path of the file in which kbuild saves the command of the object `name`."""
    directory, _, base = name.rpartition("/")
    return tree / directory / f".{base}.cmd"


def saved(text: str) -> str:
    """Return the command in a ``.cmd`` file, as the shell got it.

    :raises ValueError: there is none
    """
    found = _SAVED.search(text)
    if found is None:
        raise ValueError("no saved command")
    # make's quoting: $$, $(pound)
    return found[1].replace("$(pound)", "#").replace("$$", "$")


def parse(name: str, text: str) -> Compilation:
    """Read the content of a ``.cmd`` file of the object `name`.

    :raises ValueError: the file is not of this form
    """
    source, listed = _SOURCE.search(text), _DEPENDENCIES.search(text)
    if _SAVED.search(text) is None or source is None or listed is None:
        raise ValueError(f"no saved command for {name}")
    words = listed[1].replace("\\\n", " ").split()
    # $(wildcard include/config/X) is how fixdep watches an option, no file that the compiler read.
    read = [word for word in words if not word.startswith("$(wildcard") and not word.endswith(")")]
    return Compilation(name, source[1], _steps(saved(text)), (source[1], *read))


def announced(name: str, text: str) -> Compilation:
    """Read the text that `suture.workspace.kbuild.ANNOUNCE` makes kbuild write of an object: its
    source, then its command.

    :raises ValueError: the text is not of this form
    """
    source, _, line = text.partition("\n")
    steps = _steps(line)
    if not source or not steps:
        raise ValueError(f"no command for {name}")
    return Compilation(name, source, steps, (source,))


def _steps(line: str) -> tuple[tuple[str, ...], ...]:
    """Undo the shell's quoting."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    lexer.commenters = ""
    steps: list[list[str]] = [[]]
    for word in lexer:
        if word == ";":
            steps.append([])
        else:
            steps[-1].append(word)
    return tuple(tuple(step) for step in steps if step)


def dependencies(text: str) -> tuple[str, ...]:
    """Return the prerequisites in a dependency file of the compiler (``-MMD``)."""
    _, _, listed = text.partition(":")
    return tuple(
        _unescaped(word) for word in re.findall(r"(?:\\.|[^\s\\])+", listed.replace("\\\n", " "))
    )


def _unescaped(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word).replace("$$", "$")

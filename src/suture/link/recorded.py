# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands by which kbuild makes a module, read from the files that it saves beside a probe.

kbuild saves each command in ``.TARGET.cmd`` (``scripts/Kbuild.include``: ``make-cmd``).  For a
module of two objects, Debian's 6.1 leaves these, in the order in which they ran:

1. ``.livepatch_glue.o.cmd``: the compiler, then objtool;
2. ``.NAME.mod.cmd``: the list of the objects;
3. ``.NAME.o.cmd``: ``ld -r`` of the objects in the list; where objtool is delayed (IBT, LTO), it
   follows here;
4. ``.modules.order.cmd``: the list of the modules;
5. ``.Module.symvers.cmd``: modpost, which reads that list and writes ``NAME.mod.c``;
6. ``.NAME.mod.o.cmd``: the compiler;
7. ``.NAME.ko.cmd``: ``ld -r`` with ``scripts/module.lds``.

6.12 adds ``..module-common.o.cmd``, of an object that is the same in all modules of a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.workspace import command

PROBE = "suture_probe_module"
"""The name of the probe; nothing else has it."""

GLUE = "livepatch_glue"
PART = "part_0"
COMMON = ".module-common.o"

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinkCommands:
    """The commands by which a kernel's kbuild makes a module of the glue and some objects.

    They name the probe; `for_module` puts another name and directory in.

    :ivar directory: the probe's.
    :ivar glue: the compiler's command and those that follow it, as words.
    :ivar generated: the same for ``NAME.mod.c``.
    :ivar join: makes ``NAME.o``, for the shell.
    :ivar order: the contents of ``modules.order``.
    :ivar modpost: makes ``NAME.mod.c``, for the shell.
    :ivar finish: makes ``NAME.ko``, for the shell.
    """

    directory: str
    glue: tuple[Words, ...]
    generated: tuple[Words, ...]
    join: str
    order: str
    modpost: str
    finish: str

    def for_module(self, text: str, directory: Path, name: str) -> str:
        """Return `text`, one of these, for the module `name` in `directory`."""
        return text.replace(self.directory, str(directory)).replace(PROBE, name)


def read(directory: Path) -> LinkCommands | None:
    """Read the commands that kbuild saved for the probe.

    A kernel that adds a file, as 6.12 added ``.module-common.o``, is not in the list above; without
    that file's command the module would be another one, so kbuild links for such a kernel.

    :param directory: by its real path.
    :return: None where kbuild ran other commands than those listed above, listed the objects in
        another form, or named the probe in what all modules share.
    """
    saved = {path.name[1:-4]: path.read_text() for path in directory.glob(".*.cmd")}
    known = {f"{GLUE}.o", f"{PART}.o", "modules.order", "Module.symvers"}
    known |= {f"{PROBE}.{suffix}" for suffix in ("mod", "o", "mod.o", "ko")}
    if saved.keys() - {COMMON} != known:
        return None
    if (directory / f"{PROBE}.mod").read_text() != listed(directory, [GLUE, PART]):
        return None
    if PROBE in saved.get(COMMON, "").replace(str(directory), ""):
        return None
    shell = {name: command.saved(text) for name, text in saved.items()}
    return LinkCommands(
        str(directory),
        _words(directory, f"{GLUE}.o", saved),
        _words(directory, f"{PROBE}.mod.o", saved),
        shell[f"{PROBE}.o"],
        (directory / "modules.order").read_text(),
        shell["Module.symvers"],
        shell[f"{PROBE}.ko"],
    )


def listed(directory: Path, stems: list[str]) -> str:
    """Return the list of a module's objects in the form of ``NAME.mod``."""
    return "".join(f"{directory}/{stem}.o\n" for stem in stems)


def _words(directory: Path, name: str, saved: Mapping[str, str]) -> tuple[Words, ...]:
    return command.parse(f"{directory}/{name}", saved[name]).steps

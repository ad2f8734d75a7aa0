# SPDX-License-Identifier: GPL-2.0-or-later
"""Link a module with kbuild's own commands, without kbuild.

kbuild takes a second to compile two small files, most of it for decisions that are the same for
every module.  So `suture.link.probe` records kbuild's commands once for each workspace, and this
module runs them for every live patch after that: the same compiler, linker, objtool and modpost,
with the same options, in the same order.

kbuild links the modules that may need a step which the probe did not need (`applies_to`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.elf.object import ObjectFile
from suture.errors import MODULE_LINK_FAILED
from suture.host.run import check
from suture.link import precompiled
from suture.link.recorded import COMMON, GLUE, LinkCommands, Words, listed
from suture.workspace.kbuild import clean_environment

GLUE_HEADERS = "glue-headers"
GENERATED_HEADERS = "generated-headers"

_MORE_THAN_TABLES = re.compile(r"\b(EXPORT_\w+|MODULE_VERSION)\b")
"""Exported symbols get CRCs (``scripts/Makefile.build: gen_symversions``)."""

_VERSION = re.compile(rb"(^|\0)version=")
"""A module with a version gets a digest of its sources (``scripts/mod/sumversion.c``)."""


@dataclass(frozen=True, slots=True)
class Recording:
    """kbuild's commands for one workspace.

    :ivar directory: contains the precompiled headers, and `COMMON` where modules have it.
    """

    commands: LinkCommands
    directory: Path


def applies_to(
    tree: Path, directory: Path, name: str, glue: str, objects: Mapping[str, ObjectFile]
) -> bool:
    """Whether kbuild needs no other steps for this module than for the probe.

    For example, the glue of an author's module may have ``EXPORT_SYMBOL()``, for which kbuild runs
    genksyms, or ``MODULE_VERSION()``, for which modpost digests the sources; the probe has neither.

    :param directory: takes the module.
    :param objects: by file name without suffix.
    """
    return (
        bool(objects)
        and name not in {GLUE, *objects}
        # kbuild makes BTF for modules when it finds the kernel's (scripts/Makefile.modfinal).
        and not (tree / "vmlinux").exists()
        and shlex.quote(str(directory)) == str(directory)
        and not _MORE_THAN_TABLES.search(glue)
        and not any(map(_has_version, objects.values()))
    )


def _has_version(obj: ObjectFile) -> bool:
    return any(
        section.name == ".modinfo" and _VERSION.search(section.data) for section in obj.sections
    )


def make(
    recording: Recording,
    tree: Path,
    directory: Path,
    name: str,
    glue: str,
    objects: Mapping[str, bytes],
) -> str:
    """Make ``NAME.ko`` in `directory`.

    :return: the output of the programs.
    :raises Refusal: ``module-link-failed``, ``disk-full``, ``tool-missing``
    """
    return _Making(recording, tree, directory, name).make(glue, objects)


@dataclass(frozen=True, slots=True)
class _Making:
    """One run of kbuild's commands."""

    recording: Recording
    tree: Path
    directory: Path
    name: str

    def make(self, glue: str, objects: Mapping[str, bytes]) -> str:
        """Make the module, and return the output of the programs."""
        commands = self.recording.commands
        self._write(f"{GLUE}.c", glue.encode())
        for stem, content in objects.items():
            self._write(f"{stem}.o", content)
        stems = [GLUE, *objects]
        for stem in stems:
            # modpost reads the command of each object (scripts/mod/modpost.c: extract_crcs()).
            self._write(f".{stem}.o.cmd", b"# it exports nothing\n")
        self._write(f"{self.name}.mod", listed(self.directory, stems).encode())
        self._write("modules.order", self._text(commands.order).encode())
        output = [
            self._compile(commands.glue, GLUE_HEADERS, f"{GLUE}.c"),
            self._shell(commands.join),
            self._shell(commands.modpost),
            self._compile(commands.generated, GENERATED_HEADERS, f"{self.name}.mod.c"),
        ]
        common = self.recording.directory / COMMON
        if common.exists():
            self._write(COMMON, common.read_bytes())
        return "".join([*output, self._shell(commands.finish)])

    def _write(self, file: str, content: bytes) -> None:
        (self.directory / file).write_bytes(content)

    def _text(self, text: str) -> str:
        return self.recording.commands.for_module(text, self.directory, self.name)

    def _compile(self, steps: Sequence[Words], headers: str, file: str) -> str:
        compiler, *others = steps
        source, kept = self.directory / file, self.recording.directory / headers
        parsed = precompiled.parse_command(compiler)
        if parsed and precompiled.applies_to(parsed, kept, source.read_text()):
            words = precompiled.command(parsed, kept, self.name, source, self.directory)
            output = self._run(words)
        else:
            output = self._run([self._text(word) for word in compiler])
        return output + "".join(self._run([self._text(word) for word in step]) for step in others)

    def _shell(self, text: str) -> str:
        return self._run(["sh", "-c", f"set -e; {self._text(text)}"])

    def _run(self, words: Sequence[str | Path]) -> str:
        finished = check(
            words, where=self.name, kind=MODULE_LINK_FAILED, cwd=self.tree, env=clean_environment()
        )
        return finished.stdout + finished.stderr

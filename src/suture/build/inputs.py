# SPDX-License-Identifier: GPL-2.0-or-later
"""All that one live patch is built from: what was named, and what written live patches among it name in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from suture.errors import WRITTEN_FORM_INVALID, Refusal
from suture.formats import written
from suture.formats.recognise import Format, Input, recognise
from suture.link.kbuild import NAME_LENGTH, check_name


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build is to make.

    :ivar name: the module's.
    :ivar is_named: somebody chose the name.
    :ivar given: recognised, in order; none is a written live patch.
    :ivar expected: what it is to replace, where that was written down.
    """

    name: str
    replace: bool
    given: tuple[Input, ...]
    patch_data: frozenset[str] = frozenset()
    expected: tuple[written.Object, ...] = ()
    is_named: bool = True

    def of(self, formats: frozenset[Format]) -> tuple[Input, ...]:
        return tuple(one for one in self.given if one.format in formats)


@contextmanager
def gathered(
    paths: Sequence[Path],
    *,
    format: Format | None = None,
    strip: int | None = None,
    name: str | None = None,
    replace: bool | None = None,
    patch_data: frozenset[str] = frozenset(),
) -> Iterator[Inputs]:
    """Recognise every input; archives are unpacked for the time of the block.

    :param format: what all of them are, where the author says so.
    :param strip: leading path components to drop from file names in diffs.
    :param name: of the module; from a written live patch or the first input's name by default.
    :param replace: None for what a written live patch says, else true.
    :raises Refusal: those of `recognise` and `suture.formats.written.opened`; ``name-unusable``
    """
    with ExitStack() as stack:
        given: list[Input] = []
        manifests: list[written.Manifest] = []
        for one in [recognise(path, format, strip) for path in paths]:
            if one.format is not Format.SUTURE:
                given.append(one)
                continue
            directory, manifest = stack.enter_context(written.opened(one.path))
            manifests.append(manifest)
            given += [
                Input(directory / source.path, source.format, f"{one.path} says so", source.strip_level)
                for source in manifest.source
            ]
        whole = manifests[0] if len(manifests) == len(paths) == 1 else None
        yield Inputs(
            check_name(name if name is not None else whole.name if whole else _default_name(paths[0])),
            replace if replace is not None else _agreed(paths, manifests),
            tuple(given),
            patch_data.union(*(manifest.patch_data for manifest in manifests)),
            whole.object if whole else (),
            name is not None or whole is not None,
        )


def _agreed(paths: Sequence[Path], manifests: Sequence[written.Manifest]) -> bool:
    wanted = {manifest.replace for manifest in manifests} or {True}
    if len(wanted) > 1:
        found = "some are to replace all live patches before them and some are not"
        raise Refusal(
            WRITTEN_FORM_INVALID, ", ".join(map(str, paths)), found, remedy="Say which with --replace or --no-replace."
        )
    return wanted.pop()


def _default_name(path: Path) -> str:
    """``livepatch_`` and the input's name, cut to what the kernel takes: git's names alone can be longer."""
    plain = re.sub(r"\W+", "_", path.resolve().stem, flags=re.ASCII).strip("_") or "patch"
    return f"livepatch_{plain}"[:NAME_LENGTH]

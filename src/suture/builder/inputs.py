# SPDX-License-Identifier: GPL-2.0-or-later
"""All that one live patch is built from: what was named, and what written live patches among it
name in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from suture.errors import WRITTEN_FORM_INVALID, Refusal
from suture.formats import written
from suture.formats.recognise import MODULES, Format, Input, recognise
from suture.link.kbuild import NAME_LENGTH, check_name
from suture.verify.callers import DEFAULT_BOUNDS, Bounds


@dataclass(frozen=True, slots=True)
class Choices:
    """What an author decides about a live patch beside its sources.

    :ivar patch_data: names of variables that are to change in memory while the live patch is in
        force.
    :ivar keep_data: names of variables that may stay as they are, though the patch changes their
        initial value.
    :ivar replace_threads: main functions of kernel threads that may be replaced
        (`suture.verify.threads`).
    :ivar caller_depth: `suture.verify.callers.Bounds.depth`, and `caller_limit` its `functions`;
        None for its default.
    """

    patch_data: frozenset[str] = frozenset()
    keep_data: frozenset[str] = frozenset()
    replace_threads: frozenset[str] = frozenset()
    caller_depth: int | None = None
    caller_limit: int | None = None

    @property
    def bounds(self) -> Bounds:
        depth, limit = self.caller_depth, self.caller_limit
        return Bounds(
            DEFAULT_BOUNDS.depth if depth is None else depth,
            DEFAULT_BOUNDS.functions if limit is None else limit,
        )

    def and_of(self, manifests: Sequence[written.Manifest]) -> Choices:
        """What written live patches say besides; of numbers, what is chosen here goes before the
        largest of theirs."""
        depths = [one.caller_depth for one in manifests if one.caller_depth is not None]
        limits = [one.caller_limit for one in manifests if one.caller_limit is not None]
        return Choices(
            self.patch_data.union(*(one.patch_data for one in manifests)),
            self.keep_data.union(*(one.keep_data for one in manifests)),
            self.replace_threads.union(*(one.replace_thread for one in manifests)),
            max(depths, default=None) if self.caller_depth is None else self.caller_depth,
            max(limits, default=None) if self.caller_limit is None else self.caller_limit,
        )


NO_CHOICES = Choices()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build is to make.

    :ivar name: the module's.
    :ivar replace: None: nobody has said.
    :ivar given: recognised, in order; none is a written live patch.
    :ivar expected: what it is to replace, where that was written down; `description` likewise.
    :ivar is_named: somebody chose the name.
    """

    name: str
    replace: bool | None
    given: tuple[Input, ...]
    choices: Choices = NO_CHOICES
    expected: tuple[written.Object, ...] = ()
    description: str = ""
    is_named: bool = True

    @property
    def is_one_module(self) -> bool:
        """Nothing but one author's module."""
        return len(self.given) == len(self.of(MODULES)) == 1

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
    choices: Choices = NO_CHOICES,
) -> Iterator[Inputs]:
    """Recognise every input; archives are unpacked for the time of the block.

    :param format: what all of them are, where the author says so.
    :param strip: leading path components to drop from file names in diffs.
    :param name: of the module; from a written live patch or the first input's name by default.
    :param replace: None for what a written live patch says.
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
                Input(
                    directory / source.path,
                    source.format,
                    f"{one.path} says so",
                    source.strip_level,
                    str(
                        (one.path.parent if one.path.suffix == ".toml" else one.path) / source.path
                    ),
                )
                for source in manifest.source
            ]
        whole = manifests[0] if len(manifests) == len(paths) == 1 else None
        if name is None and whole is not None:
            name = whole.name
        yield Inputs(
            check_name(
                name if name is not None else _default_name(given[0].path if whole else paths[0])
            ),
            replace if replace is not None else _agreed(paths, manifests),
            tuple(given),
            choices.and_of(manifests),
            whole.object if whole else (),
            whole.description if whole else "",
            name is not None,
        )


def _agreed(paths: Sequence[Path], manifests: Sequence[written.Manifest]) -> bool | None:
    """:return: None where none of them says."""
    if all(manifest.replace is None for manifest in manifests):
        return None
    wanted = {manifest.replace is not False for manifest in manifests}
    if len(wanted) > 1:
        found = "some are to replace all live patches before them and some are not"
        raise Refusal(
            WRITTEN_FORM_INVALID,
            ", ".join(map(str, paths)),
            found,
            remedy="Say which with --replace or --no-replace.",
        )
    return wanted.pop()


def _default_name(path: Path) -> str:
    """``livepatch_`` and the input's name, cut to what the kernel takes: git's names alone can be
    longer."""
    plain = re.sub(r"\W+", "_", path.resolve().stem, flags=re.ASCII).strip("_") or "patch"
    return f"livepatch_{plain}"[:NAME_LENGTH]

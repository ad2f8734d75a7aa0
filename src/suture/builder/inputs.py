# SPDX-License-Identifier: GPL-2.0-or-later
"""The inputs of one live patch: those that the author gave, and the sources that written live
patches among them name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suture.errors import WRITTEN_FORM_INVALID, Acceptance, Refusal
from suture.formats.recognise import MODULES, Format, Input, recognise
from suture.host.pipes import plain_name
from suture.link.kbuild import NAME_LENGTH, usable_name
from suture.verify.callers import DEFAULT_BOUNDS, Bounds

if TYPE_CHECKING:
    from suture.formats import written


@dataclass(frozen=True, slots=True)
class Choices:
    """An author's decisions about a live patch.

    :ivar patch_data: names of variables that are to change in memory while the live patch is in
        force.
    :ivar keep_data: names of variables that keep their old value, though their initial value
        changes.
    :ivar replace_threads: main functions of kernel threads that may be replaced
        (`suture.verify.threads`).
    :ivar caller_depth: `suture.verify.callers.Bounds.depth`, and `caller_limit` its `functions`;
        None for the default.
    :ivar accepted: findings that the author accepts.
    """

    patch_data: frozenset[str] = frozenset()
    keep_data: frozenset[str] = frozenset()
    replace_threads: frozenset[str] = frozenset()
    caller_depth: int | None = None
    caller_limit: int | None = None
    accepted: tuple[Acceptance, ...] = ()

    @property
    def bounds(self) -> Bounds:
        """How far callers of changed functions are followed."""
        depth, limit = self.caller_depth, self.caller_limit
        return Bounds(
            DEFAULT_BOUNDS.depth if depth is None else depth,
            DEFAULT_BOUNDS.functions if limit is None else limit,
        )

    def merged_with(self, manifests: Sequence[written.Manifest]) -> Choices:
        """Add the decisions of written live patches.

        Names are united.  A limit chosen here wins; otherwise the largest of theirs does.
        """
        depths = [m.caller_depth for m in manifests if m.caller_depth is not None]
        limits = [m.caller_limit for m in manifests if m.caller_limit is not None]
        return Choices(
            self.patch_data.union(*(m.patch_data for m in manifests)),
            self.keep_data.union(*(m.keep_data for m in manifests)),
            self.replace_threads.union(*(m.replace_thread for m in manifests)),
            max(depths, default=None) if self.caller_depth is None else self.caller_depth,
            max(limits, default=None) if self.caller_limit is None else self.caller_limit,
            (*self.accepted, *_accepted(manifests)),
        )


NO_CHOICES = Choices()


def _accepted(manifests: Sequence[written.Manifest]) -> Iterator[Acceptance]:
    """Yield the findings that written live patches accept."""
    for manifest in manifests:
        for one in manifest.accept:
            code, _, name = one.finding.partition(":")
            yield Acceptance(code, name, one.because)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The recognised inputs of a build, with all that was decided about it.

    :ivar name: the module's name.
    :ivar replace: as in `suture.builder.build`; None where neither the author nor a written live
        patch says.
    :ivar given: the inputs in order; written live patches are replaced by their sources.
    :ivar expected: what the module has to replace, as a written live patch records it;
        `description` likewise.
    :ivar is_named: the author or a written live patch chose the name.
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
        """Whether the only input is an author's module."""
        return len(self.given) == len(self.of_formats(MODULES)) == 1

    def of_formats(self, formats: frozenset[Format]) -> tuple[Input, ...]:
        """Return the inputs that have one of these formats."""
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
    """Recognise every input; archives stay unpacked inside the ``with`` block.

    :param format: the format of all inputs; None to detect it.
    :param strip: leading path components to drop from file names in diffs.
    :param name: the module's name; by default from a written live patch or the first input's name.
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
            from suture.formats import written

            directory, manifest = stack.enter_context(written.opened(one.path))
            manifests.append(manifest)
            given += [_source_input(one, directory, source) for source in manifest.source]
        whole = manifests[0] if len(manifests) == len(paths) == 1 else None
        if name is None and whole is not None:
            name = whole.name
        default = _default_name(given[0].path if whole else paths[0])
        yield Inputs(
            usable_name(default if name is None else name),
            replace if replace is not None else _agreed_replace(paths, manifests),
            tuple(given),
            choices.merged_with(manifests),
            whole.object if whole else (),
            whole.description if whole else "",
            name is not None,
        )


def _source_input(manifest: Input, directory: Path, source: written.Source) -> Input:
    """Return a source of a written live patch as an input.

    :param directory: where the written live patch is unpacked.
    """
    shown = manifest.path.parent if manifest.path.suffix == ".toml" else manifest.path
    return Input(
        directory / source.path,
        source.format,
        f"{manifest.path} says so",
        source.strip_level,
        str(shown / source.path),
    )


def _agreed_replace(paths: Sequence[Path], manifests: Sequence[written.Manifest]) -> bool | None:
    """Return what written live patches say about `replace`; None where none says anything.

    :raises Refusal: ``written-form-invalid`` where they differ
    """
    if all(manifest.replace is None for manifest in manifests):
        return None
    wanted = {manifest.replace is not False for manifest in manifests}
    if len(wanted) > 1:
        found = "some of them replace all earlier live patches and some do not"
        raise Refusal(
            WRITTEN_FORM_INVALID,
            ", ".join(map(str, paths)),
            found,
            remedy="Say which with --replace or --no-replace.",
        )
    return wanted.pop()


def _default_name(path: Path) -> str:
    """Return ``livepatch_`` and the input's name, cut to the longest name that the kernel accepts:
    the file names of ``git format-patch`` can be longer."""
    plain = re.sub(r"\W+", "_", Path(plain_name(path)).stem, flags=re.ASCII).strip("_") or "patch"
    return f"livepatch_{plain}"[:NAME_LENGTH]

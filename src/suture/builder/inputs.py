# SPDX-License-Identifier: GPL-2.0-or-later
"""The inputs of one live patch: those that the author gave, and the sources that written live
patches among them name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from suture.builder.fixes import NOTHING_SAID, Said, described
from suture.builder.given import GivenFile, brought
from suture.errors import (
    SUSE_FIX_UNKNOWN,
    THREAD_FUNCTION_REPLACED,
    THREAD_SLEEPS_INSIDE,
    WRITTEN_FORM_INVALID,
    Acceptance,
    Refusal,
)
from suture.formats import cmodule, messages, suse
from suture.formats.recognise import DIFFS, MODULES, Format, Input, recognise
from suture.host.files import read_bytes
from suture.host.pipes import plain_name
from suture.link.kbuild import NAME_LENGTH, usable_name
from suture.model import Fix, Update
from suture.verify.callers import DEFAULT_BOUNDS, Bounds

if TYPE_CHECKING:
    from suture.formats import written

REPLACE_THREAD = "no such thread runs while it is loaded or unloaded (--replace-thread)"
"""What an author says with ``--replace-thread NAME``."""


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
    :ivar said: what the author says that the live patch is for.
    :ivar fuzz: `suture.formats.diff.PatchSource.fuzz`.
    :ivar three_way: commits that do not fit are merged with the target's source.
    :ivar only: of SUSE's directories, the fixes to take; none of them: all.
    """

    patch_data: frozenset[str] = frozenset()
    keep_data: frozenset[str] = frozenset()
    replace_threads: frozenset[str] = frozenset()
    caller_depth: int | None = None
    caller_limit: int | None = None
    accepted: tuple[Acceptance, ...] = ()
    said: Said = NOTHING_SAID
    fuzz: int = 0
    three_way: bool = False
    only: tuple[str, ...] = ()

    @property
    def bounds(self) -> Bounds:
        """How far callers of changed functions are followed."""
        depth, limit = self.caller_depth, self.caller_limit
        return Bounds(
            DEFAULT_BOUNDS.depth if depth is None else depth,
            DEFAULT_BOUNDS.functions if limit is None else limit,
        )

    @property
    def acceptances(self) -> tuple[Acceptance, ...]:
        """The findings that the author accepts, and those that `replace_threads` stands for."""
        threads = sorted(self.replace_threads)
        codes = (THREAD_FUNCTION_REPLACED.code, THREAD_SLEEPS_INSIDE.code)
        pairs = product(codes, threads)
        return (*(Acceptance(code, name, REPLACE_THREAD) for code, name in pairs), *self.accepted)

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
            reduce(Said.merged_with, map(_said, manifests), self.said),
            self.fuzz,
            self.three_way,
            self.only,
        )


NO_CHOICES = Choices()

_NUMBER = re.compile(r"^0\d{3}-")
"""``git format-patch`` numbers the files of a series from ``0001-``."""


def _accepted(manifests: Sequence[written.Manifest]) -> Iterator[Acceptance]:
    """Yield the findings that written live patches accept."""
    for manifest in manifests:
        for one in manifest.accept:
            code, _, name = one.finding.partition(":")
            yield Acceptance(code, name, one.because)


def _said(manifest: written.Manifest) -> Said:
    return Said(manifest.description, manifest.cve, manifest.url)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The recognised inputs of a build, with all that was decided about it.

    :ivar name: the module's name.
    :ivar replace: as in `suture.builder.build`; None where neither the author nor a written live
        patch says.
    :ivar given: the inputs in order; written live patches are replaced by their sources.
    :ivar expected: what the module has to replace, as a written live patch records it.
    :ivar fixes: what the live patch is for, as the inputs and the author say.
    :ivar update: the newer version that they are parts of, where they are.
    :ivar is_named: the author or a written live patch chose the name.
    :ivar git: the repository that the inputs are commits of; None for other inputs.
    """

    name: str
    replace: bool | None
    given: tuple[Input, ...]
    choices: Choices = NO_CHOICES
    expected: tuple[written.Object, ...] = ()
    fixes: tuple[Fix, ...] = ()
    update: Update | None = None
    is_named: bool = True
    git: Path | None = None

    @property
    def is_one_module(self) -> bool:
        """Whether the only input is an author's module."""
        return len(self.given) == len(self.of_formats(MODULES)) == 1

    def of_formats(self, formats: frozenset[Format]) -> tuple[Input, ...]:
        """Return the inputs that have one of these formats."""
        return tuple(one for one in self.given if one.format in formats)


@contextmanager
def gathered(
    given: Sequence[Path | str],
    *,
    git: Path | None = None,
    format: Format | None = None,
    strip: int | None = None,
    name: str | None = None,
    replace: bool | None = None,
    choices: Choices = NO_CHOICES,
) -> Iterator[Inputs]:
    """Recognise every input; what is unpacked or fetched stays inside the ``with`` block.

    :param given: see `suture.builder.given`; `git`: as there.
    :param format: the format of all inputs; None to detect it.
    :param strip: leading path components to drop from file names in diffs.
    :param name: the module's name; by default from a written live patch or the first input's name.
    :param replace: None for what a written live patch says.
    :raises Refusal: those of `suture.builder.given.brought`, `recognise` and
        `suture.formats.written.opened`; ``name-unusable``
    """
    with ExitStack() as stack:
        inputs: list[Input] = []
        manifests: list[written.Manifest] = []
        files = stack.enter_context(brought(given, git))
        for one in [recognise(file.path, format, _strip(file, strip), file.name) for file in files]:
            if one.format is not Format.SUTURE:
                inputs.append(one)
                continue
            from suture.formats import written

            directory, manifest = stack.enter_context(written.opened(one.path))
            manifests.append(manifest)
            inputs += [_source_input(one, directory, source) for source in manifest.source]
        inputs = with_fixes(inputs, choices.only)
        whole = manifests[0] if len(manifests) == len(files) == 1 else None
        if name is None and whole is not None:
            name = whole.name
        found = [said_by(one) for one in inputs]
        titled = found[0] if inputs and inputs[0].format in DIFFS else ()
        first = inputs[0].path if whole else files[0].path
        default = default_name(first, titled)
        usable = usable_name(default if name is None else name)
        decided = choices.merged_with(manifests)
        yield Inputs(
            usable,
            replace if replace is not None else _agreed_replace(given, manifests),
            tuple(inputs),
            decided,
            whole.object if whole else (),
            described(decided.said, [fix for fixes in found for fix in fixes], usable),
            is_named=name is not None,
            git=git,
        )


def _strip(file: GivenFile, strip: int | None) -> int | None:
    """Return the author's number of path components to strip, or the one in a series file."""
    return file.strip if strip is None else strip


def with_fixes(given: Sequence[Input], only: Sequence[str]) -> list[Input]:
    """Return the inputs, and with SUSE's directories among them the fixes to take.

    :raises Refusal: ``suse-fix-unknown`` where fixes are named and no input is such a directory
    """
    if not only:
        return list(given)
    if not any(suse.is_top(one.path) for one in given):
        found = f"{', '.join(map(str, given))}: no directory with a {suse.MAIN}"
        raise Refusal(SUSE_FIX_UNKNOWN, f"--only {only[0]}", found)
    chosen = tuple(only)
    return [
        dataclasses.replace(one, only=chosen) if suse.is_top(one.path) else one for one in given
    ]


def said_by(given: Input) -> tuple[Fix, ...]:
    """Return what a source diff, or one of SUSE's directories, says that it is for."""
    if suse.is_top(given.path):
        return cmodule.fixes_of(given.path, given.only)
    if given.format not in DIFFS:
        return ()
    data = messages.decoded(read_bytes(given.path))
    return messages.fixes(data.decode("utf-8", errors="replace"))


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


def _agreed_replace(
    given: Sequence[Path | str], manifests: Sequence[written.Manifest]
) -> bool | None:
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
            ", ".join(map(str, given)),
            found,
            remedy="Say which with --replace or --no-replace.",
        )
    return wanted.pop()


def default_name(path: Path, fixes: Sequence[Fix]) -> str:
    """Return ``livepatch_`` and the first input's title, or the name of its file.

    A longer name than the kernel accepts is cut at a word.  ``0001-net-sched-mend-a-quantum.patch``
    and the title "net: sched: mend a quantum" both give ``livepatch_net_sched_mend_a_quantum``.
    """
    stem = _NUMBER.sub("", Path(plain_name(path)).stem)
    text = fixes[0].title.lower() if fixes else stem
    plain = re.sub(r"[\W_]+", "_", text, flags=re.ASCII).strip("_") or "patch"
    name = f"livepatch_{plain}"
    if len(name) <= NAME_LENGTH:
        return name
    words = name[: NAME_LENGTH + 1].rpartition("_")[0]
    return words if words != "livepatch" else name[:NAME_LENGTH]

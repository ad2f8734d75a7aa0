# SPDX-License-Identifier: GPL-2.0-or-later
"""Types before and after a patch -> findings about layouts.

Of a header with many users, the first object that reads it is compared before the others are
compiled, so that a layout that changes is refused in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from suture.builder.findings import judged
from suture.diff.comparison import is_once_only
from suture.elf import reader
from suture.elf.object import STT_OBJECT, ObjectFile
from suture.errors import Acceptance, Finding
from suture.kernel import layouts
from suture.kernel.btf import Btf
from suture.kernel.types import struct_sizes
from suture.state.layout import layout_findings
from suture.verify.kernel import Kernel
from suture.workspace import store
from suture.workspace.applying import Changed
from suture.workspace.compile import ObjectPair, Touched
from suture.workspace.prepare import Workspace
from suture.workspace.typed import TypedPair, first_readers, typed_pairs

RECIPE = "layouts 1"
"""Changes when the comparison does, so that what was found to be equal is compared again."""


class LayoutCheck:
    """Compares the types of the objects that a patch touches, each once."""

    def __init__(
        self,
        workspace: Workspace,
        kernel: Kernel,
        touched: Touched,
        accepted: Sequence[Acceptance],
    ) -> None:
        self._workspace = workspace
        self._kernel = kernel
        self._touched = touched
        self._accepted = accepted
        self._done: set[str] = set()
        self.findings: tuple[Finding, ...] = ()

    def first(self) -> None:
        """Compare one object for each changed header.

        :raises Refusal: ``layout-changed``, and those of compiling
        """
        self._judge(first_readers(self._workspace, self._touched))

    def all_of(self, pairs: Sequence[ObjectPair]) -> None:
        """Compare the objects that change.

        :raises Refusal: ``layout-changed``, and those of compiling
        """
        todo = [pair for pair in pairs if pair.source not in self._done]
        self._judge(typed_pairs(self._workspace, self._touched, todo))

    def _judge(self, pairs: Iterable[TypedPair]) -> None:
        for pair in pairs:
            self._done.add(pair.source)
            told = {one.accepted("") for one in self.findings}
            new = [one for one in self._found(pair) if one not in told]
            self.findings += judged(new, self._accepted)

    def _found(self, pair: TypedPair) -> list[Finding]:
        directory = self._workspace.directory / "objects"
        before, after = reader.read(pair.before, pair.source), reader.read(pair.after, pair.source)
        key = store.key([RECIPE, _btf(before), _btf(after)])
        if store.load_bytes(directory, key) is not None:
            return []
        changes = self._touched.changes
        found = list(compare_types(pair.source, before, after, changes, self._size_in_kernel))
        if not found:
            store.save_bytes(directory, key, b"")
        return found

    def _size_in_kernel(self, name: str) -> int | None:
        """Return the size of a structure in bytes as the core kernel's BTF has it."""
        btf = self._kernel.vmlinux.image.section(".BTF")
        tag = name.rpartition(" ")[2]
        return struct_sizes(btf, {tag}, self._kernel.target.release).get(tag) if btf else None


def compare_types(
    source: str,
    before: ObjectFile,
    after: ObjectFile,
    changes: Sequence[Changed],
    known: Callable[[str], int | None],
) -> Iterator[Finding]:
    """Compare the types of an object that was compiled with BTF on both sides.

    :param known: returns the size of a structure in the running kernel's BTF, in bytes.
    """
    types = [layouts.read(Btf(_btf(side), source)) for side in (before, after)]
    return layout_findings(
        source, types[0], types[1], changes, _kept_variables(before, after), known
    )


def _btf(obj: ObjectFile) -> bytes:
    index = obj.section_named(".BTF")
    return obj.sections[index].data if index else b""


def _kept_variables(before: ObjectFile, after: ObjectFile) -> Iterator[str]:
    """Yield the variables that both objects define with the same size, outside init sections."""
    sizes = dict(_variables(before))
    for name, size in _variables(after):
        if sizes.get(name) == size:
            yield name


def _variables(obj: ObjectFile) -> Iterator[tuple[str, int]]:
    for symbol in obj.symbols:
        is_variable = symbol.type == STT_OBJECT and symbol.is_defined_here
        if is_variable and not is_once_only(obj.sections[symbol.shndx]):
            yield symbol.name, symbol.size

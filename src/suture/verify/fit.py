# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a live patch module fits a target, whichever tool built the module
(`suture.verify.examination`), as one answer: yes, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from suture.elf import reader
from suture.kernel.release import Target
from suture.model import ExternalSymbol
from suture.verify.debug_types import types_of_debug
from suture.verify.examination import FunctionCheck, examine
from suture.verify.kernel import Kernel


@dataclass(frozen=True, slots=True)
class FunctionPlace:
    """A replaced function, found in the target.

    :ivar sympos: the module's value.
    :ivar address: of the function, in the core kernel or in the laid-out module file.
    """

    objname: str
    function: str
    sympos: int
    address: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The functions and symbols of a live patch module that fits a target.

    :ivar symbols: the symbols that the core resolves, each once.
    :ivar imports: the exported symbols that it links against.
    """

    name: str
    release: str
    functions: tuple[FunctionPlace, ...]
    symbols: tuple[ExternalSymbol, ...]
    imports: tuple[str, ...]


def verify_module(data: bytes, where: str, target: Target) -> Fit:
    """Check that a live patch module fits a target.

    :param data: the module's bytes.
    :param where: its name in messages.
    :raises Refusal: ``wrong-release``, ``not-a-live-patch``, ``relocations-unapplied``,
        ``vermagic-differs``, ``function-not-in-kernel``, ``function-not-traceable``,
        ``init-function-changed``, ``prototype-differs``, ``symbol-not-found``,
        ``symbol-ambiguous``, ``symbol-version-differs``, and what reading the module raises
    """
    module = reader.read(data, where)
    found = examine(module, where, Kernel(target), types=types_of_debug(module, data))
    for refusal in found.refusals:
        raise refusal
    functions = tuple(_place(one) for one in found.functions)
    symbols = tuple(dict.fromkeys(one.symbol for one in found.symbols))
    inspection = found.inspection
    return Fit(inspection.patch.name, target.release, functions, symbols, inspection.imports)


def _place(found: FunctionCheck) -> FunctionPlace:
    assert found.address is not None, "it was not refused"
    function = found.function
    return FunctionPlace(found.objname, function.old_name, function.sympos, found.address)

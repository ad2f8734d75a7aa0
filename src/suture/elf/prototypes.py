# SPDX-License-Identifier: GPL-2.0-or-later
"""Prototypes of functions, from the debug information of an object file (DWARF 5, sections 3.3 and
5).

Types are spelled as the calling convention sees them: typedefs are resolved, ``const`` and its kin
are left out, and a structure is its name (with its size, where it is passed by value).
"""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE

VOID = "void"
_TRANSPARENT = frozenset(
    {
        "DW_TAG_const_type",
        "DW_TAG_volatile_type",
        "DW_TAG_restrict_type",
        "DW_TAG_atomic_type",
        "DW_TAG_typedef",
    }
)
_TAGGED = {
    "DW_TAG_structure_type": "struct",
    "DW_TAG_union_type": "union",
    "DW_TAG_enumeration_type": "enum",
}


@dataclass(frozen=True, slots=True)
class Prototype:
    """A function's result and parameters, on which callers and function must agree.

    :ivar variadic: the parameters end with ``...``, or are not declared.
    """

    result: str
    parameters: tuple[str, ...]
    variadic: bool = False

    def __str__(self) -> str:
        shown = [*self.parameters, *(["..."] if self.variadic else [])]
        return f"{self.result} ({', '.join(shown) or VOID})"

    def serves(self, callers: Prototype) -> bool:
        """Whether code that was compiled for the prototype `callers` may call a function of this
        one.

        Callers may ignore a result in a register: code for ``void f(void)`` may call an ``int
        f(void)``.
        """
        ignored = callers.result == VOID and not self.result.startswith(("struct ", "union "))
        return (self.parameters, self.variadic) == (callers.parameters, callers.variadic) and (
            self.result == callers.result or ignored
        )


def prototypes(data: bytes, names: Collection[str]) -> dict[str, Prototype]:
    """Return the prototypes of the functions `names` that the object defines or declares.

    :param data: a relocatable object fresh from the compiler, with ``-g``.
    """
    wanted = {name.encode() for name in names}
    found: dict[str, Prototype] = {}
    from elftools.elf.elffile import ELFFile

    for unit in ELFFile(io.BytesIO(data)).get_dwarf_info().iter_CUs():
        for entry in unit.get_top_DIE().iter_children():
            if entry.tag == "DW_TAG_subprogram":
                name = entry.attributes.get("DW_AT_name")
                if name is not None and name.value in wanted:
                    found[name.value.decode()] = _prototype(entry)
    return found


def _prototype(entry: DIE) -> Prototype:
    """Return the prototype of a subprogram, or of the type of a function."""
    children = list(entry.iter_children())
    parameters = tuple(
        _by_value(child) for child in children if child.tag == "DW_TAG_formal_parameter"
    )
    variadic = "DW_AT_prototyped" not in entry.attributes or any(
        child.tag == "DW_TAG_unspecified_parameters" for child in children
    )
    return Prototype(_by_value(entry), parameters, variadic)


def _by_value(entry: DIE) -> str:
    """Return the type of a parameter or result."""
    if "DW_AT_type" not in entry.attributes:
        return VOID
    kind, name = _plain(entry.get_DIE_from_attribute("DW_AT_type"))
    spelled = _spelled(kind, name)
    if kind is not None and kind.tag in _TAGGED and "DW_AT_byte_size" in kind.attributes:
        return f"{spelled} of {kind.attributes['DW_AT_byte_size'].value} bytes"
    return spelled


def _plain(kind: DIE | None) -> tuple[DIE | None, str]:
    """Return a type without typedefs and qualifiers, and the last typedef's name, for a type that
    has no name of its own."""
    name = ""
    while kind is not None and kind.tag in _TRANSPARENT:
        name = _name(kind) or name
        kind = (
            kind.get_DIE_from_attribute("DW_AT_type") if "DW_AT_type" in kind.attributes else None
        )
    return kind, name


def _spelled(kind: DIE | None, typedef: str = "") -> str:
    if kind is None:
        return VOID
    pointee = (
        _plain(kind.get_DIE_from_attribute("DW_AT_type"))
        if "DW_AT_type" in kind.attributes
        else (None, "")
    )
    match kind.tag:
        case "DW_TAG_pointer_type":
            return f"{_spelled(*pointee)} *"
        case "DW_TAG_array_type":
            return f"{_spelled(*pointee)} []"
        case "DW_TAG_subroutine_type":
            return f"({_prototype(kind)})"
        case tag if tag in _TAGGED:
            return f"{_TAGGED[tag]} {_name(kind) or typedef or '{...}'}"
    return _name(kind) or str(kind.tag)


def _name(entry: DIE) -> str:
    name = entry.attributes.get("DW_AT_name")
    return "" if name is None else name.value.decode(errors="replace")

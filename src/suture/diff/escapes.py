# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses in a live patch that the kernel may keep for longer than the live patch is in force.

A timer, a work item, a notifier or an open file keeps the address of a function.  If that function
is new, it is in the live patch's module, and the kernel would call freed memory once the module is
gone.  Such a live patch has to stay in memory.

An address escapes where code of the live patch, other than by a call or jump, refers to

- a function of the live patch: ``single_open(file, seq_show_adv, inode)``;
- writable data of the live patch: ``schedule_delayed_work(&adv_work, 6 * HZ)``;
- a constant of the live patch with addresses: ``file->f_op = &new_operations``;

and where the new value of a variable that the live patch changes in memory leads to the live patch.
The address is followed through the registers of the code, and into functions of the live patch: it
does not escape where it is only compared or accessed, or passed to functions that do not keep it
(`suture.diff.keepers`).  In doubt it escapes: that costs a few KiB, and a crash costs the host.

- Variables that macros and the compiler make, such as ``__func__``, ratelimit states and lockdep's
  keys, do not escape (`View.is_private`), and neither do static keys, which the kernel forgets when
  the module goes.
- Other constants escape only where their address is written to memory or returned.
- String literals escape only where a function that keeps its argument is called with one
  (`KEEPS_STRINGS`): most strings are for messages.
- The kernel's own functions and variables, among them the address of a replaced function, are no
  part of the live patch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from suture.diff.address_trace import AddressOf, AddressTrace, EscapeKind, plain_name
from suture.diff.changes import MODULE_HOOKS
from suture.diff.keepers import KEEPS_STRINGS
from suture.diff.live_code import Leads, LiveCode, LiveUnit
from suture.diff.output import AUTHORS
from suture.elf.object import ObjectFile
from suture.objects.locals import is_cold
from suture.objects.special import sections
from suture.objects.view import Reference, ToAnonymous, ToLiteral, ToUndefined, ToUnit, View

RUN_ONCE = (".init.", ".exit.")
"""Begins the names of sections whose code is an author's: what its init function registers, its
exit function takes back (include/linux/init.h)."""


@dataclass(frozen=True, slots=True)
class Escape:
    """An address in the live patch that the kernel may keep.

    :ivar holder: the function that hands it out, or the variable that points to it.
    :ivar what: the function, variable or string with this address.
    :ivar to: the function that it is passed to; "" if there is none.
    """

    holder: str
    what: str
    kind: EscapeKind
    to: str = ""

    def __str__(self) -> str:
        return f"{self.holder} {self.kind.value.format(what=self.what, to=self.to)}"


def escapes(
    objects: Sequence[ObjectFile], tables: Sequence[ChangedTable] = ()
) -> tuple[Escape, ...]:
    """Find the addresses that escape from a live patch, each with the first way out.

    :param objects: all its code and data, before the link.
    :param tables: variables that it changes in memory.
    """
    program = _Candidates(LiveCode(objects))
    found: dict[tuple[str, str], Escape] = {}
    for escape in (*program.of_tables(tables), *program.of_code()):
        known = found.get((escape.holder, escape.what))
        if known is None or known.kind is EscapeKind.UNCLEAR:
            found[escape.holder, escape.what] = escape
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class ChangedTable:
    """The new value of a variable that a live patch changes in memory.

    :ivar variable: the variable's name.
    :ivar obj: the object that holds the value, in section `section`.
    """

    variable: str
    obj: ObjectFile
    section: int


class _Candidates:
    """Looks for addresses in the code of a live patch, and follows each."""

    def __init__(self, code: LiveCode) -> None:
        self._code = code

    def of_tables(self, tables: Sequence[ChangedTable]) -> Iterator[Escape]:
        """Yield what the new values of variables lead to."""
        for table in tables:
            view = View(table.obj)
            size = table.obj.sections[table.section].size
            for reference in view.references_in(table.section, 0, size):
                match reference.target:
                    case ToUndefined(name) if name in self._code.globals:
                        what = self._code.globals[name].name
                    case ToLiteral() | ToAnonymous():
                        content = _string(view, reference)
                        what = _literal(content) if content is not None else "an unnamed constant"
                    case ToUnit(unit, _):
                        what = self._code.place(view, unit).name
                    case _:
                        continue
                yield Escape(table.variable, what, EscapeKind.IN_TABLE)

    def of_code(self) -> Iterator[Escape]:
        """Yield the addresses that code hands out."""
        for view in self._code.views:
            strings = any(plain_name(one.name) in KEEPS_STRINGS for one in view.obj.symbols)
            for unit in view.units:
                section = view.section(unit)
                if not section.is_code or section.name.startswith(RUN_ONCE):
                    continue
                if any(name in MODULE_HOOKS or name.startswith(AUTHORS) for name in unit.names):
                    continue  # as above, without __init and __exit
                place = self._code.place(view, unit)
                for reference in place.references:
                    if not reference.is_branch:
                        yield from self._of_reference(place, reference, strings)

    def _of_reference(
        self, place: LiveUnit, reference: Reference, strings: bool
    ) -> Iterator[Escape]:
        candidate = self._candidate(place.view, reference, strings)
        if candidate is None:
            return
        thing, what = candidate
        trace = AddressTrace(self._code, thing)
        trace.follow(place, reference)
        if trace.kind is not None:
            # The holder of a .cold part is the function that it belongs to.
            yield Escape(place.name, what, trace.kind, trace.to)

    def _candidate(
        self, view: View, reference: Reference, strings: bool
    ) -> tuple[AddressOf, str] | None:
        """Return what a reference leads to in the live patch, with its name; None for what cannot
        escape."""
        match reference.target:
            case ToLiteral() | ToAnonymous() if (content := _string(view, reference)) is not None:
                return (AddressOf.LITERAL, _literal(content)) if strings else None
            case ToAnonymous(section, _):
                held = view.obj.sections[section]
                if held.name in sections(view.obj.arch):
                    # WARN_ONCE() since 6.19 passes its struct bug_entry to a trap that reads it.
                    return None
                leads = self._code.leads_from(view, section, 0, 0 if held.is_code else held.size)
                is_table = leads is Leads.TO_THE_LIVE_PATCH
                return (AddressOf.CODE, "an unnamed constant") if is_table else None
        found = self._code.target(view, reference)
        if found is None:
            return None
        place, offset = found
        if place.unit.is_function:
            # An address inside a function is a label, as in _THIS_IP_.
            is_label = offset or is_cold(place.unit.name)
            return None if is_label else (AddressOf.CODE, place.name)
        leads = self._code.leads(place)
        if leads is Leads.TO_THE_LIVE_PATCH:
            return AddressOf.CODE, place.name
        if place.is_private:
            return None
        is_table = place.is_writable or leads is Leads.TO_THE_KERNEL
        return AddressOf.TABLE if is_table else AddressOf.CONSTANT, place.name


def _string(view: View, reference: Reference) -> bytes | None:
    """Return the string literal that a reference leads to; None for anything else.

    Output objects hold them in sections that the linker does not merge
    (`suture.diff.object_builder.Builder.literal`).
    """
    match reference.target:
        case ToLiteral(_, content, _):
            return content
        case ToAnonymous(index, offset):
            section = view.obj.sections[index]
            if section.name.startswith(".rodata.str") and 0 <= offset < len(section.data):
                return section.data[offset:].partition(b"\0")[0]
    return None


def _literal(content: bytes) -> str:
    text = content.rstrip(b"\0").decode("utf-8", "backslashreplace")
    return f"the string {text!r}"

# SPDX-License-Identifier: GPL-2.0-or-later
"""The C that describes a live patch to the core (``struct klp_patch``, ``klp_object``,
``klp_func``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from suture import __version__
from suture.link import author_modules, callbacks
from suture.link.callbacks import Hooked
from suture.model import VMLINUX, CallbackKind, LivePatch, PatchedFunction, PatchedObject


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that changes in memory while the live patch is in force.

    :ivar objname: the object that it is in.
    :ivar name: its name in kallsyms; `sympos` as in `PatchedFunction`.
    :ivar size: bytes.
    :ivar contents: the global symbol of its ``struct livepatch_contents``.
    """

    objname: str
    name: str
    sympos: int
    size: int
    contents: str


@dataclass(frozen=True, slots=True)
class Registration:
    """How an author's module, which has init and exit functions of its own, registers its live
    patch.

    :ivar function: what its init calls, which the glue defines.
    :ivar argument: the structure that it takes a pointer to.
    :ivar wrappers: new functions that the glue defines: name -> C.
    """

    function: str
    argument: str
    wrappers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Several:
    """Authors' modules, one after the other, whose live patches become one.

    :ivar wrappers: as of `Registration`, of all of them.
    """

    authors: Sequence[author_modules.Author]
    wrappers: Mapping[str, str]


def source(
    patch: LivePatch,
    release: str,
    variables: Sequence[Variable] = (),
    hooked: Sequence[Hooked] = (),
    registration: Registration | Several | None = None,
    states: str = "",
) -> str:
    """The source of the module's own file.

    Functions are named by `PatchedFunction.new_name`, which must be global symbols of the objects
    linked with it, as must `Variable.contents` and `Hooked.symbol`.  With either, `patch` is to be
    one that `with_callbacks` has made.

    :param registration: for authors' modules, of a single one of which the callbacks are global
        symbols of its objects; without it, the module is nothing but the live patch.
    :param states: the global symbol of an author's table of states; there are no `variables` then.
    """
    if registration is None:
        functions = [function for patched in patch.objects for function in patched.functions]
        declarations = [f"extern void {function.new_name}(void);" for function in functions]
    else:
        declarations = _functions(patch, registration.wrappers)
    if isinstance(registration, Registration):
        declarations += _callbacks(patch)
    return _template("livepatch").substitute(
        name=patch.name,
        version=__version__,
        release=release,
        replace=str(patch.replace).lower(),
        states=states or ("livepatch_states" if variables else "NULL"),
        declarations="\n".join(
            [*declarations, *([f"extern struct klp_state {states}[];"] if states else [])]
        ),
        data=_data(variables) if variables else "",
        callback_declarations=callbacks.declarations(hooked),
        callbacks=callbacks.definitions(patch, hooked, bool(variables)),
        function_tables="\n\n".join(
            _table(number, patched) for number, patched in enumerate(patch.objects)
        ),
        objects="\n".join(_object(number, patched) for number, patched in enumerate(patch.objects)),
        registration=_registering(patch, release, registration),
    )


def _registering(
    patch: LivePatch, release: str, registration: Registration | Several | None
) -> str:
    if registration is None:
        return _template("own").substitute(name=patch.name, release=release)
    if isinstance(registration, Registration):
        return _template("authors").substitute(
            entry=registration.function, argument=registration.argument
        )
    pieces = author_modules.pieces(registration.authors)
    return _template("several").substitute(name=patch.name, release=release, **pieces)


def _functions(patch: LivePatch, wrappers: Mapping[str, str]) -> list[str]:
    """Declarations of the new functions, each once, and the wrappers around some of them."""
    lines = ["#include <linux/compat.h>", "#include <linux/syscalls.h>"] if wrappers else []
    names = dict.fromkeys(
        function.new_name for patched in patch.objects for function in patched.functions
    )
    lines += [f"extern void {name}(void);" for name in names if name not in wrappers]
    return [*lines, *wrappers.values()]


def _callbacks(patch: LivePatch) -> list[str]:
    """Declarations of an author's callbacks (struct klp_callbacks)."""
    return [
        f"extern {'int' if callback.kind is CallbackKind.PRE_PATCH else 'void'} {callback.function}"
        "(struct klp_object *object);"
        for patched in patch.objects
        for callback in patched.callbacks
    ]


def _template(name: str) -> Template:
    return Template(resources.files("suture.link").joinpath(f"templates/{name}.c").read_text())


def _data(variables: Sequence[Variable]) -> str:
    declarations = [
        f"extern const struct livepatch_contents {variable.contents};" for variable in variables
    ]
    declarations += [
        f"static u8 found_{variable.contents}[{variable.size}];" for variable in variables
    ]
    return _template("data").substitute(
        declarations="\n".join(declarations),
        variables="\n".join(_variable(variable) for variable in variables),
    )


def _variable(variable: Variable) -> str:
    return (
        f'\t{{\n\t\t.object = "{variable.objname}",\n\t\t.name = "{variable.name}",\n'
        f"\t\t.sympos = {variable.sympos},\n\t\t.size = {variable.size},\n"
        f"\t\t.contents = &{variable.contents},\n\t\t.found = found_{variable.contents},\n\t}},"
    )


def _table(number: int, patched: PatchedObject) -> str:
    entries = "".join(f"{_function(function)}\n" for function in patched.functions)
    return f"static struct klp_func livepatch_functions_{number}[] = {{\n{entries}\t{{ }}\n}};"


def _function(function: PatchedFunction) -> str:
    return (
        f'\t{{\n\t\t.old_name = "{function.old_name}",\n\t\t.new_func = {function.new_name},\n'
        f"\t\t.old_sympos = {function.sympos},\n\t}},"
    )


def _object(number: int, patched: PatchedObject) -> str:
    # struct klp_object: a name of NULL is the core kernel.
    name = "NULL" if patched.name == VMLINUX else f'"{patched.name}"'
    called = "".join(
        f"\t\t.callbacks.{callback.kind.value} = {callback.function},\n"
        for callback in patched.callbacks
    )
    return f"\t{{\n\t\t.name = {name},\n\t\t.funcs = livepatch_functions_{number},\n{called}\t}},"

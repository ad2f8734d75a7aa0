# SPDX-License-Identifier: GPL-2.0-or-later
"""The C that describes a live patch to the core (``struct klp_patch``, ``klp_object``, ``klp_func``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

from suture import __version__
from suture.link import callbacks
from suture.link.callbacks import Hooked
from suture.model import VMLINUX, LivePatch, PatchedFunction, PatchedObject


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


def source(patch: LivePatch, release: str, variables: Sequence[Variable] = (), hooked: Sequence[Hooked] = ()) -> str:
    """The source of the module's own file.

    Functions are named by `PatchedFunction.new_name`, which must be global symbols of the objects linked with it, as
    must `Variable.contents` and `Hooked.symbol`.  With either, `patch` is to be one that `with_callbacks` has made.
    """
    functions = [function for patched in patch.objects for function in patched.functions]
    return _template("livepatch").substitute(
        name=patch.name,
        version=__version__,
        release=release,
        replace=str(patch.replace).lower(),
        states="livepatch_states" if variables else "NULL",
        declarations="\n".join(f"extern void {function.new_name}(void);" for function in functions),
        data=_data(variables) if variables else "",
        callback_declarations=callbacks.declarations(hooked),
        callbacks=callbacks.definitions(patch, hooked, bool(variables)),
        function_tables="\n\n".join(_table(number, patched) for number, patched in enumerate(patch.objects)),
        objects="\n".join(_object(number, patched) for number, patched in enumerate(patch.objects)),
    )


def _template(name: str) -> Template:
    return Template(resources.files("suture.link").joinpath(f"templates/{name}.c").read_text())


def _data(variables: Sequence[Variable]) -> str:
    declarations = [f"extern const struct livepatch_contents {variable.contents};" for variable in variables]
    declarations += [f"static u8 found_{variable.contents}[{variable.size}];" for variable in variables]
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
    called = "".join(f"\t\t.callbacks.{callback.kind.value} = {callback.function},\n" for callback in patched.callbacks)
    return f"\t{{\n\t\t.name = {name},\n\t\t.funcs = livepatch_functions_{number},\n{called}\t}},"

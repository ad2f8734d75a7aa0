# SPDX-License-Identifier: GPL-2.0-or-later
"""The glue: C that describes a live patch to the core with ``struct klp_patch``, ``klp_object`` and
``klp_func``."""

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

    :ivar objname: the object that holds it.
    :ivar name: its name in kallsyms; `sympos` as in `PatchedFunction`.
    :ivar size: in bytes.
    :ivar contents: the global symbol of its ``struct livepatch_contents``.
    """

    objname: str
    name: str
    sympos: int
    size: int
    contents: str


@dataclass(frozen=True, slots=True)
class Registration:
    """The registration of one author's module with init and exit functions of its own.

    :ivar function: the function that its init calls and the glue defines, such as
        ``kgr_patch_kernel``.
    :ivar argument: the structure to which that function takes a pointer.
    :ivar wrappers: new functions that the glue defines: name -> C.
    """

    function: str
    argument: str
    wrappers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Several:
    """The registration of several authors' modules as one live patch.

    :ivar wrappers: as in `Registration`, for all of them.
    """

    authors: Sequence[author_modules.Author]
    wrappers: Mapping[str, str]


_ENABLE = "\treturn klp_enable_patch(&livepatch);"


def source(
    patch: LivePatch,
    release: str,
    variables: Sequence[Variable] = (),
    hooked: Sequence[Hooked] = (),
    registration: Registration | Several | None = None,
    states: str = "",
    *,
    stays: bool = False,
) -> str:
    """Return the source of the module's own file.

    `PatchedFunction.new_name`, `Variable.contents` and `Hooked.symbol` must be global symbols of
    the objects that are linked with it.  With variables or hooks, `patch` must come from
    `with_callbacks`.

    :param registration: for authors' modules.  The callbacks of a single one must be global symbols
        of its objects.  Without it, the module is nothing but the live patch.
    :param states: the global symbol of an author's table of states, which excludes `variables`.
    :param stays: the module takes a reference to itself once the core has the live patch, so that
        it stays in memory.  The author of a single module decides that for himself.
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
        registration=_registering(patch, release, registration, stays),
    )


def _registering(
    patch: LivePatch, release: str, registration: Registration | Several | None, stays: bool
) -> str:
    description = _c_string(patch.description or f"Live patch {patch.name} for {release}")
    if registration is None:
        enable = _template("staying").substitute() if stays else _ENABLE
        return _template("own").substitute(description=description, enable=enable.rstrip())
    if isinstance(registration, Registration):
        return _template("authors").substitute(
            entry=registration.function, argument=registration.argument
        )
    pieces = author_modules.template_fields(registration.authors)
    done = "\tif (!error) {\n\t\t__module_get(THIS_MODULE);\n\t\treturn 0;\n\t}"
    pieces["done"] = done if stays else "\tif (!error)\n\t\treturn 0;"
    return _template("several").substitute(description=description, **pieces)


def _c_string(text: str) -> str:
    """Return text between the quotation marks of a C string."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')


def _functions(patch: LivePatch, wrappers: Mapping[str, str]) -> list[str]:
    """Return declarations of the new functions, each once, and the wrappers around some of them."""
    lines = ["#include <linux/compat.h>", "#include <linux/syscalls.h>"] if wrappers else []
    functions = [function for patched in patch.objects for function in patched.functions]
    names = dict.fromkeys(function.new_name for function in functions)
    lines += [f"extern void {name}(void);" for name in names if name not in wrappers]
    return [*lines, *wrappers.values()]


def _callbacks(patch: LivePatch) -> list[str]:
    """Return declarations of an author's callbacks (struct klp_callbacks)."""
    lines = []
    for patched in patch.objects:
        for callback in patched.callbacks:
            result = "int" if callback.kind is CallbackKind.PRE_PATCH else "void"
            lines.append(f"extern {result} {callback.function}(struct klp_object *object);")
    return lines


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
    # struct klp_object: the name NULL stands for the core kernel.
    name = "NULL" if patched.name == VMLINUX else f'"{patched.name}"'
    called = "".join(
        f"\t\t.callbacks.{callback.kind.value} = {callback.function},\n"
        for callback in patched.callbacks
    )
    return f"\t{{\n\t\t.name = {name},\n\t\t.funcs = livepatch_functions_{number},\n{called}\t}},"

# SPDX-License-Identifier: GPL-2.0-or-later
"""The C that describes a live patch to the core (``struct klp_patch``, ``klp_object``, ``klp_func``)."""

from __future__ import annotations

from importlib import resources
from string import Template

from suture import __version__
from suture.model import VMLINUX, LivePatch, PatchedFunction, PatchedObject


def source(patch: LivePatch, release: str) -> str:
    """The source of the module's own file.

    Functions are named by `PatchedFunction.new_name`, which must be global symbols of the objects linked with it.
    """
    template = Template(resources.files("suture.link").joinpath("templates/livepatch.c").read_text())
    functions = [function for patched in patch.objects for function in patched.functions]
    return template.substitute(
        name=patch.name,
        version=__version__,
        release=release,
        replace=str(patch.replace).lower(),
        declarations="\n".join(f"extern void {function.new_name}(void);" for function in functions),
        function_tables="\n\n".join(_table(number, patched) for number, patched in enumerate(patch.objects)),
        objects="\n".join(_object(number, patched) for number, patched in enumerate(patch.objects)),
    )


def _table(number: int, patched: PatchedObject) -> str:
    entries = "\n".join(_function(function) for function in patched.functions)
    return f"static struct klp_func livepatch_functions_{number}[] = {{\n{entries}\n\t{{ }}\n}};"


def _function(function: PatchedFunction) -> str:
    return (
        f'\t{{\n\t\t.old_name = "{function.old_name}",\n\t\t.new_func = {function.new_name},\n'
        f"\t\t.old_sympos = {function.sympos},\n\t}},"
    )


def _object(number: int, patched: PatchedObject) -> str:
    # struct klp_object: a name of NULL is the core kernel.
    name = "NULL" if patched.name == VMLINUX else f'"{patched.name}"'
    return f"\t{{\n\t\t.name = {name},\n\t\t.funcs = livepatch_functions_{number},\n\t}},"

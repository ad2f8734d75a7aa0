# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture inspect``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from suture.cli.commands import command
from suture.cli.names import module_argument
from suture.cli.output import Human, emit, in_parts, json_option, table
from suture.cli.purpose import fix_lines
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.module.identity import ModuleIdentity
    from suture.module.inspect import Inspection

EXAMPLES = (
    ("suture inspect fix.ko", "show what it replaces and what it needs from the kernel"),
    (
        "suture inspect fix.ko --json | jq '.objects[].functions[].old_name'",
        "print only the replaced functions",
    ),
)


@command("inspect", examples=EXAMPLES)
@module_argument
@json_option
def inspect(module: Path) -> None:
    """Show what a live patch module contains: objects, replaced functions, callbacks and livepatch
    relocations, and what identifies its file: size, SHA-256, build ID and signature.

    A sympos of 0 says that the name is the only one in the object, as the kernel's struct klp_func
    has it. The signature is shown as it stands; 'suture load --require-signature' checks it.
    """
    from suture.elf import reader
    from suture.host.files import read_bytes
    from suture.module.identity import identify
    from suture.module.inspect import inspect as read

    data = read_bytes(module)
    obj = reader.read(data, str(module))
    found, identity = read(obj), identify(data, obj, str(module))
    emit(_document(found, identity), lambda: _for_people(found, identity))


def _document(found: Inspection, identity: ModuleIdentity) -> dict[str, object]:
    from suture.module import modinfo

    return {
        "name": found.patch.name,
        "release": found.release,
        "replace": found.patch.replace,
        "objects": found.patch.objects,
        "shadow_variables": [one.id for one in found.patch.shadow_variables],
        "stays": found.patch.stays,
        "references": found.patch.references,
        "relocations": found.references,
        "unapplied": found.unapplied,
        "fixes": found.patch.fixes,
        "update": found.patch.update,
        "findings": found.patch.findings,
        "imports": found.imports,
        "modinfo": modinfo.grouped(found.modinfo),
        "size": identity.size,
        "sha256": identity.sha256,
        "build_id": identity.build_id,
        "signature": identity.signature,
        "suture": identity.suture,
    }


def _for_people(found: Inspection, identity: ModuleIdentity) -> Human:
    how = (
        "replaces all live patches before it"
        if found.patch.replace
        else "stacks on live patches before it"
    )
    columns = ["object", "function", "sympos", "new code", "from"]
    functions = [
        [objname, function.old_name, str(function.sympos), function.new_name, function.source]
        for objname, function in found.patch.each_function()
    ]
    if not any(row[-1] for row in functions):  # other tools' modules do not say it
        columns, functions = columns[:-1], [row[:-1] for row in functions]
    callbacks = []
    for patched in found.patch.objects:
        for callback in patched.callbacks:
            callbacks.append((patched.name, callback.kind.value, callback.function))
    relocations = [
        (reference.objname, f"{reference.section}+{reference.offset:#x}", str(reference.symbol))
        for reference in found.references
    ]
    parts: list[Human] = [
        f"{found.patch.name}, a live patch for {found.release or 'an unnamed kernel'}; {how}\n",
        *[printable(line) for line in fix_lines(found.patch.fixes)],
        *([printable(str(found.patch.update))] if found.patch.update else []),
        table(columns, functions),
    ]
    if callbacks:
        parts += ["", table(("object", "callback", "function"), callbacks)]
    if found.patch.shadow_variables:
        parts += ["", f"shadow variables: {', '.join(map(str, found.patch.shadow_variables))}"]
    if found.patch.stays:
        parts += ["", "stays in memory until the reboot, for it hands out addresses in it:"]
        parts += [printable(f"  {reason}") for reason in found.patch.stays]
    if relocations:
        parts += ["", table(("resolved with", "place", "livepatch symbol"), relocations)]
    parts += [f"found: {one}" for one in found.patch.findings]
    for objname in found.unapplied:
        parts += [
            "",
            f"never applied: relocations for {objname}, which the live patch does not list",
        ]
    parts += ["", f"links against {len(found.imports)} exported symbols"]
    return in_parts(*parts, "", *map(printable, _identity_lines(identity)))


def _identity_lines(identity: ModuleIdentity) -> list[str]:
    facts = (
        ("size", f"{identity.size:,} bytes"),
        ("SHA-256", identity.sha256),
        ("build ID", identity.build_id or "none"),
        ("signature", str(identity.signature or "none")),
        ("made by", f"Suture {identity.suture}" if identity.suture else ""),
    )
    return [f"{name:10} {value}" for name, value in facts if value]

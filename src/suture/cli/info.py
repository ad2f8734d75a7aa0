# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture info``"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from suture.cli.commands import command
from suture.cli.list import state
from suture.cli.names import loaded_argument
from suture.cli.output import Human, emit, in_parts, json_option, table, utc
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.status import PatchStatus

EXAMPLES = (
    (
        "suture info livepatch_fix",
        "show what it replaces, since when, and who loaded it from where",
    ),
    (
        "suture info livepatch_fix --json | jq -r .loading.sha256",
        "print the hash of the loaded module",
    ),
)


@command("info", examples=EXAMPLES)
@loaded_argument
@json_option
def info(name: str) -> None:
    """Show what one live patch of the running kernel replaces, and who loaded it, when and from
    where.

    A sympos of 0 says that the name is the only one in the object, as in 'suture inspect', which
    shows a module file. Of a module that is not loaded, it is what the kernel shows: 1 for the only
    one too.
    """
    from suture.core.kallsyms import said_positions
    from suture.core.status import status
    from suture.core.unload import OUT_OF_FORCE
    from suture.errors import PATCH_NOT_LOADED, Refusal

    seen = status()
    found = next((item for item in seen.patches if name in (item.patch.name, item.name)), None)
    if found is None and any(module.name == name for module in seen.staying):
        raise Refusal(PATCH_NOT_LOADED, name, OUT_OF_FORCE)
    if found is None:
        raise Refusal(PATCH_NOT_LOADED, name, "no live patch of this name is in force")
    shown = replace(found, patch=said_positions(found.patch))
    emit(shown, lambda: for_people(shown))


def for_people(found: PatchStatus) -> Human:
    """What is known of one live patch, for people."""
    patch, known = found.patch, found.loading
    facts = [("fixes", str(fix)) for fix in found.fixes]
    if found.update is not None:
        lacking = found.update.lacking.items()
        facts += [("has", str(found.update)), *(("lacks", f"{cve}: {why}") for cve, why in lacking)]
    facts += [("state", state(patch))]
    if patch.replace is not None:
        facts.append(("replaces earlier ones", "yes" if patch.replace else "no"))
    if patch.stack_order is not None:
        facts.append(("stack order", str(patch.stack_order)))
    facts += [("build ID", found.build_id or "none")]
    if found.name != patch.name:
        facts.append(("live patch", f"{found.name}, of which an earlier one stays in memory"))
    facts += [("stays in memory", reason) for reason in found.stays]
    if known is not None:
        facts += [
            ("loaded", f"{utc(known.time)} UTC by {known.user}"),
            ("from", known.file),
            ("SHA-256", known.sha256),
            *(("accepted", one) for one in known.accepted),
        ]
    else:
        facts.append(("loaded", "not by suture, according to its journal"))
    width = max(len(name) for name, _ in facts)
    rows = []
    for item in patch.objects:
        patched = {True: "yes", False: "not loaded", None: ""}[item.patched]
        for function in item.functions:
            rows.append((item.name, function.name, str(function.sympos), patched))
    head = "\n".join(f"{name:{width}}  {value}" for name, value in facts)
    return in_parts(
        f"{patch.name}\n\n{printable(head)}\n",
        table(("object", "function", "sympos", "patched"), rows),
    )

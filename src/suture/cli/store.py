# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture store list``, ``suture store check`` and ``suture store prune``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli.changing import Wait, options
from suture.cli.commands import add, group
from suture.cli.output import Json, emit, table, utc
from suture.host.terminal import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from suture.core.store import Entry, Finding, Tries

app = group(
    "store",
    "See to what 'suture install' keeps for the next boots, in /var/lib/suture.",
    ("suture store list", "what is kept, for which kernel, and what became of it at boot"),
    ("suture store check", "is all of it what was installed? exit status 1 if not"),
)


def list_entries(json: Json = False) -> None:
    """List the live patches that are kept, by kernel, in the order in which they are loaded.

    What cannot be read is left out here; 'suture store check' shows it.
    """
    from suture.core.store import Store, in_order
    from suture.errors import Refusal

    store = Store()
    found: list[tuple[Entry, Tries]] = []
    for release in store.releases():
        entries = []
        for name in store.names(release):
            try:
                entry = store.entry(release, name)
                entries.append((entry, store.tries(entry)))
            except Refusal:
                continue
        found += sorted(entries, key=lambda pair: in_order(pair[0]))
    emit(
        [{"entry": entry, "boot": tries, "set_aside": tries.set_aside} for entry, tries in found],
        lambda: rows(found),
    )


def rows(found: list[tuple[Entry, Tries]]) -> RenderableType:
    columns = ("kernel", "name", "at boot", "installed (UTC)", "by", "sha256")
    return table(
        columns,
        [
            (
                entry.release,
                entry.name,
                at_boot(entry, tries),
                utc(entry.when),
                entry.by,
                entry.sha256[:12],
            )
            for entry, tries in found
        ],
    )


def at_boot(entry: Entry, tries: Tries) -> str:
    if not entry.enabled:
        return "disabled"
    return "set aside" if tries.set_aside else "load"


def check(json: Json = False) -> None:
    """Read all that is kept, and compare it with what was installed: manifests, hashes, owners and
    permissions.

    Exit status 1 says that something is damaged, can be changed by others, or was set aside. Files
    that a killed run has left are shown too; they are never used, and 'suture store prune' removes
    them.
    """
    from suture.core.store import Store

    findings = Store().check()
    emit(
        [
            {"path": finding.path, "error": finding.refusal.as_dict() if finding.refusal else None}
            for finding in findings
        ],
        lambda: (
            printable("\n".join(map(line, findings))) or "All that is kept is as it was installed."
        ),
    )
    if any(finding.refusal for finding in findings):
        raise typer.Exit(1)


def line(finding: Finding) -> str:
    return (
        str(finding.refusal)
        if finding.refusal
        else f"{finding.path}: nothing needs it ('suture store prune')"
    )


def prune(wait: Wait = 0.0, json: Json = False) -> None:
    """Remove what is kept for kernels that this host no longer has, and what killed runs have left.

    A kernel is here if it runs, or has a directory in /lib/modules or an image in /boot.
    """
    from suture.core.installing import prune as remove

    removed = remove(options=options(60.0, True, wait, True))
    emit(
        removed,
        lambda: (
            printable("\n".join(f"removed {path}" for path in removed))
            or "Nothing was to be removed."
        ),
    )


def initramfs(
    enable: Annotated[
        bool, typer.Option("--enable/--disable", help="Have the hook, or have it no longer.")
    ] = True,
    json: Json = False,
) -> None:
    """Let live patches be in force before the root file system is mounted: a hook for
    initramfs-tools.

    Images that are made from then on ('update-initramfs -u') have the enabled live patches that a
    boot has come up with. After 'suture uninstall' or 'suture disable', make the image again. There
    is no second try in the initramfs: if one of them keeps the host from booting, boot with
    suture.disable=1.
    """
    from suture.core import initramfs as hook

    hook.enable() if enable else hook.disable()
    what = "have" if enable else "do not have"
    emit(
        {"enabled": enable},
        f"Images that are made from now on {what} live patches: run 'update-initramfs -u'.",
    )


add(app, "list", list_entries)
add(app, "check", check)
add(app, "initramfs", initramfs)
add(app, "prune", prune)

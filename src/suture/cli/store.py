# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture store list``, ``suture store check`` and ``suture store prune``"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from suture.cli.changing import options, wait_option
from suture.cli.commands import group, option
from suture.cli.output import Human, emit, json_option, table, utc
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.store import Damage, StoreEntry, Tries

store = group(
    "store",
    "Manage installed live patches, in /var/lib/suture.",
    ("suture store list", "list them by kernel, with what happened at boot"),
    ("suture store check", "verify that they are unchanged; exit with status 1 if not"),
)


@store.command("list")
@json_option
def list_entries() -> None:
    """List installed live patches by kernel, in the order in which boots load them.

    Entries that cannot be read are omitted here; 'suture store check' shows them.
    """
    from suture.core.store import Store, in_order
    from suture.errors import Refusal

    store = Store()
    found: list[tuple[StoreEntry, Tries]] = []
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


def rows(found: list[tuple[StoreEntry, Tries]]) -> Human:
    """The installed live patches as a table."""
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


def at_boot(entry: StoreEntry, tries: Tries) -> str:
    """What boots do with an entry."""
    if not entry.enabled:
        return "disabled"
    return "set aside" if tries.set_aside else "load"


@store.command("check")
@json_option
def check() -> None:
    """Verify installed live patches: manifests, hashes, owners and permissions.

    Exit status 1 means that something is damaged, can be changed by other users, or was set aside.
    The output includes files that a killed run left behind; Suture never uses them, and 'suture
    store prune' removes them.
    """
    from suture.core.store import Store

    findings = Store().check()
    emit(
        [
            {"path": damage.path, "error": damage.refusal.as_dict() if damage.refusal else None}
            for damage in findings
        ],
        lambda: (
            printable("\n".join(map(line, findings)))
            or "All installed live patches are as they were installed."
        ),
    )
    if any(damage.refusal for damage in findings):
        raise click.exceptions.Exit(1)


def line(damage: Damage) -> str:
    """One damage of the check as text."""
    return (
        str(damage.refusal)
        if damage.refusal
        else f"{damage.path}: unused; 'suture store prune' removes it"
    )


@store.command("prune")
@wait_option
@json_option
def prune(wait: float) -> None:
    """Remove live patches for kernels that this host no longer has, and files that killed runs
    left behind.

    A host has a kernel that is running, has a directory in /lib/modules, or has an image in /boot.
    """
    from suture.core.installing import prune as remove

    removed = remove(options=options(60.0, True, wait, True))
    emit(
        removed,
        lambda: (
            printable("\n".join(f"removed {path}" for path in removed))
            or "There is nothing to remove."
        ),
    )


@store.command("initramfs")
@option("--enable/--disable", default=True, help="Install the hook, or remove it.")
@json_option
def initramfs(enable: bool) -> None:
    """Load live patches before the root file system is mounted, with a hook for the program that
    builds initramfs images, such as initramfs-tools.

    Images built from then on contain the enabled live patches that have
    survived a boot. After 'suture uninstall' or 'suture disable', build the image again. The
    initramfs does not count failed boots: if a live patch keeps the host from booting, boot with
    suture.disable=1.
    """
    from suture.core.initramfs import maker

    hook = maker()
    hook.enable() if enable else hook.disable()
    what = "contain" if enable else "do not contain"
    emit(
        {"enabled": enable},
        f"Images built from now on {what} live patches: run '{hook.remake}'.",
    )


@store.command("hooks")
@option("--enable/--disable", default=True, help="Create the files, or remove them.")
@option(
    "--rebuild/--no-rebuild",
    default=None,
    help="After kernel upgrades, run 'suture rebuild' as suture-rebuild.service; this host "
    "needs what 'suture build' and 'suture test' need.",
)
@option(
    "--metrics",
    metavar="FILE.prom",
    help="Write metrics there each minute, as suture-metrics.timer; '' removes it.",
)
@json_option
def hooks(enable: bool, rebuild: bool | None, metrics: str | None) -> None:
    """Have logins and package upgrades say what they mean for live patches.

    Suture puts a file into each directory that the host has for this. The first 'suture install'
    does so too; with --disable, the files are removed and stay away.
    """
    from suture.core import system_hooks

    if metrics and not re.fullmatch(r"/[\w./+-]+", metrics, re.ASCII):
        raise click.BadParameter("--metrics takes an absolute path of plain characters")
    changed = system_hooks.enable() if enable else system_hooks.disable()
    verb = "created" if enable else "removed"
    lines = [f"{verb} {path}" for path in changed]
    again, file = (rebuild, metrics) if enable else (False, "")
    if again is not None and system_hooks.set_rebuild(again):
        lines.append(f"{'created' if again else 'removed'} {system_hooks.REBUILD}")
    if file is not None and system_hooks.set_metrics(file):
        lines.append(f"{'created' if file else 'removed'} {system_hooks.METRICS}")
    emit(
        {verb: changed, "rebuild": again, "metrics": file},
        lambda: printable("\n".join(lines) or "Nothing to change."),
    )

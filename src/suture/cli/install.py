# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture install``, ``suture uninstall``, ``suture enable`` and ``suture disable``"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from suture.cli.changing import no_journal_option, options, replace_option, wait_option
from suture.cli.commands import command, option
from suture.cli.names import kept_argument, module_argument
from suture.cli.output import emit, json_option
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.installing import Installed

INSTALL_EXAMPLES = (
    ("suture install fix.ko", "load it at every boot, before the network is up"),
    ("suture install fix.ko && suture load fix", "also load it now"),
    (
        "suture install fix.ko --require-signature",
        "require a signature by a key in /etc/suture/trusted",
    ),
)
UNINSTALL_EXAMPLES = (
    ("suture uninstall fix", "stop loading it at boot; it stays loaded until 'suture unload fix'"),
)
ENABLE_EXAMPLES = (
    ("suture enable fix", "load it at boot again, even if failed boots had set it aside"),
)
DISABLE_EXAMPLES = (("suture disable fix", "keep it installed, but do not load it at boot"),)

kernel_option = option(
    "--kernel",
    metavar="RELEASE",
    help="The kernel it is installed for; by default the running one.",
)


@command("install", examples=INSTALL_EXAMPLES)
@module_argument
@option("--disabled", is_flag=True, help="Install it, but do not load it at boot yet.")
@option(
    "--require-signature",
    is_flag=True,
    help="Require a signature by a trusted key, now and at each boot.",
)
@replace_option
@wait_option
@no_journal_option
@json_option
def install(
    module: Path,
    disabled: bool,
    require_signature: bool,
    replace: bool,
    wait: float,
    no_journal: bool,
) -> None:
    """Install a live patch, so that every boot of its kernel loads it.

    Suture copies it to /var/lib/suture, below the release of its kernel; boots of other kernels
    ignore it. The systemd unit suture.service checks the hashes of installed live patches and loads
    them in the order of installation, before the network is up.

    A live patch that replaces all earlier ones is refused if functions of an installed one would
    lose their fix with it (--replace installs it all the same).

    After two failed boots in a row, a live patch is set aside. suture.disable=1 on the kernel
    command line skips all of them.
    """
    from suture.core.installing import install as keep
    from suture.host.files import read_bytes

    done = keep(
        read_bytes(module),
        str(module),
        enabled=not disabled,
        require_signature=require_signature,
        options=options(60.0, True, wait, not no_journal, replace=replace),
    )
    emit(done, lambda: for_people(done))


@command("uninstall", examples=UNINSTALL_EXAMPLES)
@kept_argument
@kernel_option
@wait_option
@no_journal_option
@json_option
def uninstall(name: str, kernel: str | None, wait: float, no_journal: bool) -> None:
    """Uninstall a live patch: boots no longer load it. If it is loaded now, it stays loaded."""
    from suture.core.installing import uninstall as drop

    release = kernel or os.uname().release
    drop(release, name, options=options(60.0, True, wait, not no_journal))
    emit(
        {"name": name, "release": release},
        lambda: printable(
            f"{name} is no longer installed for {release}.{_until_next_boot(release, name)}"
        ),
    )


@command("enable", examples=ENABLE_EXAMPLES)
@kept_argument
@kernel_option
@wait_option
@no_journal_option
@json_option
def enable(name: str, kernel: str | None, wait: float, no_journal: bool) -> None:
    """Load an installed live patch at boot. One that was set aside gets a new start."""
    _set(name, kernel, True, wait, no_journal)


@command("disable", examples=DISABLE_EXAMPLES)
@kept_argument
@kernel_option
@wait_option
@no_journal_option
@json_option
def disable(name: str, kernel: str | None, wait: float, no_journal: bool) -> None:
    """Keep a live patch installed, but do not load it at boot."""
    _set(name, kernel, False, wait, no_journal)


def _set(name: str, kernel: str | None, enabled: bool, wait: float, no_journal: bool) -> None:
    from suture.core.installing import set_enabled

    entry = set_enabled(
        kernel or os.uname().release,
        name,
        enabled,
        options=options(60.0, True, wait, not no_journal),
    )
    does = "load" if enabled else "do not load"
    still = "" if enabled else _until_next_boot(entry.release, entry.name)
    emit(entry, f"Boots of {entry.release} {does} {entry.name}.{still}")


def _until_next_boot(release: str, name: str) -> str:
    """A second line if the live patch stays in force until the next boot."""
    return (
        f"\nIt is in force until the next boot; 'suture unload {name}' takes it out now."
        if _is_loaded(release, name)
        else ""
    )


def _is_loaded(release: str, name: str) -> bool:
    from suture.core import modules, running
    from suture.core.cores import current

    # It may be loaded under another module name, because an earlier one stays in memory.
    return release == running.release() and current().has(modules.loaded_as(name))


def for_people(done: Installed) -> str:
    """The result for people."""
    entry = done.entry
    lines = [f"{entry.name} is installed for {entry.release}."]
    if entry.enabled and entry.release != os.uname().release:
        lines.append("Each boot of that kernel loads it before the network is up.")
    elif entry.enabled:
        now = (
            ""
            if _is_loaded(entry.release, entry.name)
            else f"; 'suture load {entry.name}' loads it now"
        )
        lines.append(f"From the next boot on, it is loaded before the network is up{now}.")
    if done.units:
        lines.append("Enabled suture.service and suture-confirm.service.")
    if done.hooks:
        lines.append(
            f"Created {', '.join(done.hooks)} ('suture store hooks --disable' removes them)."
        )
    return printable("\n".join(lines))

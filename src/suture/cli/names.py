# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments that name a live patch, with shell completion.

A shell completes while the user types, so whatever cannot be read is skipped silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from suture.cli import completion
from suture.errors import Refusal


def _as_the_kernel_has_it(word: str) -> str:
    from suture.core.store import module_name

    return module_name(word)


def loaded(incomplete: str) -> list[str]:
    """Names of the live patches in the running kernel."""
    from suture.core.cores import current

    return [patch.name for patch in current().patches() if patch.name.startswith(incomplete)]


def kept(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the live patches installed for the kernel of ``--kernel``, or the running one."""
    from suture.core import running
    from suture.core.store import Store

    try:
        names = Store().names(context.params.get("kernel") or running.release())
    except Refusal:
        return []
    return [name for name in names if name.startswith(incomplete)]


def kept_or_modules(context: typer.Context, incomplete: str) -> list[str]:
    """Names of installed live patches, then module files."""
    return [*kept(context, incomplete), *completion.modules(incomplete)]


def _name(about: str, offered: Callable[..., list[str]]) -> Any:
    return typer.Argument(
        metavar="NAME", help=about, autocompletion=offered, callback=_as_the_kernel_has_it
    )


Loaded = Annotated[str, _name("A live patch, as 'suture list' shows it.", loaded)]

InTransition = Annotated[str, _name("The live patch in transition.", loaded)]

Kept = Annotated[str, _name("A live patch, as 'suture store list' shows it.", kept)]

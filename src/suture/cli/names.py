# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments that name a live patch, or the file of its module, with shell completion.

A shell completes while the user types, so whatever cannot be read is skipped silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from suture.cli import completion
from suture.cli.commands import PATH, argument
from suture.errors import Refusal

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _as_the_kernel_has_it(context: click.Context, parameter: click.Parameter, word: str) -> str:
    if context.resilient_parsing:  # for completion, there need not be a word
        return word
    from suture.core.store import module_name

    return module_name(word)


def loaded(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the live patches in the running kernel."""
    from suture.core.cores import current

    return [patch.name for patch in current().patches() if patch.name.startswith(incomplete)]


def kept(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer the live patches installed for the kernel of ``--kernel``, or the running one."""
    from suture.core import running
    from suture.core.store import Store

    try:
        names = Store().names(context.params.get("kernel") or running.release())
    except Refusal:
        return []
    return [name for name in names if name.startswith(incomplete)]


def kept_or_modules(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer installed live patches, then module files."""
    names = kept(context, parameter, incomplete)
    return completion.items(incomplete, [*names, *completion.files(incomplete, completion.MODULES)])


def _name(help: str, offered: Callable[..., list[str]]) -> Callable[[Any], Any]:
    return argument(
        "name", metavar="NAME", callback=_as_the_kernel_has_it, shell_complete=offered, help=help
    )


loaded_argument = _name("A live patch, as 'suture list' shows it.", loaded)

in_transition_argument = _name("The live patch in transition.", loaded)

kept_argument = _name("A live patch, as 'suture store list' shows it.", kept)

module_name_argument = argument(
    "name",
    metavar="NAME",
    callback=_as_the_kernel_has_it,
    help="A live patch, by its module's name.",
)

module_argument = argument(
    "module",
    metavar="FILE.ko",
    type=PATH,
    shell_complete=completion.modules,
    help="A live patch module, from any build tool.",
)

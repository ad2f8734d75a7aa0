# SPDX-License-Identifier: GPL-2.0-or-later
"""What the author of a live patch decides and says: the options that ``build`` and ``convert``
share, and the choices that come of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any

from suture.cli.acceptances import accept_option, acceptances, because_option
from suture.cli.commands import Number, option
from suture.cli.option_parts import OptionPart
from suture.cli.purpose import cve_option, said, title_option, url_option
from suture.cli.suse import only_option

if TYPE_CHECKING:
    from suture.builder.inputs import Choices


@dataclass(frozen=True, slots=True)
class Decided:
    """The values of the options, in the order of `OPTIONS`."""

    caller_depth: int | None
    caller_limit: int | None
    patch_data: tuple[str, ...]
    keep_data: tuple[str, ...]
    replace_thread: tuple[str, ...]
    only: tuple[str, ...]
    accept: tuple[str, ...]
    because: tuple[str, ...]
    title: str | None
    cve: tuple[str, ...]
    url: tuple[str, ...]

    def choices(self, *, fuzz: int = 0, three_way: bool = False) -> Choices:
        """Return what a build is told.

        :raises click.BadParameter: as `acceptances` and `said`
        """
        from suture.builder.inputs import Choices

        return Choices(
            frozenset(self.patch_data),
            frozenset(self.keep_data),
            frozenset(self.replace_thread),
            self.caller_depth,
            self.caller_limit,
            acceptances(self.accept, self.because),
            said(self.title, self.cve, self.url),
            fuzz,
            three_way,
            only=self.only,
        )


OPTIONS = (
    option(
        "--caller-depth",
        metavar="LEVELS",
        type=Number(min=0),
        help="If a changed function has no fentry call, replace its callers, up to this many "
        "levels up; 3 by default.",
        panel=OptionPart.DECISIONS,
    ),
    option(
        "--caller-limit",
        metavar="N",
        type=Number(min=1),
        help="Replace at most this many such callers; 32 by default.",
        panel=OptionPart.DECISIONS,
    ),
    option(
        "--patch-data",
        metavar="NAME",
        multiple=True,
        help="Also change this variable in memory while the patch is in force. Repeatable.",
        panel=OptionPart.DECISIONS,
    ),
    option(
        "--keep-data",
        metavar="NAME",
        multiple=True,
        help="Leave this variable as it is in memory, even though the patch changes its "
        "initial value. Repeatable.",
        panel=OptionPart.DECISIONS,
    ),
    option(
        "--replace-thread",
        metavar="NAME",
        multiple=True,
        help="Replace this main function of a kernel thread; no such thread may run while the "
        "patch is loaded or unloaded. Short for --accept thread-function-replaced:NAME with "
        "that reason. Repeatable.",
        panel=OptionPart.DECISIONS,
    ),
    only_option,
    accept_option,
    because_option,
    title_option,
    cve_option,
    url_option,
)


def author_options(function: Callable[..., None]) -> Callable[..., None]:
    """Declare the options; the function gets all of them as one value, `decided`."""

    @wraps(function)
    def together(**given: Any) -> None:
        decided = Decided(**{field.name: given.pop(field.name) for field in fields(Decided)})
        function(decided=decided, **given)

    declared: Callable[..., None] = together
    for declare in reversed(OPTIONS):
        declared = declare(declared)
    return declared

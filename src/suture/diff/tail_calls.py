# SPDX-License-Identifier: GPL-2.0-or-later
"""Tail calls from replaced functions to code that only the live patch has.

Before a live patch is taken out, the core looks for its functions on the stack of every task: for those that replace
others, since it knows no more of them (kernel/livepatch/transition.c: klp_check_stack_func()).  A new function that is
called has a return address into its caller below it.  One that is entered by a jump has not: a task asleep in it would
not be seen, and the code would be freed under it.
"""

from __future__ import annotations

from collections.abc import Collection

from suture.diff.users import whole
from suture.diff.view import Reference, Unit, View
from suture.errors import TAIL_CALL_UNSEEN, Refusal


def refuse_jump(view: View, source: Unit | None, reference: Reference, target: str, replaced: Collection[Unit]) -> None:
    """:param source: the function, or ``.cold`` part, that refers to new code.
    :param target: the new function's name.

    :raises Refusal: ``tail-call-unseen``
    """
    if reference.is_branch and not reference.is_call and source is not None and whole(view, source) in replaced:
        where = f"{view.obj.name}: {source.name}()"
        raise Refusal(TAIL_CALL_UNSEEN, where, f"ends with a jump to {target}(), which is new")

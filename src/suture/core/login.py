# SPDX-License-Identifier: GPL-2.0-or-later
"""What a login shows of live patches, if there is anything to do: ``python3 -I -m
suture.core.login``.

pam_motd(8) runs ``/etc/update-motd.d/60-suture`` (`suture.core.system_hooks`), and shows what it
prints.  Nothing that fails here may keep anybody from logging in.
"""

from __future__ import annotations

import sys

from suture.core.status import Status, Verdict, kept_for_others, status
from suture.host.terminal import printable

WORDS = {
    Verdict.DRIFT: "the live patches in force are not those that are installed",
    Verdict.UNFOLLOWED: "the repository that this host follows does not get through",
    Verdict.INEFFECTIVE: "the kernel runs old code, though a live patch replaces it",
    Verdict.IN_TRANSITION: "tasks are switching to or from a live patch",
    Verdict.LEFT_UNDONE: "a change of live patches was left unfinished",
    Verdict.STALLED: "the transition of a live patch does not end",
}


def line(found: Status) -> str:
    """Return one line; "" where all is well, and where no live patch was ever wanted."""
    said = _said(found)
    return printable(f"Live patches: {said}: see 'suture status'.") if said else ""


def _said(found: Status) -> str:
    names = ", ".join(f"{one.name} (for {one.releases[-1]})" for one in found.unprotected)
    if found.verdict is Verdict.UNSUPPORTED:
        unable = f"{found.release} cannot have any"
        return f"{unable}, and {names} is missing" if names else unable if kept_for_others() else ""
    if found.verdict is Verdict.UNPROTECTED:
        return f"{found.release} is not protected by {names}"
    return WORDS.get(found.verdict, "")


def main() -> int:
    """Print the line.  :return: 0, whatever happens"""
    try:
        if said := line(status()):
            print(said)
    except Exception as error:  # a login must go on
        print(f"Live patches: their state cannot be read ({error}).", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

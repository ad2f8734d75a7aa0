# SPDX-License-Identifier: GPL-2.0-or-later
"""``klp`` and ``kgr``: SUSE's commands status, check, patches, blocking and poke.

They print the messages that scripts read (klp(8); as used by SUSE Manager and openQA).  SUSE's
tools look up a module's package and CVEs in RPM; here the module itself says which CVEs it closes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from suture.compat import kpatch
from suture.compat.program import Died, run, say
from suture.core import modules, tasks, transition
from suture.core.cores import current
from suture.core.running import ROOT, text

USAGE = """\
usage: {program} [-hv] COMMAND

   status      print ready, or in_progress during a transition
   check       the same as exit status: 0 or 1
   patches     list live patch modules in the kernel; -v for details
   blocking    list threads that hold up a transition; -v with command lines, -vv with stacks
   poke        signal these threads, on kernels that do not do so themselves
   downgrade   not supported"""

NO_PACKAGE = "(not known: the module is not from an RPM package)"
UNSAID = "(not known: the module does not say)"


def main(words: Sequence[str], program: str, root: Path = ROOT) -> int:
    """Run one command line.  :raises Died: with the message for stderr"""
    letters = "".join(
        word[1:] for word in words if word.startswith("-") and not word.startswith("--")
    )
    commands = [word for word in words if not word.startswith("-")]
    if "h" in letters or "--help" in words:
        say(USAGE.format(program=program))
        return 0
    verbose = letters.count("v")
    moving = current(root).in_transition()
    match commands:
        case _ if set(letters) - set("hvn") or any(word.startswith("--") for word in words):
            return _usage(program)
        case ["status"]:
            say("in_progress" if moving else "ready")
        case ["check"]:
            return 1 if moving else 0
        case ["patches"]:
            for line in patches(root, verbose):
                say(line)
        case ["blocking"]:
            for task in transition.behind(moving, root) if moving else ():
                say("\n".join(_blocking(task, verbose, root)))
        case ["poke"]:
            kpatch.signal(root, lambda warning: print(f"{program}: {warning}", file=sys.stderr))
        case ["downgrade"]:
            raise Died(
                "no package manager knows an earlier version of this live patch; "
                "load it with 'suture load'"
            )
        case _:
            return _usage(program)
    return 0


def patches(root: Path, verbose: int) -> Iterator[str]:
    """Lines about all live patch modules in memory, in force or left over."""
    enabled = {patch.name for patch in current(root).patches() if patch.enabled}
    for module in reversed(modules.livepatches(root)):
        yield module.name
        if verbose:
            yield f"    active: {int(module.name in enabled)}"
            yield f"    RPM: {NO_PACKAGE}"
            cves = dict.fromkeys(cve for fix in module.fixes for cve in fix.cves)
            titles = [fix.title for fix in module.fixes]
            yield f"    CVE: {' '.join(cves) or UNSAID}"
            yield f"    bug fixes and enhancements: {'; '.join(titles) or UNSAID}"
            yield ""


def _blocking(task: tasks.Task, verbose: int, root: Path) -> Iterator[str]:
    if not verbose:
        yield str(task.tid)
        return
    arguments = text(root / f"proc/{task.pid}/cmdline").replace("\0", " ").strip()
    yield f"{task.tid} {arguments or f'[{task.name}]'}"
    if verbose > 1:
        yield from (f"    {frame}" for frame in task.stack)


def _usage(program: str) -> int:
    print(USAGE.format(program=program), file=sys.stderr)
    return 1


def program(name: str, words: Sequence[str]) -> int:
    """Run as the program `name`: ``klp`` or ``kgr``."""
    return run(lambda given: main(given, name), words, f"{name}: ")


if __name__ == "__main__":
    sys.exit(program(sys.argv[1], sys.argv[2:]))

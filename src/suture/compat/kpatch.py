# SPDX-License-Identifier: GPL-2.0-or-later
"""``kpatch``: load, unload, install, uninstall, list, info, signal, force, version.

It prints the messages that scripts read (kpatch 0.9: ``kpatch/kpatch``, ``man/kpatch.1``).
`suture.core` does the work: it checks for obstacles first, and reverses a transition that does not
end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suture import __version__
from suture.compat.installed import Installation, Kept, module_name
from suture.compat.program import Died, run, say
from suture.core import (
    boot,
    checks,
    force,
    installing,
    load,
    modules,
    running,
    tasks,
    transition,
    unload,
)
from suture.core.change import Options
from suture.core.cores import current
from suture.core.patches import LoadedPatch
from suture.core.running import ROOT
from suture.core.store import MODULE
from suture.errors import TRANSITION_STUCK, TRANSITION_TIMED_OUT, Refusal
from suture.host import progress
from suture.host.files import read_bytes

SPEAKS = "0.9.7"
"""The version of kpatch that these messages match; scripts compare it."""

TIMEOUT = 75
"""Seconds that kpatch waits before and after it signals tasks, in total."""

WAIT = 60.0
"""Seconds to wait for another process that changes live patches, such as suture.service at boot."""

WAITING = "Waiting for all tasks"
STALLED = (TRANSITION_TIMED_OUT, TRANSITION_STUCK)

USAGE = """\
usage: kpatch <command> [<args>]

Valid commands:
   install [-k|--kernel-version=<kernel version>] <module>
      install a module, to be loaded at every boot of its kernel
   uninstall [-k|--kernel-version=<kernel version>] <module>
      uninstall a module

   load --all
      load all modules installed for the running kernel
   load <module>
      load one module
   unload --all
      unload all live patches
   unload <module>
      unload one live patch

   info <module>
      print a module's information
   list
      list live patches in the kernel and installed modules
   signal
      signal the tasks that hold up a transition, on kernels that do not do so themselves
   force
      force a transition to end; 'suture force --help' explains the consequences
   version
      print the version of kpatch that this command replaces"""


@dataclass(frozen=True, slots=True)
class Host:
    """The host to work on.

    :ivar root: the directory that holds ``/proc`` and ``/sys``, for reading only.
    """

    root: Path = ROOT
    installed: Installation = field(default_factory=Installation)


class Narrator(progress.Silent):
    """Reports the steps of `suture.core` in kpatch's words."""

    def begin(self, what: str, detail: str) -> None:
        """Print kpatch's line for a step that begins, if it has one."""
        if what.startswith(WAITING):
            say(f"waiting (up to {TIMEOUT} seconds) for patch transition to complete...")
        elif what == "Unloading the module":
            say(f"unloading patch module: {detail}")

    def end(self, what: str, seconds: float, *, failed: bool) -> None:
        """Print kpatch's line for the end of a transition."""
        if what.startswith(WAITING) and not failed:
            say(
                "patch transition has stalled!"
                if seconds >= TIMEOUT
                else f"transition complete ({seconds:.0f} seconds)"
            )


def main(words: Sequence[str], host: Host | None = None) -> int:
    """Run one command line.

    :raises Died: with the message for stderr
    :raises Refusal: as `suture.core`
    """
    on = host or Host()
    token = progress.reporter.set(Narrator())
    try:
        match list(words):
            case ["load", "--all"]:
                return _load_all(on)
            case ["load", module]:
                _load(*_found(module, on), on)
            case ["unload", "--all"]:
                return _unload_all()
            case ["unload", module]:
                _unload(module_name(module))
            case ["install", *rest]:
                _install(*_with_release(rest, on), on)
            case ["uninstall", *rest]:
                _uninstall(*_with_release(rest, on), on)
            case ["list"]:
                _list(on)
            case ["info", module]:
                _info(module, on)
            case ["signal"]:
                signal(on.root, lambda text: print(f"kpatch: {text}", file=sys.stderr))
            case ["force"]:
                _force(on)
            case ["version" | "-v" | "--version"]:
                say(SPEAKS)
                print(f"kpatch: this is Suture {__version__}", file=sys.stderr)
            case _:
                return _usage(words)
    finally:
        progress.reporter.reset(token)
    return 0


def signal(root: Path, warn: Callable[[str], None]) -> None:
    """Signal stalled tasks.

    ``/sys/kernel/livepatch/NAME/signal`` exists from Linux 4.15 to 5.0; later kernels signal by
    themselves.
    """
    moving = current(root).in_transition()
    if moving is None:
        return
    if current(root).signal(moving.name):
        say("signaling stalled process(es):")
    else:
        warn("Livepatch process signaling is performed automatically on your system.")
        warn("Skipping manual process signaling.")


def _usage(words: Sequence[str]) -> int:
    known = (
        "load",
        "unload",
        "install",
        "uninstall",
        "list",
        "info",
        "signal",
        "force",
        "help",
        "-h",
        "--help",
    )
    if words and words[0] not in known:
        say(f"subcommand {words[0]} not recognized")
    print(USAGE, file=sys.stderr)
    return 1


def _options() -> Options:
    """kpatch replaces what is loaded without a question, and so do its callers."""
    return Options(timeout=TIMEOUT, wait=WAIT, replace=True)


def _found(argument: str, host: Host) -> tuple[bytes, str]:
    """The module that an argument means: a file, or one that is installed for the running
    kernel."""
    if MODULE in argument and Path(argument).is_file():
        return read_bytes(Path(argument)), argument
    kept = (
        host.installed.find(argument, running.release(host.root)) if "/" not in argument else None
    )
    if kept is None:
        raise Died(f"can't find {argument}")
    return host.installed.content(kept), str(kept.where)


def _load_all(host: Host) -> int:
    """One that cannot be loaded keeps none of the others from it."""
    if boot.disabled(host.root):
        say("suture.disable is on the kernel command line: no live patch is loaded")
        return 0
    good = True
    for kept in host.installed.modules(running.release(host.root)):
        if kept.entry is not None and not kept.entry.enabled:
            continue
        try:
            _load(host.installed.content(kept), _shown(kept), host)
        except (Died, Refusal) as reason:
            print(f"kpatch: {reason}", file=sys.stderr, flush=True)
            good = False
    return 0 if good else 1


def _shown(kept: Kept) -> str:
    return kept.entry.name if kept.entry is not None else str(kept.where)


def _load(data: bytes, where: str, host: Host) -> None:
    module = checks.read(data, where)
    name = modules.loaded_as(module.name, host.root)
    patch, held = current(host.root).read(name), modules.read(name, host.root)
    if (
        patch is not None
        and patch.enabled
        and held is not None
        and held.build_id == module.build_id
    ):
        say(f"module named {name} already loaded and enabled")
        if patch.transition:
            _wait_for(name, where, host)
        return
    if held is not None and held in modules.left_over(host.root):
        unload.unload(name, _options())
    say(f"loading patch module: {where}")
    try:
        load.load(data, where, _options())
    except Refusal as refusal:
        if refusal.kind in STALLED:
            say("\nStalled processes:")
            say("\n".join(refusal.evidence))
            raise Died(
                f"error: failed to load module {name} (transition stalled): {refusal.found}"
            ) from refusal
        print(refusal, file=sys.stderr)
        raise Died(f"failed to load module {where}") from refusal


def _wait_for(name: str, where: str, host: Host) -> None:
    """Wait for a live patch that another process loaded; like kpatch, unload it if it stalls."""
    with progress.step(f"{WAITING} to run the new code", name):
        waited = transition.into_force(name, TIMEOUT, root=host.root)
    patch = current(host.root).read(name)
    if waited.ended and patch is not None and patch.enabled:
        return
    if patch is not None and patch.enabled:
        say("\nStalled processes:")
        say("\n".join(_stalled(task) for task in transition.behind(patch, host.root)))
        say(f"module {name} did not complete its transition, unloading...")
        _unload(name)
    raise Died(f"error: failed to load module {where} (transition stalled)")


def _unload(name: str) -> None:
    patch = current().read(modules.loaded_as(name))
    if patch is None and modules.read(name) is None:
        print(f"kpatch: patch module {name} is not loaded", file=sys.stderr)
        raise Died(f"failed to disable module {name}")
    if patch is not None and patch.enabled:
        say(f"disabling patch module: {name}")
    try:
        unload.unload(name, _options())
    except Refusal as refusal:
        if refusal.kind in STALLED:
            say("\nStalled processes:")
            say("\n".join(refusal.evidence))
            raise Died(f"transition stalled for {name}: {refusal.found}") from refusal
        print(refusal, file=sys.stderr)
        raise Died(f"failed to unload module {name}") from refusal


def _unload_all() -> int:
    """Unload all live patches, the last one first, since it may build on earlier ones."""
    for patch in reversed(current().patches()):
        try:
            _unload(patch.name)
        except Died as died:
            print(f"kpatch: {died}", file=sys.stderr, flush=True)
    remaining = current().patches()
    for patch in remaining:
        print(f"kpatch: failed to unload module {patch.name}", file=sys.stderr)
    return 1 if remaining else 0


def _with_release(words: Sequence[str], host: Host) -> tuple[str, str]:
    """Parse the arguments of ``install`` and ``uninstall``: the module and the release."""
    release, module, rest = running.release(host.root), "", list(words)
    while rest:
        word = rest.pop(0)
        if word in ("-k", "--kernel-version"):
            if not rest:
                raise Died("getopt failed")
            release = rest.pop(0)
        elif word.startswith("--kernel-version="):
            release = word.partition("=")[2]
        elif word.startswith("-k"):
            release = word[2:]
        elif word.startswith("-") and word != "--":
            raise Died("getopt failed")
        elif word != "--":
            module = module or word
    if not module:
        raise Died("no module file specified")
    return module, release


def _install(argument: str, release: str, host: Host) -> None:
    path = Path(argument)
    if not path.exists():
        raise Died(f"{argument} doesn't exist")
    if path.suffix != MODULE:
        raise Died(f"{argument} isn't a .ko file")
    data = read_bytes(path)
    module = checks.read(data, argument)
    if module.inspection.release != release:
        raise Died(f"invalid module version {module.inspection.release} for kernel {release}")
    if host.installed.find(module.name, release) is not None:
        raise Died(f"{argument} is already installed")
    say(f"installing {argument} ({release})")
    installing.install(data, argument, store=host.installed.store, options=_options())


def _uninstall(argument: str, release: str, host: Host) -> None:
    if "/" in argument:
        raise Died("please supply patch module name without path")
    kept = host.installed.find(argument, release)
    if kept is None:
        raise Died(f"{argument} is not installed for kernel {release}")
    say(f"uninstalling {argument} ({release})")
    if kept.entry is None:
        kept.where.unlink()
    else:
        installing.uninstall(release, kept.name, store=host.installed.store, options=_options())


def _list(host: Host) -> None:
    say("Loaded patch modules:")
    for patch in current(host.root).patches():
        say(f"{patch.name} [{_state(patch)}]")
    moving = current(host.root).in_transition()
    if moving is not None:
        say("\nStalled processes:")
        for task in transition.behind(moving, host.root):
            say(_stalled(task))
    say("\nInstalled patch modules:")
    for release in host.installed.releases():
        for kept in host.installed.modules(release):
            say(f"{kept.name} ({release})")


def _state(patch: LoadedPatch) -> str:
    if patch.transition:
        return "enabling..." if patch.enabled else "disabling..."
    return "enabled" if patch.enabled else "disabled"


def _stalled(task: tasks.Task) -> str:
    return "\n".join(
        [f"{task.tid} {task.name}", "stack:", *(f"[<0>] {frame}" for frame in task.stack)]
    )


def _info(argument: str, host: Host) -> None:
    """Print a module's information as modinfo(8) does."""
    data, where = _found(argument, host)
    inspection = checks.read(data, where).inspection
    say(f"Patch information for {argument}:")
    for key, value in (("filename", str(Path(where).absolute())), *inspection.modinfo):
        say(f"{key + ':':<16}{value}")


def _force(host: Host) -> None:
    moving = current(host.root).in_transition()
    if moving is None:
        raise Died("no patch transition in progress")
    print(f"kpatch: {force.GIVES_UP}", file=sys.stderr)
    say(f"forcing patch transition: {moving.name}")
    force.force(moving.name, _options())


def program() -> int:
    """Run as the program ``kpatch``."""
    return run(main, sys.argv[1:], "kpatch: ")


if __name__ == "__main__":
    sys.exit(program())

# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks before a live patch is loaded: everything that can be known, so that a refusal changes
nothing.

The kernel repeats most of these checks, but says less about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from suture.core import kallsyms, keyrings, modules, redirections, running
from suture.core.cores import current
from suture.core.patches import LoadedPatch
from suture.core.redirections import Uses
from suture.core.running import ROOT, text
from suture.elf import reader
from suture.errors import (
    ALREADY_LOADED,
    DEPENDENCY_NOT_LOADED,
    FTRACE_DISABLED,
    FUNCTION_PROBED,
    FUNCTION_REDIRECTED,
    FUNCTION_TRACED,
    KERNEL_LACKS_SYMBOL,
    LIVEPATCH_UNSUPPORTED,
    MEMORY_SHORT,
    MODULE_NAME_TAKEN,
    MODULES_DISABLED,
    NOT_PRIVILEGED,
    SIGNATURE_REQUIRED,
    TRANSITION_UNDER_WAY,
    WRONG_RELEASE,
    Refusal,
)
from suture.model import VMLINUX
from suture.module import notes, renaming, signature
from suture.module.inspect import Inspection, inspect, refuse_unapplied

MEMORY_FACTOR = 4
"""Copies of a module that exist while it is loaded: the file, the kernel's copy, its final place,
and a reserve."""


@dataclass(frozen=True, slots=True)
class Module:
    """A live patch module that is to be loaded.

    :ivar data: what the kernel is given, byte for byte.
    :ivar build_id: hexadecimal, or "".
    :ivar live_patch: the name that the live patch was built with; `name` may be another one.
    """

    where: str
    data: bytes
    inspection: Inspection
    build_id: str
    live_patch: str

    @property
    def name(self) -> str:
        """The module's name."""
        return self.inspection.patch.name

    @property
    def is_signed(self) -> bool:
        """Whether the module ends with a signature."""
        return self.data.endswith(signature.MAGIC)


def read(data: bytes, where: str) -> Module:
    """Read a live patch module.

    :raises Refusal: ``object-malformed``, ``object-unsupported``, ``not-a-live-patch``
    """
    obj = reader.read(data, where)
    inspection = inspect(obj)
    return Module(where, data, inspection, notes.build_id_of(obj), inspection.patch.name)


def under_free_name(module: Module, root: Path = ROOT) -> Module:
    """Give a module another name if an earlier one stays in memory under its own.

    The core never enables a live patch again that has been out of force, and the module of one that
    stays keeps its name until the reboot.

    :raises Refusal: ``module-name-taken``: the kernel requires the signature that would be lost
    """
    name = modules.free_name(module.name, root)
    if name == module.name:
        return module
    if demand := keyrings.demand(root):
        found = (
            "a live patch of this name is out of force and stays in memory, and loading this one "
            f"under another name would cost it its signature: {demand}"
        )
        remedy = (
            "Build the live patch under another name and sign it: "
            f"'suture build PATCH --name {name} --sign-key KEY --sign-certificate FILE'."
        )
        raise Refusal(MODULE_NAME_TAKEN, module.name, found, remedy=remedy)
    data = renaming.renamed(module.data, module.where, name)
    return replace(read(data, module.where), live_patch=module.live_patch)


def may_change(doing: str, root: Path = ROOT) -> None:
    """Check what every change needs.

    :raises Refusal: ``not-privileged``, ``modules-disabled``, ``livepatch-unsupported``
    """
    if not current(root).is_available:
        raise Refusal(LIVEPATCH_UNSUPPORTED, running.release(root), "has no /sys/kernel/livepatch")
    if not running.may_load(root):
        raise Refusal(NOT_PRIVILEGED, doing, "this process has no CAP_SYS_MODULE")
    if running.modules_disabled(root):
        raise Refusal(MODULES_DISABLED, doing, "kernel.modules_disabled is 1")


def may_load(
    module: Module, *, ignore_probes: bool = False, root: Path = ROOT
) -> keyrings.Key | None:
    """Check for everything that prevents loading `module` now.

    :param ignore_probes: load even if kprobes in replaced functions will stop firing, or BPF
        programs are attached to them.
    :return: the kernel's key that signed it, if the kernel requires a signature and shows its keys
    :raises Refusal: each of the kinds that this module imports, and ``signature-wrong``
    """
    signer, refusals = _results(module, ignore_probes, root, first_only=True)
    if refusals:
        raise refusals[0]
    return signer


def obstacles(
    module: Module, *, ignore_probes: bool = False, root: Path = ROOT
) -> tuple[keyrings.Key | None, tuple[Refusal, ...]]:
    """Make the checks of `may_load`, and return all that they refuse instead of the first.

    :return: as `may_load`, and the refusals; of a module for another kernel only that
    """
    return _results(module, ignore_probes, root, first_only=False)


def _results(
    module: Module, ignore_probes: bool, root: Path, *, first_only: bool
) -> tuple[keyrings.Key | None, tuple[Refusal, ...]]:
    signer: keyrings.Key | None = None
    refusals: list[Refusal] = []
    for check in _all_checks(module, ignore_probes, root):
        try:
            result = check()
        except Refusal as refusal:
            refusals.append(refusal)
            # What follows would ask a kernel that the module is not for.
            if first_only or refusal.kind in (LIVEPATCH_UNSUPPORTED, WRONG_RELEASE):
                break
        else:
            signer = result if isinstance(result, keyrings.Key) else signer
    return signer, tuple(refusals)


def _all_checks(module: Module, ignore_probes: bool, root: Path) -> Iterator[Callable[[], object]]:
    """Yield the checks in order; each raises a refusal, and that of the signature returns the
    key."""
    yield partial(may_change, f"loading {module.name}", root)
    yield partial(_release, module, root)
    yield partial(refuse_unapplied, module.inspection, module.where)
    yield partial(_signature, module, root)
    yield partial(_ftrace, module, root)
    yield partial(_not_loaded, module, root)
    yield partial(_no_transition, module, root)
    yield partial(_dependencies, module, root)
    yield partial(_symbols, module, root)
    known = redirections.uses(root) or {}
    yield partial(_redirections, module, known, root)
    if not ignore_probes:
        yield partial(_probes, module, root)
        yield partial(_bpf_programs, module, known)
    yield partial(_memory, module, root)


def _ftrace(module: Module, root: Path) -> None:
    if running.ftrace_disabled(root):
        raise Refusal(FTRACE_DISABLED, module.name, "kernel.ftrace_enabled is 0")


def _no_transition(module: Module, root: Path) -> None:
    moving = current(root).in_transition()
    if moving is not None:
        found = f"tasks are still switching {_direction(moving)}"
        raise Refusal(TRANSITION_UNDER_WAY, module.name, found)


def _release(module: Module, root: Path) -> None:
    running_now, built_for = running.release(root), module.inspection.release
    if built_for != running_now:
        found = f"it is for {built_for or 'an unnamed kernel'}, but {running_now} is running"
        raise Refusal(WRONG_RELEASE, module.where, found)


def _signature(module: Module, root: Path) -> keyrings.Key | None:
    """``kernel/module/signing.c: module_sig_check()``"""
    demand = keyrings.demand(root)
    if not demand:
        return None
    if not module.is_signed:
        found = f"it has no signature, and {demand}"
        raise Refusal(SIGNATURE_REQUIRED, module.where, found, remedy=keyrings.way_out(root))
    return keyrings.check(module.data, module.where, root)


def _not_loaded(module: Module, root: Path) -> None:
    in_force = {patch.name for patch in current(root).patches()}
    known_as = modules.loaded_as(module.name, root)
    for loaded in modules.livepatches(root):
        if loaded.name in in_force and loaded.build_id and loaded.build_id == module.build_id:
            raise Refusal(
                ALREADY_LOADED, module.name, f"is loaded as {loaded.name}, with the same build ID"
            )
    taken = modules.read(known_as, root)
    if taken is None or taken in modules.staying(root):
        return
    if taken.name in in_force:
        found = f"a live patch of this name is in force, with build ID {taken.build_id or '(none)'}"
        raise Refusal(MODULE_NAME_TAKEN, module.name, found)
    if taken in modules.left_over(root):
        found = "a live patch of this name is out of force but still in memory"
        raise Refusal(
            MODULE_NAME_TAKEN,
            module.name,
            found,
            remedy="Unload it with 'suture recover'.",
        )
    raise Refusal(
        MODULE_NAME_TAKEN, module.name, "a module of this name is loaded, but not as a live patch"
    )


def _direction(patch: LoadedPatch) -> str:
    return f"to {patch.name}" if patch.enabled else f"away from {patch.name}"


def _dependencies(module: Module, root: Path) -> None:
    depends = next((value for key, value in module.inspection.modinfo if key == "depends"), "")
    for name in filter(None, depends.split(",")):
        if modules.read(name, root) is None:
            raise Refusal(DEPENDENCY_NOT_LOADED, module.name, f"needs the module {name}")


def _symbols(module: Module, root: Path) -> None:
    """Check functions and livepatch symbols of all loaded objects; the core resolves those of other
    objects when they are loaded."""
    patch = module.inspection.patch
    wanted = [
        (objname, function.old_name, function.sympos) for objname, function in patch.each_function()
    ]
    wanted += [
        (reference.symbol.objname, reference.symbol.name, reference.symbol.sympos)
        for reference in module.inspection.references
    ]
    here = {
        name for name, _, _ in wanted if name == VMLINUX or modules.read(name, root) is not None
    }
    counted = kallsyms.count(
        {(objname, name) for objname, name, _ in wanted if objname in here}, root
    )
    if counted is None:
        return  # /proc/kallsyms is not readable; the kernel will check
    for objname, name, sympos in wanted:
        if objname in here:
            _check_position(module, objname, name, sympos, counted[objname, name])


def _check_position(module: Module, objname: str, name: str, sympos: int, count: int) -> None:
    """``kernel/livepatch/core.c: klp_find_object_symbol()``"""
    if count == 0:
        raise Refusal(KERNEL_LACKS_SYMBOL, module.where, f"{objname} has no symbol {name}")
    if sympos > count:
        raise Refusal(
            KERNEL_LACKS_SYMBOL,
            module.where,
            f"{objname} has {count} symbols named {name}, but the live patch wants number {sympos}",
        )
    if sympos == 0 and count > 1:
        found = f"{objname} has {count} symbols named {name}, and the live patch does not say which"
        raise Refusal(KERNEL_LACKS_SYMBOL, module.where, found)


def _redirections(module: Module, known: Uses, root: Path) -> None:
    """Refuse functions that something other than a live patch redirects (flag ``I``)."""
    ours = {name for patch in current(root).patches() for _, name in patch.functions}
    wanted = _old_names(module) - ours
    for (_, name), use in known.items():
        if name in wanted and use.is_redirected:
            found = f"{name} is already redirected" + (f" by {use.tramp}" if use.tramp else "")
            raise Refusal(FUNCTION_REDIRECTED, module.name, found)


def _bpf_programs(module: Module, known: Uses) -> None:
    """Refuse functions to which BPF programs are attached (flag ``D``)."""
    wanted = {
        (objname, function.old_name)
        for objname, function in module.inspection.patch.each_function()
    }
    for place, use in known.items():
        if place in wanted and use.direct:
            found = f"BPF programs are attached to {place[1]} ({use.direct})"
            raise Refusal(FUNCTION_TRACED, module.name, found)


def _probes(module: Module, root: Path) -> None:
    """``kernel/kprobes.c: report_probe()``: ``ADDRESS k|r FUNCTION+OFFSET  [MODULE] [FLAGS]``"""
    wanted = _old_names(module)
    for line in text(root / "sys/kernel/debug/kprobes/list").splitlines():
        words = line.split()
        if len(words) > 2 and words[2].partition("+")[0] in wanted and "[GONE]" not in line:
            kind = "kretprobe" if words[1] == "r" else "kprobe"
            who = "; ".join(_events(words[2].partition("+")[0], root))
            found = f"a {kind} is set at {words[2]}" + (f" ({who})" if who else "")
            raise Refusal(FUNCTION_PROBED, module.name, found)


def _events(function: str, root: Path) -> Iterator[str]:
    """The probe events on a function: ``p:GROUP/EVENT PLACE ...``
    (``Documentation/trace/kprobetrace.rst``)."""
    for line in text(root / "sys/kernel/tracing/kprobe_events").splitlines():
        words = line.split()
        if len(words) > 1 and words[1].rpartition(":")[2].partition("+")[0] == function:
            yield f"event {words[0].partition(':')[2]}"


def _old_names(module: Module) -> set[str]:
    return {function.old_name for _, function in module.inspection.patch.each_function()}


def _memory(module: Module, root: Path) -> None:
    needed, available = MEMORY_FACTOR * len(module.data), running.available_memory(root)
    if available is not None and available < needed:
        raise Refusal(
            MEMORY_SHORT,
            module.name,
            f"needs {needed >> 10} KiB, but only {available >> 10} KiB are available",
        )

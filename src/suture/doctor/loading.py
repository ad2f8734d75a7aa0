# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks for loading: whether the running kernel accepts live patches.

On a host that builds, a lack is only a warning: another host may load them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from suture.core import keyrings, running
from suture.core.cores import current
from suture.doctor.check import Check, CheckStatus
from suture.host.packages import Purpose


def checks(root: Path = Path("/"), *, is_required: bool = False) -> Iterator[Check]:
    """Yield the checks for loading.

    :param root: the directory with ``/proc`` and ``/sys``.
    :param is_required: what no live patch gets past is a lack.
    """
    for check in (_livepatch(root), _modules_disabled(root), _ftrace(root)):
        is_lack = is_required and check.status is not CheckStatus.OK
        yield replace(check, status=CheckStatus.LACK) if is_lack else check
    yield _capability(root)
    yield _lockdown(root)
    yield _signatures(root)


def _livepatch(root: Path) -> Check:
    name = "live patching"
    if current(root).is_available:
        return Check(
            Purpose.LOADING, name, CheckStatus.OK, "the running kernel has CONFIG_LIVEPATCH"
        )
    return Check(
        Purpose.LOADING,
        name,
        CheckStatus.WARNING,
        "the running kernel was built without CONFIG_LIVEPATCH",
        "boot a kernel of the distribution",
    )


def _capability(root: Path) -> Check:
    if running.may_load(root):
        return Check(
            Purpose.LOADING, "CAP_SYS_MODULE", CheckStatus.OK, "this process may load modules"
        )
    found = "this process may not load modules"
    return Check(
        Purpose.LOADING, "CAP_SYS_MODULE", CheckStatus.WARNING, found, "load live patches as root"
    )


def _modules_disabled(root: Path) -> Check:
    name = "kernel.modules_disabled"
    if running.modules_disabled(root):
        found = "no module can be loaded or unloaded until the next boot"
        return Check(
            Purpose.LOADING, name, CheckStatus.WARNING, found, "boot without setting that sysctl"
        )
    return Check(Purpose.LOADING, name, CheckStatus.OK, "modules can be loaded")


def _ftrace(root: Path) -> Check:
    name = "kernel.ftrace_enabled"
    if running.ftrace_disabled(root):
        found = "no function can be redirected"
        remedy = "run 'sysctl kernel.ftrace_enabled=1'"
        return Check(Purpose.LOADING, name, CheckStatus.WARNING, found, remedy)
    return Check(Purpose.LOADING, name, CheckStatus.OK, "functions can be redirected")


def _lockdown(root: Path) -> Check:
    mode = running.lockdown(root)
    if mode != "none":
        return Check(
            Purpose.LOADING,
            "lockdown",
            CheckStatus.WARNING,
            f"{mode}{' (Secure Boot)' * running.secure_boot(root)}: the kernel loads only modules "
            "with a signature that it trusts",
            _way_out(root),
        )
    return Check(Purpose.LOADING, "lockdown", CheckStatus.OK, "none")


def _signatures(root: Path) -> Check:
    if not keyrings.demand(root):
        return Check(Purpose.LOADING, "module signatures", CheckStatus.OK, "not enforced")
    known = keyrings.keys(root)
    names = ", ".join(map(str, known)) if known else "its keys, which it shows to root"
    found = f"enforced: this kernel loads modules that are signed with one of {names}"
    return Check(Purpose.LOADING, "module signatures", CheckStatus.WARNING, found, _way_out(root))


def _way_out(root: Path) -> str:
    if running.has_uefi(root):
        return (
            "sign live patches with a key that is enrolled here: 'suture key new' makes one and "
            "explains how"
        )
    return (
        "boot without module.sig_enforce and lockdown: only UEFI firmware can keep your keys for "
        "the kernel"
    )

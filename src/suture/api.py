# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``import suture`` offers beside what rooms offer under the same names.

Each function takes a live patch as an `Artifact` that was just built, as the bytes of a module, or
as the path of a module file, which may be another tool's.
"""

from __future__ import annotations

from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from suture.elf import reader
from suture.host.files import read_bytes
from suture.module.inspect import Inspection, refuse_other_release, refuse_unapplied
from suture.module.inspect import inspect as inspect_object

if TYPE_CHECKING:
    from suture.builder.artifact import Artifact
    from suture.core.change import Options
    from suture.core.load import Loaded
    from suture.kernel.release import Target
    from suture.lab.livepatch import TrialPlan
    from suture.lab.results import TestReport
    from suture.report.content import PatchReport
    from suture.verify.fit import Fit

Module: TypeAlias = "Artifact | bytes | Path | str"
"""A live patch: one that was built, a module's bytes, or the path of a module file."""


def inspect(module: Module) -> Inspection:
    """Read what a live patch module contains.

    :raises Refusal: ``file-unreadable``, ``object-malformed``, ``object-unsupported``,
        ``not-a-live-patch``
    """
    data, where = _content(module)
    return inspect_object(reader.read(data, where))


def verify_module(module: Module, target: Target) -> Fit:
    """Check that a live patch module fits a target, whichever tool built it.

    :raises Refusal: ``wrong-release`` and others: see `suture.verify.fit.verify_module`
    """
    from suture.verify.fit import verify_module as checked

    data, where = _content(module)
    return checked(data, where, target)


def report_on(module: Module, target: Target, *, live: bool = False) -> PatchReport:
    """Return a report on a live patch module.

    For an artifact that was built with ``keep_evidence=True`` it has the sources, the instructions
    and the proof; for any other module, what that and the target show.

    :param live: compare this host's memory too, of a module that is verified.
    :raises Refusal: ``object-malformed``, ``not-a-live-patch``; what keeps a module from fitting is
        in the report
    """
    from suture.core.running import ROOT
    from suture.report import gather, rows, verification

    if not isinstance(module, (bytes, Path, str)) and module.evidence is not None:
        return gather.of_artifact(module, rows.target_files(target))
    data, where = _content(module)
    return verification.of_module(data, where, target, ROOT if live else None)


def write_report(report: PatchReport, path: Path | str) -> None:
    """Write a report; the name's end says the form: ``.html``, ``.md``, ``.json``.

    :raises Refusal: ``report-form-unknown``, ``file-unwritable``, ``disk-full``
    """
    from suture.report import output

    output.write(report, Path(path))


def try_out(
    module: Module, target: Target, plan: TrialPlan | None = None, *, script: bytes | None = None
) -> TestReport:
    """Boot the target in a throwaway virtual machine, and load and unload a live patch there.

    :param plan: scripts, deadlines, rounds and workload.
    :param script: one more script for busybox's ``sh``; it has to exit with 0 while the patch is in
        force.
    :raises Refusal: ``wrong-release``, ``lab-boot-failed``, ``tool-missing``,
        ``module-not-found``, ``lab-stays-in-memory``; what goes wrong in the guest is in the
        report
    """
    from suture.lab.livepatch import TrialPlan
    from suture.lab.livepatch import try_out as run
    from suture.lab.scripts import GuestScript

    data, where = _content(module)
    found = inspect_object(reader.read(data, where))
    refuse_other_release(found, target.release, where)
    refuse_unapplied(found, where)
    plan = plan or TrialPlan()
    if script is not None:
        plan = replaced(plan, scripts=(*plan.scripts, GuestScript("script", script)))
    return run(target, data, found.patch, plan)


def sign(artifact: Artifact, key: str, certificate: Path | str) -> Artifact:
    """Sign a live patch that was built; write it again where it was written.

    :param key: a private key in PEM form, or a ``pkcs11:`` URI.
    :param certificate: the key's certificate, PEM or DER.
    :raises Refusal: ``key-unusable``, ``key-mismatch``, ``already-signed``
    """
    from suture.module.sign import Signer
    from suture.module.sign import sign as signed

    data = signed(artifact.data, str(artifact.path), Signer(key, Path(certificate)))
    return replaced(artifact, data=data).written(artifact.path if artifact.is_written else None)


def load(module: Module, options: Options | None = None) -> Loaded:
    """Load a live patch into the running kernel; afterwards all tasks run it, or none does.

    :raises Refusal: see `suture.core.load.load`
    """
    from suture.core.load import load as into_kernel

    data, where = _content(module)
    return into_kernel(data, where, options)


def _content(module: Module) -> tuple[bytes, str]:
    """The module's bytes, and what to call it."""
    if isinstance(module, bytes):
        return module, "the module"
    if isinstance(module, (Path, str)):
        return read_bytes(Path(module)), str(module)
    return module.data, str(module.path)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules for the kernel's own livepatch core.

1. `callbacks` adds the patch's callbacks to the model.
2. `glue` writes the tables that describe the live patch to the core, as C.
3. `kbuild` links them with the output objects as an external module of the target.
4. `stack_visibility` places new code where the core finds it on the stacks of tasks.
5. `klp` turns references to what a module may not link against into livepatch relocations.
6. `modinfo` records where the new code comes from.
"""

from __future__ import annotations

from dataclasses import replace

from suture.elf.object import ObjectFile
from suture.errors import NO_LIVEPATCH, Refusal
from suture.kernel import config
from suture.kernel.release import Target
from suture.link import glue, kbuild, klp, shadows, stack_visibility
from suture.link.callbacks import with_callbacks
from suture.link.core_module import ModuleParts
from suture.module import modinfo
from suture.verify.kernel import Kernel
from suture.workspace.prepare import Workspace


class LivepatchModule:
    """A `suture.link.core_module.CoreModule`."""

    def refuse_unsupported(self, target: Target) -> None:
        """Refuse a kernel that was built without ``CONFIG_LIVEPATCH``.

        :raises Refusal: ``no-livepatch``
        """
        if not config.read(target.config).enabled("LIVEPATCH"):
            raise Refusal(NO_LIVEPATCH, target.release, "CONFIG_LIVEPATCH is not set")

    def make(self, parts: ModuleParts, kernel: Kernel, workspace: Workspace) -> ObjectFile:
        """Link the parts into a module that the core accepts.

        :raises Refusal: ``module-link-failed``, ``unwind-data-doubtful``
        """
        changed_in = {variable.objname for variable in parts.variables}
        patch = with_callbacks(parts.patch, parts.calls, changed_in)
        registration = glue.Several(parts.authors, parts.wrappers or {}) if parts.authors else None
        tables = glue.source(
            patch,
            kernel.target.release,
            parts.variables,
            parts.calls,
            registration,
            parts.states,
            stays=bool(parts.stays),
        )
        objects = stack_visibility.isolate_sections(
            dict(parts.objects), kbuild.linker_script(workspace.tree)
        )
        module = kbuild.link(workspace, patch.name, tables, objects)
        klp.refuse_unresolved(module, frozenset(kernel.symvers.exports))
        seen = stack_visibility.cover(module, patch, stays=bool(parts.stays))
        finished = klp.finish(seen)
        described = replace(patch, shadow_variables=shadows.used_by(module), stays=parts.stays)
        return modinfo.with_entries(finished, described)

# SPDX-License-Identifier: GPL-2.0-or-later
"""The objects that the target's configuration builds, from kbuild itself.

kbuild compiles any ``.c`` file on request, even one that no configuration of this target builds, so
that a file which compiles need not be part of the target.  The objects that kbuild would build are
in ``real-obj-y``, ``real-obj-m`` and ``lib-y`` of ``scripts/Makefile.lib``; a makefile fragment
makes each directory's makefile write them to a file.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suture.errors import WORKSPACE_FAILED
from suture.host.files import locked, temporary_directory, write_atomic
from suture.host.progress import step
from suture.host.run import check
from suture.workspace.kbuild import ListedObject, build_environment, list_command
from suture.workspace.prepare import Workspace

_FRAGMENT = """\
suture-objects = $(filter %.o,$(real-obj-y) $(lib-y) $(real-obj-m))
suture-parts = $(foreach s,-objs -y -m,$($(patsubst $(obj)/%.o,%$(s),$(1))))
suture-modules = $(foreach m,$(filter %.o,$(obj-m)),\\
\t$(m): $(or $(addprefix $(obj)/,$(filter %.o,$(call suture-parts,$(m)))),$(m)))

%/.suture-objects: suture-force
\t@printf '%s\\n' $(obj) $(suture-objects) > $(SUTURE_OBJECTS)/obj!$(subst /,!,$(obj))
\t@printf '%s\\n' $(suture-modules) > $(SUTURE_OBJECTS)/mod!$(subst /,!,$(obj))

suture-all-objects: suture-force
\t@printf '%s\\n' $(obj) $(suture-objects) > $(SUTURE_OBJECTS)/obj!$(subst /,!,$(obj))
\t@printf '%s\\n' $(suture-modules) > $(SUTURE_OBJECTS)/mod!$(subst /,!,$(obj))
\t+@$(foreach d,$(subdir-ym),$(MAKE) -f ./scripts/Makefile.build obj=$(d) need-modorder=1 \\
\t\tneed-builtin=$(if $(filter $(d)/built-in.a,$(subdir-builtin)),1) suture-all-objects &&) :

.PHONY: suture-force suture-all-objects
"""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects that the target's configuration builds.

    :ivar listed: an object's plain path (``virt/kvm/kvm_main.o``) -> the object as its makefile
        names it (``arch/x86/kvm/../../../virt/kvm/kvm_main.o``); kbuild accepts only that name.
    :ivar modules: the plain path of an object of modules -> their names as /proc/modules has them.
        Some are in more than one: ``drivers/net/ethernet/ti/davinci_mdio.o``.
    """

    listed: Mapping[str, ListedObject]
    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, source: str) -> ListedObject | None:
        """Return the object that kbuild makes from the source file of the same name; None if it
        makes none."""
        return self.listed.get(source.rpartition(".")[0] + ".o")


def beside(workspace: Workspace, sources: Sequence[str]) -> Objects:
    """Return the objects of the makefiles for the directories of `sources` (a fraction of a
    second).

    A makefile may also list objects of a directory that is not below its own; only `everything` has
    those.
    """
    directories = sorted({os.path.dirname(source) for source in sources} - {""})
    goals = [f"./{directory}/.suture-objects" for directory in directories]
    return _ask(workspace, goals, workspace.directory / "tree.lock")


def everything(workspace: Workspace) -> Objects:
    """Return all objects of this configuration (some 15 seconds the first time; kept with the
    workspace)."""
    if (kept := _kept(workspace)) is not None:
        return kept
    with (
        step("Listing all objects of the kernel", workspace.target.release),
        locked(workspace.directory / "all-objects.lock"),
    ):
        return _kept(workspace) or _listed(workspace, workspace.directory / "tree.lock")


def list_in_background(workspace: Workspace) -> None:
    """List all objects of this configuration if nobody has, beside other runs of make.

    :raises Refusal: ``workspace-failed``: one of those was in the way
    """
    with locked(workspace.directory / "all-objects.lock"):
        if _kept(workspace) is None:
            _listed(workspace, None)


def _kept(workspace: Workspace) -> Objects | None:
    try:
        kept = json.loads((workspace.directory / "all-objects").read_bytes())
        listed = {path: ListedObject(*named) for path, named in kept["objects"].items()}
        return Objects(listed, {path: tuple(names) for path, names in kept["modules"].items()})
    except (OSError, ValueError, KeyError, TypeError):  # none, damaged, or of an earlier form
        return None


def _listed(workspace: Workspace, lock: Path | None) -> Objects:
    objects = _ask(workspace, ["suture-all-objects"], lock)
    listed = {path: (one.name, one.directory) for path, one in objects.listed.items()}
    document = {"objects": listed, "modules": objects.modules}
    write_atomic(workspace.directory / "all-objects", json.dumps(document).encode())
    return objects


def _ask(workspace: Workspace, goals: Sequence[str], lock: Path | None) -> Objects:
    if not goals:
        return Objects({})
    with temporary_directory() as scratch:
        fragment, answers = Path(scratch, "objects.mk"), Path(scratch, "answers")
        fragment.write_text(_FRAGMENT)
        answers.mkdir()
        added = {"MAKEFILES": str(fragment), "SUTURE_OBJECTS": str(answers)}
        check(
            list_command(lock, goals),
            where=workspace.target.release,
            kind=WORKSPACE_FAILED,
            cwd=workspace.tree,
            env=build_environment(workspace.environment) | added,
        )
        listed: dict[str, ListedObject] = {}
        for answer in answers.glob("obj!*"):
            directory, *names = answer.read_text().split()
            listed |= {
                os.path.normpath(name): ListedObject(name.removeprefix("./"), directory)
                for name in names
            }
        texts = [answer.read_text() for answer in answers.glob("mod!*")]
    return Objects(listed, _modules(texts))


def _modules(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the modules of each object, from lists of ``MODULE.o: OBJECT.o ...``."""
    found: dict[str, list[str]] = defaultdict(list)
    for word in " ".join(texts).split():
        if word.endswith(":"):
            module = os.path.basename(word).removesuffix(".o:").replace("-", "_")
        else:
            found[os.path.normpath(word)].append(module)
    return {path: tuple(dict.fromkeys(names)) for path, names in sorted(found.items())}

# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own build system, run on a prepared tree.

For a single object, kbuild's top Makefile spends most of a second on asking the compiler for its
features, and its ``prepare`` goal several seconds more.  The results are the same in each run, so
`capture_environment` records once what the top Makefile exports, and ``scripts/Makefile.build``
makes objects in that environment.  It is entered at the top of the tree, as the top Makefile's
single targets enter it (``Makefile``: ``single-goals``), so that each directory adds its
``subdir-ccflags-y`` and the makefile that lists an object compiles it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.errors import MODULE_LINK_FAILED, WORKSPACE_FAILED
from suture.host.files import temporary_directory
from suture.host.run import Finished, check
from suture.sources.compiler import Compiler

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DESCEND = ("-f", "./scripts/Makefile.build", "obj=.", "need-builtin=1", "need-modorder=1")
"""Into the tree from its top, as the top Makefile goes for single targets."""

OBJTOOL = "objtool-enabled=$(if $(delay-objtool),,$(if $(is-standard-object),y))"
"""Where kbuild leaves objtool to the link (IBT, LTO), no object gets it alone; elsewhere as kbuild
has it.

A delaying kbuild still runs it over an object that is a module by itself, and not over the parts of
others (scripts/Makefile.build: ``is-single-obj-m``).  Its work cannot be done twice, and the module
that is made of what was cut out gets it at its link.
"""

ANNOUNCE = (
    "if_changed_rule="
    "$(if $(and $(filter cc_o_c as_o_S,$(1)),$(filter $@ ./$@,$(MAKECMDGOALS))),"
    "$(file >$(SUTURE_COMMANDS)/$(subst /,!,$@),$<)"
    "$(file >>$(SUTURE_COMMANDS)/$(subst /,!,$@),$(cmd_$(1)))@:,"
    "$(rule_$(1)))"
)
"""An object that is asked for is not compiled; its source and its command are written down instead.

scripts/Kbuild.include: ``if_changed_rule`` is what compiles C and assembly; the command that it
would run is ``cmd_cc_o_c`` or ``cmd_as_o_S``, with all that the object's own variables and
target-specific ones add.  What the object needs first (generated headers and sources, and what
those need) is made as ever.
"""

_CAPTURE = """\
.PHONY: suture-environment
suture-environment:
\t@test -e $(SUTURE_ENVIRONMENT) || env -0 > $(SUTURE_ENVIRONMENT)
"""


def clean_environment() -> dict[str, str]:
    """Return the environment of every program of the build, without the user's variables that could
    change its result.

    ``TMPDIR`` is a writable directory that Python found; a compiler takes the first directory of
    its list and fails if it cannot write there, and kbuild mistakes that for a missing feature.
    """
    path = f"{SYSTEM_PATH}:{os.environ.get('PATH', '')}".rstrip(":")
    home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    return {"PATH": path, "LANG": "C", "LC_ALL": "C", "TMPDIR": tempfile.gettempdir(), **home}


def make_command(release: str, compiler: Compiler, *arguments: str) -> list[str]:
    """Return the ``make`` command for the top Makefile, with the release string and compiler of the
    target."""
    return ["make", "-s", f"KERNELRELEASE={release}", *compiler.variables, *arguments]


def capture_environment(
    release: str, compiler: Compiler, flags: str, tree: Path, tools: Sequence[str] = ()
) -> dict[str, str]:
    """Return the environment in which the top Makefile of the prepared `tree` runs
    ``scripts/Makefile.build``.

    :param flags: see `suture.arch.build.KernelBuild`.
    :param tools: further variables for make, of `suture.workspace.rust`.
    :raises Refusal: ``workspace-failed``
    """
    with temporary_directory() as scratch:
        fragment, captured = Path(scratch, "capture.mk"), Path(scratch, "environment")
        fragment.write_text(_CAPTURE)
        check(
            make_command(
                release, compiler, *tools, f"KCFLAGS={flags}", "KAFLAGS=-g0", "suture-environment"
            ),
            where=release,
            kind=WORKSPACE_FAILED,
            cwd=tree,
            # MAKEFILES is read before the top Makefile (GNU make manual, "The Variable MAKEFILES").
            env={
                **clean_environment(),
                "MAKEFILES": str(fragment),
                "SUTURE_ENVIRONMENT": str(captured),
            },
        )
        entries = captured.read_text(errors="surrogateescape").split("\0")
    environment = dict(entry.split("=", 1) for entry in entries if "=" in entry)
    not_kbuilds = {"MAKEFILES", "SUTURE_ENVIRONMENT", *clean_environment()}
    exported = {name: value for name, value in environment.items() if name not in not_kbuilds}
    # As for a single target, which may belong to a module (Makefile: ifdef single-build).
    return exported | {"KBUILD_MODULES": "1"}


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a makefile lists it.

    :ivar name: its name in that makefile, from the top of the tree; may contain ``..``.
    :ivar directory: the makefile's directory, which kbuild calls ``obj``.
    """

    name: str
    directory: str


def list_command(lock: Path | None, goals: Sequence[str]) -> list[str]:
    """Return the ``make`` command for goals of the fragment in `suture.workspace.objects`.

    :param lock: None to wait for no other make.  One that is at work may just be writing a ``.cmd``
        file, and half of that makes this one fail; it writes nothing into the tree itself.
    """
    return [*(_locked_make(lock) if lock else ["make"]), *_DESCEND, *goals]


def objects_command(lock: Path, wrapper: Path) -> list[str]:
    """Return the ``make`` command for the objects of a makefile from `objects_makefile`."""
    return [*_locked_make(lock), "-f", str(wrapper)]


def objects_makefile(
    objects: Sequence[ListedObject], overrides: Sequence[str] = (), *, keep_going: bool = False
) -> str:
    """Return a makefile with which each directory's makefile builds the objects that it lists.

    A directory can be below two directories that one makefile names (``arch/x86/`` and
    ``arch/x86/lib/``). kbuild's single targets then visit both; each would compile the file with
    its own flags, and the two together would spoil the object.  So the makefile sets the way down:
    always to the deepest directory on the way.

    A make on its way to ``fs/proc/`` passes ``fs/``, and reads the ``.cmd`` files of the objects
    there (scripts/Makefile.build: ``existing-targets``).  So it waits for the make that writes
    them; others run in parallel.

    :param overrides: further variables that replace kbuild's own, such as `ANNOUNCE`.
    :param keep_going: build the directories below one that fails too.
    """
    directories = sorted({one.directory for one in objects})
    way = "$(lastword $(sort $(foreach d,$(subdir-ym),$(if $(filter $(d)/%,{}/),$(d)))))"
    targets = {directory: f"directory-{number}" for number, directory in enumerate(directories)}
    rules = [f".PHONY: all {' '.join(targets.values())}", f"all: {' '.join(targets.values())}"]
    prefix = "+-@" if keep_going else "+@"
    for directory, target in targets.items():
        goals = " ".join(f"./{one.name}" for one in objects if one.directory == directory)
        variables = (f"single-subdirs={way.format(directory)}", OBJTOOL, *overrides)
        quoted = (f"'{one}'".replace("$", "$$") for one in variables)
        passed = " ".join(targets[above] for above in directories if _is_below(directory, above))
        rules += [
            f"{target}:{f' | {passed}' if passed else ''}",
            f"\t{prefix}$(MAKE) {' '.join((*_DESCEND, *quoted))} {goals}",
        ]
    return "\n".join(rules) + "\n"


def _is_below(directory: str, above: str) -> bool:
    """Whether the way from the top of the tree to a directory leads through another."""
    return directory != above and (above == "." or directory.startswith(f"{above}/"))


def _locked_make(lock: Path) -> list[str]:
    """Return the beginning of a ``make`` command under a lock: flock(1) holds it until make and its
    compilers have ended, even if this process is killed first."""
    return ["flock", str(lock), "make", f"-j{os.cpu_count() or 1}"]


def build_environment(captured: Mapping[str, str]) -> dict[str, str]:
    """Return the captured environment, with this process's home and temporary directory."""
    return {**captured, **clean_environment()}


def prepared_objects(stems: Iterable[str]) -> str:
    """Return the rule of a module's makefile by which ``NAME.o`` is a copy of ``NAME.o_shipped``.

    kbuild has a rule of that kind (scripts/Makefile.lib: ``$(obj)/%: $(src)/%_shipped``).  Since
    6.13 it works in the module's directory, ``$(obj)`` is ``.`` there, and make does not match the
    pattern ``./%`` with the object ``part_0.o``.  A rule that names the objects holds everywhere.
    """
    names = " ".join(f"$(obj)/{stem}.o" for stem in stems)
    return f"{names}: %.o: %.o_shipped\n\tcp $< $@\n" if names else ""


def build_external(
    release: str, compiler: Compiler, tree: Path, directory: Path, *, unresolved: bool = False
) -> Finished:
    """Run ``make M=directory modules`` on the prepared tree, which links the module and adds its
    vermagic, CRCs and ``__versions``.

    :param directory: real path of a directory with a ``Kbuild`` or ``Makefile``.
    :param unresolved: let undefined symbols pass with a warning (``KBUILD_MODPOST_WARN``).
    :raises Refusal: ``module-link-failed``
    """
    options = ["KBUILD_MODPOST_WARN=1"] if unresolved else []
    command = make_command(
        release, compiler, f"M={directory.resolve()}", "KCFLAGS=-g0", *options, "modules"
    )
    return check(
        command, where=directory.name, kind=MODULE_LINK_FAILED, cwd=tree, env=clean_environment()
    )

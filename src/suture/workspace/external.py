# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules compiled from C files outside the kernel's source, by the target's own kbuild.

One run of kbuild compiles several modules, each in its own directory with a makefile of ours.  They
are compiled with debug information, from which ``pahole`` makes their types, and returned without
it.  Undefined symbols are allowed; the caller links the module and checks them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from suture.errors import DISK_FULL, MODULE_DOES_NOT_COMPILE, MODULE_LINK_FAILED, Refusal
from suture.host.files import read_bytes, scratch_directory
from suture.host.paths import cache
from suture.host.run import EVIDENCE_LINES, check, run, says_disk_full
from suture.workspace import store
from suture.workspace.kbuild import clean_environment, make_command, prepared_objects
from suture.workspace.prepare import Workspace

SOURCE = "source"
"""Where a module's files are in its directory, so that no part can have the module's own name
beside it."""

_ERROR = re.compile(
    r"^(?P<file>[^\s:]+):(?P<line>\d+):(?:\d+:)? (?:fatal )?error: (?P<said>.*)$", re.MULTILINE
)
_MODPOST = re.compile(r"^ERROR: modpost: (.*)$", re.MULTILINE)
_OBJTOOL = re.compile(r"^.*objtool: .*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class External:
    """A module to compile.

    :ivar files: path -> contents of all files that the compiler gets.
    :ivar parts: the C files to compile and link, of `files`.
    :ivar include: directories of `files` that are searched for headers.
    :ivar own_include: directories with Suture's headers, searched before the kernel's.
    :ivar objects: name without suffix -> an object file that is linked unchanged.
    """

    name: str
    files: Mapping[str, bytes]
    parts: tuple[str, ...]
    include: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    own_include: tuple[Path, ...] = ()
    objects: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompiledModule:
    """A compiled module, without debug information.

    :ivar module: the ``.ko``.
    :ivar objects: part -> its object file, before the link.
    :ivar btf: the types of the module, as ``.BTF`` holds them; b"" if pahole made none.
    :ivar said: objtool's warnings, for `suture.link.objtool.refuse_doubts`.
    """

    module: bytes
    objects: Mapping[str, bytes]
    btf: bytes
    said: str


def compile_modules(
    workspace: Workspace, modules: Sequence[External]
) -> tuple[CompiledModule, ...]:
    """Compile and link modules, or return the kept results of the same files.

    :raises Refusal: ``module-does-not-compile``, ``module-link-failed``, ``disk-full``,
        ``tool-missing``
    """
    keys = [_key(workspace, module) for module in modules]
    kept = [_load(workspace, key, module) for key, module in zip(keys, modules, strict=True)]
    todo = [module for module, done in zip(modules, kept, strict=True) if done is None]
    made = iter(_make(workspace, todo) if todo else ())
    results = []
    for key, done in zip(keys, kept, strict=True):
        compiled = done
        if compiled is None:
            compiled = next(made)
            _save(workspace, key, compiled)
        results.append(compiled)
    return tuple(results)


def _key(workspace: Workspace, module: External) -> str:
    own = [path for directory in module.own_include for path in sorted(directory.rglob("*.h"))]
    parts: list[str | bytes] = ["external module", workspace.name, module.name, *module.parts]
    parts += ["include", *module.include, "options", *module.options]
    for path, content in sorted(module.files.items()):
        parts += [path, content]
    for stem, obj in module.objects.items():
        parts += [stem, obj]
    return store.key([*parts, *(read_bytes(path) for path in own)])


def _make(workspace: Workspace, modules: Sequence[External]) -> list[CompiledModule]:
    with scratch_directory(cache() / "link", "external-") as scratch:
        top = scratch.resolve() / "modules"
        top.mkdir()
        directories = [top / str(number) for number in range(len(modules))]
        for directory, module in zip(directories, modules, strict=True):
            _lay_out(directory, module)
        subdirectories = " ".join(f"{directory.name}/" for directory in directories)
        (top / "Makefile").write_text(f"obj-m := {subdirectories}\n")
        command = make_command(
            workspace.target.release, workspace.compiler, f"M={top}", "KBUILD_MODPOST_WARN=1"
        )
        finished = run(
            [*command, f"-j{os.cpu_count() or 1}", "modules"],
            cwd=workspace.tree,
            env=clean_environment(),
        )
        output = finished.stdout + finished.stderr
        if finished.status != 0:
            raise _failure(output, modules, top)
        return [
            _collect(workspace, directory, module, output)
            for directory, module in zip(directories, modules, strict=True)
        ]


def _lay_out(directory: Path, module: External) -> None:
    source = directory / SOURCE
    for path, content in module.files.items():
        place = source / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for stem, obj in module.objects.items():
        (directory / f"{stem}.o_shipped").write_bytes(obj)
        # modpost looks there for the sources to make srcversion of (scripts/mod/sumversion.c);
        # there are none.
        (directory / f".{stem}.o.cmd").write_text(f"# {stem}.o was compiled before\n")
    compiled = [f"{SOURCE}/{part.removesuffix('.c')}.o" for part in module.parts]
    parts = " ".join([*compiled, *(f"{stem}.o" for stem in module.objects)])
    own = " ".join(f"-I{path}" for path in module.own_include)
    include = " ".join(f"-I{source / path}" for path in module.include)
    lines = [
        f"obj-m := {module.name}.o",
        f"{module.name}-y := {parts}",
        f"LINUXINCLUDE := {own} $(LINUXINCLUDE)",
        # The place where it is compiled shall not show in what comes of it.
        f"ccflags-y := {include} {' '.join(module.options)} -ffile-prefix-map={source}/=",
    ]
    makefile = "\n".join(lines) + "\n" + prepared_objects(module.objects)
    (directory / "Makefile").write_text(makefile)


def _failure(output: str, modules: Sequence[External], top: Path) -> Refusal:
    """Return the refusal for kbuild's output: the file and line in the author's source, then the
    compiler's message."""
    names = ", ".join(module.name for module in modules)
    spoken = (line for line in output.splitlines() if line.strip() and not line.startswith("make"))
    lines = [_without_places(line, top) for line in spoken]
    if says_disk_full(lines):
        return Refusal(
            DISK_FULL, names, "kbuild ran out of disk space", evidence=lines[-EVIDENCE_LINES:]
        )
    plain = "\n".join(lines)
    error = _ERROR.search(plain)
    if error:
        place = plain.count("\n", 0, error.start())
        evidence = lines[max(0, place - 3) : place + EVIDENCE_LINES]
        return Refusal(
            MODULE_DOES_NOT_COMPILE,
            f"{error['file']}:{error['line']}",
            error["said"],
            evidence=evidence,
        )
    modpost = _MODPOST.search(plain)
    found = modpost[1] if modpost else "kbuild failed"
    return Refusal(MODULE_LINK_FAILED, names, found, evidence=lines[-EVIDENCE_LINES:])


def _without_places(line: str, top: Path) -> str:
    return re.sub(rf"{re.escape(str(top))}/\d+/({SOURCE}/)?", "", line)


def _collect(
    workspace: Workspace, directory: Path, module: External, output: str
) -> CompiledModule:
    product = directory / f"{module.name}.ko"
    if not product.exists():
        raise Refusal(MODULE_LINK_FAILED, module.name, "kbuild built no module")
    types = directory / "types.btf"
    made = run(
        ["pahole", "-J", f"--btf_encode_detached={types}", str(product)], env=clean_environment()
    )
    objects = {part: directory / SOURCE / f"{part.removesuffix('.c')}.o" for part in module.parts}
    strip = [workspace.compiler.program("objcopy"), "--strip-debug"]
    for path in (product, *objects.values()):
        check([*strip, str(path)], where=module.name, env=clean_environment())
    said = [line for line in _OBJTOOL.findall(output) if f"/{directory.name}/" in line]
    return CompiledModule(
        read_bytes(product),
        {part: read_bytes(path) for part, path in objects.items()},
        read_bytes(types) if made.status == 0 and types.exists() else b"",
        "\n".join(_without_places(line, directory.parent) for line in said),
    )


def _save(workspace: Workspace, key: str, compiled: CompiledModule) -> None:
    kept = workspace.directory / "objects"
    blobs = {
        "module": compiled.module,
        "btf": compiled.btf,
        "said": compiled.said.encode(),
        **compiled.objects,
    }
    for name, content in blobs.items():
        store.save_bytes(kept, store.key([key, name]), content)
    store.save_bytes(kept, key, json.dumps(sorted(compiled.objects)).encode())


def _load(workspace: Workspace, key: str, module: External) -> CompiledModule | None:
    kept = workspace.directory / "objects"
    if store.load_bytes(kept, key) is None:
        return None
    blobs = {
        name: store.load_bytes(kept, store.key([key, name]))
        for name in ("module", "btf", "said", *module.parts)
    }
    whole = {name: content for name, content in blobs.items() if content is not None}
    if len(whole) != len(blobs):
        return None
    objects = {part: whole[part] for part in module.parts}
    return CompiledModule(whole["module"], objects, whole["btf"], whole["said"].decode())

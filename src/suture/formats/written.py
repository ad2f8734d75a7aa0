# SPDX-License-Identifier: GPL-2.0-or-later
"""The written form of a live patch: ``livepatch.toml`` and the sources that it names.

It is a directory (by convention ``NAME.livepatch``), one tar file of it, or the ``.toml`` file
beside its sources.  `Manifest` is the schema: a field that is not in it is an error, and `schema`
returns it as a JSON schema.

::

    suture = 1                    # version of the written form

    [[source]]
    format = "kpatch"             # as --format takes it
    path = "sources/fix.patch"

    [[object]]                    # optional: a build that replaces anything else is refused
    name = "vmlinux"
    function = [{ old_name = "meminfo_proc_show" }]
"""

from __future__ import annotations

import inspect
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
import tomli_w
from msgspec import Meta, Struct

from suture.errors import SOURCE_ESCAPES, WRITTEN_FORM_INVALID, WRITTEN_FORM_NEWER, Refusal
from suture.formats.recognise import MANIFEST, Format
from suture.host.files import paths_below, read_bytes, temporary_directory, write_atomic
from suture.model import CallbackKind, LivePatch, PatchedObject

VERSION = 1
"""Of the written form.  A new field that old versions may not ignore raises it; what older ones say
stays readable."""

LARGEST_ARCHIVE = 64 << 20
"""Bytes that an archive may hold unpacked; patch sources are text."""


class Function(Struct, frozen=True, forbid_unknown_fields=True):
    """``struct klp_func``: `sympos`, which differs between kernels, only where the author decides
    it."""

    old_name: str
    sympos: Annotated[int, Meta(ge=0)] | None = None


class Object(Struct, frozen=True, forbid_unknown_fields=True):
    """``struct klp_object``: `name` is ``vmlinux`` or a module's name."""

    name: str
    function: tuple[Function, ...] = ()
    callback: tuple[CallbackKind, ...] = ()


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """One input, by its path from the directory of the manifest."""

    format: Format
    path: str
    strip_level: Annotated[int, Meta(ge=0)] | None = None


class Accepted(Struct, frozen=True, forbid_unknown_fields=True):
    """A finding that the author accepts, ``CODE:NAME``, and why."""

    finding: Annotated[str, Meta(pattern=r"^[a-z0-9-]+:.+$")]
    because: Annotated[str, Meta(min_length=1)]


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """``livepatch.toml``: the author's decisions, as the options of ``suture build`` express them.

    A missing field has the default of a build of the sources: a C module determines its own name
    and whether it replaces earlier live patches.  `description`, `cve` and `url` say what the live
    patch is for, where its sources do not.
    """

    suture: int
    source: Annotated[tuple[Source, ...], Meta(min_length=1)]
    name: Annotated[str, Meta(min_length=1)] | None = None
    description: str = ""
    cve: tuple[Annotated[str, Meta(pattern=r"^CVE-\d{4}-\d{4,19}$")], ...] = ()
    url: tuple[Annotated[str, Meta(pattern=r"^https?://\S+$")], ...] = ()
    replace: bool | None = None
    patch_data: tuple[str, ...] = ()
    keep_data: tuple[str, ...] = ()
    replace_thread: tuple[str, ...] = ()
    caller_depth: Annotated[int, Meta(ge=0)] | None = None
    caller_limit: Annotated[int, Meta(ge=1)] | None = None
    object: tuple[Object, ...] = ()
    accept: tuple[Accepted, ...] = ()


def schema() -> dict[str, Any]:
    """Return the manifest's JSON schema."""
    made = msgspec.json.schema(Manifest)
    for definition in made["$defs"].values():
        # Up to Python 3.12 a docstring is indented as in the source.
        definition["description"] = inspect.cleandoc(definition["description"])
    return made


@contextmanager
def opened(path: Path) -> Iterator[tuple[Path, Manifest]]:
    """Open a written live patch: its directory and its manifest; an archive is unpacked until the
    block ends.

    :param path: directory, archive, or ``.toml`` file.
    :raises Refusal: ``written-form-invalid``, ``written-form-newer``, ``source-escapes``,
        ``file-unreadable``
    """
    if path.is_dir():
        yield path, read(path / MANIFEST)
    elif path.suffix == ".toml":
        yield path.parent, read(path)
    else:
        with temporary_directory() as directory:
            _unpack(path, directory)
            yield (
                directory,
                parse(f"{path}: {MANIFEST}", read_bytes(directory / MANIFEST), directory),
            )


def read(manifest: Path) -> Manifest:
    """Read a manifest, and check that the sources that it names exist."""
    return parse(str(manifest), read_bytes(manifest), manifest.parent)


def parse(name: str, data: bytes, directory: Path) -> Manifest:
    """Parse the text of a livepatch.toml.

    :param name: for messages.
    :param directory: where the sources are.
    """
    try:
        text = data.decode()
        plain = msgspec.toml.decode(text)
    except (
        ValueError,
        RecursionError,
    ) as error:  # also numbers of thousands of digits, and brackets as deep
        raise Refusal(WRITTEN_FORM_INVALID, name, f"is not valid TOML: {error}") from error
    version = plain.get("suture")
    if isinstance(version, int) and version > VERSION:
        raise Refusal(
            WRITTEN_FORM_NEWER,
            name,
            f"is version {version} of the written form; this Suture reads {VERSION}",
        )
    try:
        manifest = msgspec.convert(plain, Manifest)
    except msgspec.ValidationError as error:
        raise Refusal(WRITTEN_FORM_INVALID, name, str(error)) from error
    if manifest.suture < 1:
        raise Refusal(
            WRITTEN_FORM_INVALID, name, f"there is no version {manifest.suture} of the written form"
        )
    for source in manifest.source:
        if source.format is Format.SUTURE:
            raise Refusal(
                WRITTEN_FORM_INVALID, name, f"{source.path} is a written live patch itself"
            )
        _check_inside(name, directory, source.path)
    return manifest


def _check_inside(name: str, directory: Path, path: str) -> None:
    parts = Path(path).parts
    if Path(path).is_absolute() or ".." in parts or not parts:
        raise Refusal(SOURCE_ESCAPES, name, f"names {path!r} as a source")
    place = directory
    for part in parts:
        place = place / part
        if place.is_symlink():
            raise Refusal(SOURCE_ESCAPES, name, f"the path {path} contains a symbolic link")
    if not place.exists():
        raise Refusal(WRITTEN_FORM_INVALID, name, f"the source {path} does not exist")
    if place.is_dir():
        for below in paths_below(place):
            if below.is_symlink() or not (below.is_file() or below.is_dir()):
                raise Refusal(
                    SOURCE_ESCAPES,
                    name,
                    f"{below.relative_to(directory)} is neither a file nor a directory",
                )


def _unpack(archive: Path, directory: Path) -> None:
    try:
        with tarfile.open(fileobj=io.BytesIO(read_bytes(archive))) as tar:
            members = tar.getmembers()
            size = sum(member.size for member in members)
            if size > LARGEST_ARCHIVE:
                found = f"contains {size >> 20} MiB; the limit is {LARGEST_ARCHIVE >> 20} MiB"
                raise Refusal(WRITTEN_FORM_INVALID, str(archive), found)
            odd = next(
                (member for member in members if not (member.isfile() or member.isdir())), None
            )
            if odd is not None:
                raise Refusal(
                    SOURCE_ESCAPES, str(archive), f"{odd.name} is neither a file nor a directory"
                )
            for member in members:
                _take_out(tar, member, directory, str(archive))
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
        raise Refusal(
            WRITTEN_FORM_INVALID, str(archive), f"is not an archive that can be unpacked: {error}"
        ) from error
    if not (directory / MANIFEST).is_file():
        raise Refusal(WRITTEN_FORM_INVALID, str(archive), f"contains no {MANIFEST} at its top")


def _take_out(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path, archive: str) -> None:
    """Unpack one file or directory; tarfile's filters exist only since Python 3.11.4, and Debian 12
    has an older one.

    The members contain no links, so a path without ``..`` stays inside.
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise Refusal(
            SOURCE_ESCAPES, archive, f"{member.name} is not inside the archive's own directory"
        )
    content = tar.extractfile(member)
    if content is None:
        (directory / name).mkdir(parents=True, exist_ok=True)
    else:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content.read())


def dumped(manifest: Manifest) -> bytes:
    """Return `manifest` as TOML, without fields that have their default, tables last."""
    said = sorted(_said(manifest).items(), key=lambda field: field[0] in ("source", "object"))
    return tomli_w.dumps(dict(said)).encode()


def _said(value: Struct) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for field in msgspec.structs.fields(value):
        content = getattr(value, field.name)
        if content != field.default:
            plain[field.name] = _plain(content)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return _said(value) if isinstance(value, Struct) else msgspec.to_builtins(value)


def write(directory: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write the manifest and its sources into an empty directory.

    :param files: path from the directory -> content.
    """
    for path, content in files.items():
        write_atomic(directory / path, content)
    write_atomic(directory / MANIFEST, dumped(manifest))


def objects(patch: LivePatch) -> tuple[Object, ...]:
    """Return the functions and callbacks of a built live patch, as a manifest lists them."""
    return tuple(
        Object(
            patched.name,
            tuple(Function(function.old_name) for function in patched.functions),
            tuple(callback.kind for callback in patched.callbacks),
        )
        for patched in patch.objects
    )


def differences(expected: Sequence[Object], patch: LivePatch) -> list[str]:
    """Return the differences between a built live patch and the expected objects, one line each:
    ``+`` is unexpected, ``-`` is missing."""
    built = {f"{one.name}: {what}" for one in patch.objects for what in _built(one)}
    wanted = {f"{one.name}: {what}" for one in expected for what in _wanted(one, patch)}
    return [
        *(f"- {line}" for line in sorted(wanted - built)),
        *(f"+ {line}" for line in sorted(built - wanted)),
    ]


def _built(patched: PatchedObject) -> Iterator[str]:
    yield from (_function(function.old_name, function.sympos) for function in patched.functions)
    yield from (_callback(callback.kind) for callback in patched.callbacks)


def _wanted(expected: Object, patch: LivePatch) -> Iterator[str]:
    """Yield the expected functions and callbacks; a function without `sympos` means the built one
    of that name, whatever its position."""
    built = {
        (objname, function.old_name): function.sympos for objname, function in patch.each_function()
    }
    for function in expected.function:
        yield _function(
            function.old_name, built.get((expected.name, function.old_name), 0), function.sympos
        )
    yield from (_callback(kind) for kind in expected.callback)


def _function(name: str, built: int, said: int | None = None) -> str:
    sympos = built if said is None else said
    return f"{name}()" + (f" (sympos {sympos})" if sympos else "")


def _callback(kind: CallbackKind) -> str:
    return f"{kind.value} callback"

# SPDX-License-Identifier: GPL-2.0-or-later
"""SUSE's directories of kernel live patches: a main file with place holders, and one directory for
each fix.

A fix NAME has ``NAME/livepatch_NAME.h`` (``NAME/kgr_patch_NAME.h`` for kGraft), which declares its
init and cleanup functions, C files, and ``NAME/patched_funcs.csv`` with lines ``OBJECT OLD[,SYMPOS]
NEW [CONDITION]``.  The main file has ``@@...@@`` in the places of the fixes; Suture fills them in
as SUSE's packaging does.  It neither runs SUSE's build scripts nor reads the directory's Makefile,
which does not list the fixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath

from suture.errors import PATCHED_FUNCS_MALFORMED, PLACEHOLDER_LEFT, SUSE_FIX_INCOMPLETE, Refusal
from suture.model import VMLINUX

MAIN, OLD_MAIN = "livepatch_main.c", "kgr_patch_main.c"
TABLE = "patched_funcs.csv"
TABLES = (TABLE,)
HELPERS = ("kallsyms_relocs.c", "kallsyms_relocs.h")
"""How fixes look symbols up; SUSE's is written against one kernel's functions, and has ours put in
its place."""

NOT_FIXES = ("rpm", "scripts", "uname_patch")

_PLACEHOLDER = re.compile(r"@@(\w+)@@")
_CONDITION = re.compile(r"[\w\s()!&|<>=,+-]+")


@dataclass(frozen=True, slots=True)
class Expanded:
    """A directory with its place holders filled in.

    :ivar files: as in `suture.formats.cmodule.CModule`, as is `parts`.
    """

    name: str
    files: Mapping[str, bytes]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _PatchedFunctionRow:
    """One line of a table: `new` replaces `old` in `objname`.

    :ivar when: the C condition under which it does; "": always.
    """

    objname: str
    old: str
    sympos: int
    new: str
    when: str


def expand(where: str, files: Mapping[str, bytes], release: str) -> Expanded:
    """Fill in the place holders.

    :param where: the directory, for messages.
    :param files: its C files and tables, by path.
    :param release: the target's.
    :raises Refusal: ``suse-fix-incomplete``, ``patched-funcs-malformed``, ``placeholder-left``
    """
    main = MAIN if MAIN in files else OLD_MAIN
    fixes = sorted(
        {
            PurePosixPath(path).parts[0]
            for path in files
            if "/" in path and PurePosixPath(path).parts[0] not in NOT_FIXES
        }
    )
    headers = {fix: _header(where, fix, files) for fix in fixes}
    rows = [row for fix in fixes for row in _rows(f"{fix}/{TABLE}", files[f"{fix}/{TABLE}"])]
    text = {
        path: data.decode(errors="replace")
        for path, data in files.items()
        if path.endswith((".c", ".h"))
    }
    uname = "uname_patch/livepatch_uname.h" in text or "uname_patch/kgr_patch_uname.h" in text
    meaning = {
        "PATCHES_INCLUDES": "\n".join(f'#include "{header}"' for header in headers.values()),
        "PATCHES_OBJS": "\n".join([*_objects(rows, uname), "\t{ }"]),
        "PATCHES_FUNCS": "\n".join(_kgraft_rows(rows)),
        "PATCHES_INIT_CALLS": "\n".join(_init_calls(fixes, text, headers)),
        "PATCHES_INIT_ERR_HANDLERS": _error_handlers(fixes, text, headers, main),
        "PATCHES_CLEANUP_CALLS": "\n".join(
            f"\t{_function(fix, 'cleanup', text, headers)}();" for fix in fixes
        ),
        "RELEASE": release,
        "RPMRELEASE": release,
        "GITREV": "0000000",
        "USE_KLP_CONVERT": "",
    }
    for path in HELPERS:
        if path in text:
            text[path] = (
                resources.files("suture.formats").joinpath(f"include/suse/{path}").read_text()
            )
    filled = {path: _fill(path, content, meaning) for path, content in text.items()}
    plain = re.sub(r"\W+", "_", PurePosixPath(where).name or "livepatch", flags=re.ASCII).strip("_")
    # Of the files at the top, the main file and what resolves symbols; helpers for SUSE's own
    # kernels come along.
    parts = [path for path in filled if path.endswith(".c")]
    parts.sort(key=lambda path: (path != main, path))
    return Expanded(
        plain or "livepatch",
        {path: content.encode() for path, content in filled.items()},
        tuple(parts),
    )


def _header(where: str, fix: str, files: Mapping[str, bytes]) -> str:
    if f"{fix}/{TABLE}" not in files:
        raise Refusal(SUSE_FIX_INCOMPLETE, f"{where}/{fix}", f"it has no {TABLE}")
    for header in (f"{fix}/livepatch_{fix}.h", f"{fix}/kgr_patch_{fix}.h"):
        if header in files:
            return header
    raise Refusal(SUSE_FIX_INCOMPLETE, f"{where}/{fix}", f"it has no livepatch_{fix}.h")


def _rows(where: str, data: bytes) -> Iterator[_PatchedFunctionRow]:
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        words = line.split(None, 3)
        if not words:
            continue
        if len(words) < 3:
            raise Refusal(
                PATCHED_FUNCS_MALFORMED,
                f"{where}:{number}",
                f"{line.strip()[:60]!r} has fewer than three words",
            )
        old, comma, position = words[1].partition(",")
        when = words[3].strip() if len(words) == 4 else ""
        well_formed = (
            all(re.fullmatch(r"\w+", word) for word in (words[0].replace("-", "_"), words[2]))
            and re.fullmatch(r"[\w.]+", old)
            and (not comma or re.fullmatch(r"[1-9][0-9]{0,4}", position))
            and (not when or _CONDITION.fullmatch(when))
        )
        if not well_formed:
            raise Refusal(
                PATCHED_FUNCS_MALFORMED,
                f"{where}:{number}",
                f"{line.strip()[:60]!r} does not name a function to replace",
            )
        yield _PatchedFunctionRow(
            words[0].replace("-", "_"), old, int(position or 0), words[2], when
        )


def _objects(rows: Sequence[_PatchedFunctionRow], uname: bool) -> Iterator[str]:
    """Yield the entries of ``struct klp_object objs[]``; if all rows of an object have conditions,
    its entry is there if any of them holds."""
    names = dict.fromkeys([*([VMLINUX] if uname else []), *(row.objname for row in rows)])
    for name in sorted(names, key=lambda one: (one != VMLINUX, one)):
        own = [row for row in rows if row.objname == name]
        always = any(not row.when for row in own) or (uname and name == VMLINUX)
        conditions = dict.fromkeys(row.when for row in own)
        if not always:
            yield "#if " + " || ".join(f"({condition})" for condition in conditions)
        yield "\t{"
        yield "\t\t.name = NULL," if name == VMLINUX else f'\t\t.name = "{name}",'
        yield "\t\t.funcs = (struct klp_func[]) {"
        if uname and name == VMLINUX:
            yield '\t\t\t{ .old_name = "sys_newuname", .new_func = klp_sys_newuname, },'
        for row in own:
            position = f".old_sympos = {row.sympos}, " if row.sympos else ""
            yield from _when(
                row, f'\t\t\t{{ .old_name = "{row.old}", .new_func = {row.new}, {position}}},'
            )
        yield "\t\t\t{ }"
        yield "\t\t},"
        yield "\t},"
        if not always:
            yield "#endif"


def _kgraft_rows(rows: Sequence[_PatchedFunctionRow]) -> Iterator[str]:
    for row in rows:
        name = "NULL" if row.objname == VMLINUX else f'"{row.objname}"'
        yield from _when(row, f"\t\tKGR_PATCH_OBJPOS({row.old}, {row.new}, {name}, {row.sympos}),")


def _when(row: _PatchedFunctionRow, line: str) -> Iterator[str]:
    if row.when:
        yield f"#if {row.when}"
    yield line
    if row.when:
        yield "#endif"


def _function(fix: str, what: str, text: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """Return the name that the fix's header declares for its init or cleanup function; it changed
    over the years."""
    for name in (
        f"livepatch_{fix}_{what}",
        f"klp_patch_{fix}_{what}",
        f"kgr_patch_{fix}_{what}",
        f"{fix}_{what}",
    ):
        if re.search(rf"\b{re.escape(name)}\b", text[headers[fix]]):
            return name
    found = f"it declares no livepatch_{fix}_{what}()"
    raise Refusal(SUSE_FIX_INCOMPLETE, headers[fix], found)


def _init_calls(
    fixes: Sequence[str], text: Mapping[str, str], headers: Mapping[str, str]
) -> Iterator[str]:
    for fix in fixes:
        yield f"\tretval = {_function(fix, 'init', text, headers)}();\n"
        yield f"\tif (retval)\n\t\tgoto err_{fix};\n"


def _error_handlers(
    fixes: Sequence[str], text: Mapping[str, str], headers: Mapping[str, str], main: str
) -> str:
    """Return the code that undoes the init calls in reverse order, with the return statement that
    main files of kGraft leave to it."""
    lines = [
        f"\t{_function(fix, 'cleanup', text, headers)}();\nerr_{fix}:" for fix in reversed(fixes)
    ]
    ends = re.search(r"ERR_HANDLERS@@[;:]?\s*\n\s*return\b", text[main])
    return "\n".join([*lines, "\t;" if ends else "\treturn retval;"])


def _fill(path: str, text: str, meaning: Mapping[str, str]) -> str:
    def filled(match: re.Match[str]) -> str:
        name = match[1]
        for prefix in ("KLP_", "KGR_"):
            name = name.removeprefix(prefix) if name.removeprefix(prefix) in meaning else name
        if name not in meaning:
            line = text.count("\n", 0, match.start()) + 1
            raise Refusal(
                PLACEHOLDER_LEFT, f"{path}:{line}", f"{match[0]} is not a known placeholder"
            )
        return meaning[name]

    # In a list or a block of statements, the main file has the comma or semicolon that ends it.
    text = re.sub(r"@@((?:KLP|KGR)_PATCHES_\w+)@@[,;:]?", r"@@\1@@", text)
    return _PLACEHOLDER.sub(filled, text)

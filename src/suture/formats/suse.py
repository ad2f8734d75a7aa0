# SPDX-License-Identifier: GPL-2.0-or-later
"""SUSE's directories of kernel live patches: a main file with place holders, and one directory for
each fix.

A fix NAME has ``NAME/livepatch_NAME.h`` (``NAME/kgr_patch_NAME.h`` for kGraft), which declares its
init and cleanup functions, C files, and ``NAME/patched_funcs.csv`` with lines ``OBJECT OLD[,SYMPOS]
NEW [CONDITION]``.  The main file has ``@@...@@`` in the places of the fixes; Suture fills them in
as SUSE's packaging does.  It neither runs SUSE's build scripts nor reads the directory's Makefile,
which does not list the fixes.

Every live patch of SUSE's also replaces uname's system call, in ``uname_patch/``.  Its functions
have the names that ``klp_syscalls.h`` makes for the kernel (``__x64_sys_klp_newuname``); before
that file existed, there was one, ``klp_sys_newuname``.  A table names system calls with the same
macros: ``KLP_SYSCALL_SYM(epoll_ctl)``.

``NAME/Kbuild.inc`` sets compiler options.  Suture leaves out those for warnings, the only ones that
SUSE uses, and refuses all others.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from suture.errors import (
    MAKEFILE_NOT_UNDERSTOOD,
    PATCHED_FUNCS_MALFORMED,
    PLACEHOLDER_LEFT,
    SUSE_FIX_ASSEMBLER,
    SUSE_FIX_INCOMPLETE,
    SUSE_FIX_UNKNOWN,
    Refusal,
)
from suture.formats.messages import CVE
from suture.model import VMLINUX, Fix

MAIN, OLD_MAIN = "livepatch_main.c", "kgr_patch_main.c"
TABLE = "patched_funcs.csv"
OPTIONS = "Kbuild.inc"
ASSEMBLER = (".s", ".S")
HELPERS = ("kallsyms_relocs.c", "kallsyms_relocs.h")
"""How fixes look symbols up; SUSE's is written against one kernel's functions, and has ours put in
its place."""

TRACE = "klp_trace.h"
"""How fixes call trace points; of SUSE's, only the version that takes the object's name (since SLE
15 SP6) has ours put in its place."""

UNAME = "uname_patch"
NOT_FIXES = ("rpm", "scripts", UNAME)

_PLACEHOLDER = re.compile(r"@@(\w+)@@")
_CONDITION = re.compile(r"[\w\s()!&|<>=,+-]+")
_SYSTEM_CALL = re.compile(
    r"(?:KLP_SYSCALL_SYM|KLP_SYSCALL_COMPAT_STUB_SYM|KLP_COMPAT_SYSCALL_SYM)\(\w+\)"
)
"""A name that ``klp_syscalls.h`` makes; SUSE's macros for it are these three."""

_FLAGS = re.compile(r"(?:ccflags-y|CFLAGS_[\w./-]+\.o)\s*\+?=(.*)")
_WARNING = re.compile(r"-W[\w=+-]+")
"""An option that changes no code: bsc1247158 has ``CFLAGS_..._secretmem.o += -Werror``."""

_TRACE_EVENT = re.compile(r"^#[ \t]*define[ \t]+KLPR_TRACE_EVENT\(module,", re.MULTILINE)
_COMPAT_STUBS = "defined(KLP_ARCH_HAS_SYSCALL_COMPAT_STUBS)"


@dataclass(frozen=True, slots=True)
class Expanded:
    """A directory with its place holders filled in.

    :ivar files: as in `suture.formats.cmodule.CModule`, as is `parts`.
    :ivar fixes: the names of the fixes that it has.
    """

    name: str
    files: Mapping[str, bytes]
    parts: tuple[str, ...]
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _PatchedFunctionRow:
    """One line of a table: `new` replaces `old` in `objname`.

    :ivar old: a name, or one of the macros of ``klp_syscalls.h`` with its argument.
    :ivar when: the C condition under which it does; "": always.
    """

    objname: str
    old: str
    sympos: int
    new: str
    when: str = ""

    @property
    def old_name(self) -> str:
        """The old function's name as a string in C."""
        return f"__stringify({self.old})" if _SYSTEM_CALL.fullmatch(self.old) else f'"{self.old}"'


_UNAME_ROWS = (
    _PatchedFunctionRow(VMLINUX, "KLP_SYSCALL_SYM(newuname)", 0, "KLP_SYSCALL_SYM(klp_newuname)"),
    _PatchedFunctionRow(
        VMLINUX,
        "KLP_SYSCALL_COMPAT_STUB_SYM(newuname)",
        0,
        "KLP_SYSCALL_COMPAT_STUB_SYM(klp_newuname)",
        _COMPAT_STUBS,
    ),
)
_UNAME_ROWS_BEFORE = (_PatchedFunctionRow(VMLINUX, "sys_newuname", 0, "klp_sys_newuname"),)
"""What ``uname_patch/`` replaces, with ``klp_syscalls.h`` and before that file existed."""


def is_main(files: Container[str]) -> bool:
    """Tell whether files, by their paths from the top, are such a directory's."""
    return MAIN in files or OLD_MAIN in files


def is_top(path: Path) -> bool:
    """Tell whether a path is such a directory."""
    return (path / MAIN).is_file() or (path / OLD_MAIN).is_file()


def is_read(name: str) -> bool:
    """Tell whether a file with this name matters to `expand`, beside C files."""
    return name in (TABLE, OPTIONS) or name.endswith(ASSEMBLER)


def is_of_uname(new: str) -> bool:
    """Tell whether a new function is uname's, which is no fix's."""
    return new.endswith(("klp_newuname", "klp_sys_newuname"))


def fix_of(path: str) -> str | None:
    """Return the fix that a file is of, by its path from the top; None for one of no fix."""
    first, slash, _ = path.partition("/")
    return first if slash and first not in NOT_FIXES else None


def is_left_out(path: str, only: Sequence[str]) -> bool:
    """Tell whether a file, by its path from the top, is of a fix that is not wanted.

    :param only: the fixes that are wanted; none of them: all.
    """
    fix = fix_of(path)
    return bool(only) and fix is not None and fix not in only


def fixes_of(where: str, files: Iterable[str], only: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of the fixes of a directory, sorted.

    A directory with a main file of its own is no fix: SUSE's packaging builds in such a one.

    :param only: the fixes that are wanted; none of them: all.
    :raises Refusal: ``suse-fix-unknown`` for a wanted one that is not there
    """
    paths = set(files)
    named = {fix for path in paths if (fix := fix_of(path)) is not None}
    there = sorted(fix for fix in named if not paths & {f"{fix}/{MAIN}", f"{fix}/{OLD_MAIN}"})
    for name in only:
        if name not in there:
            found = f"{where} has no fix of this name"
            similar = difflib.get_close_matches(name, there, 3)
            near = [f"there is {one}" for one in similar or there[:10]]
            raise Refusal(SUSE_FIX_UNKNOWN, f"--only {name}", found, evidence=near)
    return tuple(fix for fix in there if fix in only) if only else tuple(there)


def described(fix: str, files: Mapping[str, bytes]) -> Fix:
    """Return what a fix is for: its C files begin with a comment such as ``Fix for CVE-2025-38396,
    bsc#1247158``.

    :param files: of the directory, by path.
    """
    text = "\n".join(
        data.decode(errors="replace")
        for path, data in files.items()
        if fix_of(path) == fix and path.endswith((".c", ".h"))
    )
    return Fix(fix, cves=tuple(dict.fromkeys(CVE.findall(text))))


def expand(
    where: str, files: Mapping[str, bytes], release: str, only: Sequence[str] = ()
) -> Expanded:
    """Fill in the place holders.

    :param where: the directory, for messages.
    :param files: by path, its C files and those that `is_read` names.
    :param release: the target's.
    :param only: the fixes to take; none of them: all.
    :raises Refusal: ``suse-fix-unknown``, ``suse-fix-incomplete``, ``suse-fix-assembler``,
        ``patched-funcs-malformed``, ``makefile-not-understood``, ``placeholder-left``
    """
    main = MAIN if MAIN in files else OLD_MAIN
    fixes = fixes_of(where, files, only)
    taken = {path: data for path, data in files.items() if fix_of(path) in (None, *fixes)}
    for path, data in taken.items():
        _refuse_other_parts(path, data)
    headers = {fix: _header(where, fix, taken) for fix in fixes}
    tables = {f"{fix}/{TABLE}": taken[f"{fix}/{TABLE}"] for fix in fixes}
    rows = [row for path, data in tables.items() for row in _rows(path, data)]
    text = {
        path: data.decode(errors="replace")
        for path, data in taken.items()
        if path.endswith((".c", ".h"))
    }
    rows_of_all = [*_uname_rows(text), *rows]
    meaning = {
        "PATCHES_INCLUDES": "\n".join(f'#include "{header}"' for header in headers.values()),
        "PATCHES_OBJS": "\n".join([*_objects(rows_of_all), "\t{ }"]),
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
    text |= {path: _own(path) for path in _replaced(text)}
    filled = {path: _fill(path, content, meaning) for path, content in text.items()}
    plain = re.sub(r"\W+", "_", PurePosixPath(where).name or "livepatch", flags=re.ASCII).strip("_")
    # Of the files at the top, the main file and what resolves symbols; helpers for SUSE's own
    # kernels come along.
    parts = [path for path in filled if path.endswith(".c")]
    parts.sort(key=lambda path: (path != main, path))
    return Expanded(
        plain or "livepatch",
        {path: content.encode() for path, content in filled.items()} | tables,
        tuple(parts),
        fixes,
    )


def _replaced(text: Mapping[str, str]) -> Iterator[str]:
    """Yield the files at the top that Suture puts its own in the place of."""
    yield from (path for path in HELPERS if path in text)
    if _TRACE_EVENT.search(text.get(TRACE, "")):
        yield TRACE


def _own(path: str) -> str:
    return resources.files("suture.formats").joinpath(f"include/suse/{path}").read_text()


def _refuse_other_parts(path: str, data: bytes) -> None:
    """Refuse what SUSE's packaging would compile otherwise than Suture does.

    :raises Refusal: ``suse-fix-assembler``, ``makefile-not-understood``
    """
    if path.endswith(ASSEMBLER):
        raise Refusal(SUSE_FIX_ASSEMBLER, path, "it is assembler")
    if PurePosixPath(path).name != OPTIONS:
        return
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        plain = line.partition("#")[0].strip()
        flags = _FLAGS.fullmatch(plain)
        if plain and not (flags and all(map(_WARNING.fullmatch, flags[1].split()))):
            found = f"{plain[:60]!r} sets more than warnings"
            remedy = "Write what the option does into the C files, or leave the option out."
            raise Refusal(MAKEFILE_NOT_UNDERSTOOD, f"{path}:{number}", found, remedy=remedy)


def _uname_rows(text: Mapping[str, str]) -> tuple[_PatchedFunctionRow, ...]:
    """Return what ``uname_patch/`` replaces."""
    headers = (f"{UNAME}/livepatch_uname.h", f"{UNAME}/kgr_patch_uname.h")
    header = next((text[path] for path in headers if path in text), None)
    if header is None:
        return ()
    return _UNAME_ROWS if "KLP_SYSCALL_SYM" in header else _UNAME_ROWS_BEFORE


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
        # A module may have the path to it: net/bluetooth/bluetooth is bluetooth.
        objname = words[0].rpartition("/")[2].replace("-", "_")
        old, comma, position = words[1].partition(",")
        when = words[3].strip() if len(words) == 4 else ""
        well_formed = (
            re.fullmatch(r"\w+", objname)
            and (re.fullmatch(r"[\w.]+", old) or _SYSTEM_CALL.fullmatch(old))
            and (re.fullmatch(r"\w+", words[2]) or _SYSTEM_CALL.fullmatch(words[2]))
            and (not comma or re.fullmatch(r"[1-9][0-9]{0,4}", position))
            and (not when or _CONDITION.fullmatch(when))
        )
        if not well_formed:
            raise Refusal(
                PATCHED_FUNCS_MALFORMED,
                f"{where}:{number}",
                f"{line.strip()[:60]!r} does not name a function to replace",
            )
        yield _PatchedFunctionRow(objname, old, int(position or 0), words[2], when)


def _objects(rows: Sequence[_PatchedFunctionRow]) -> Iterator[str]:
    """Yield the entries of ``struct klp_object objs[]``; if all rows of an object have conditions,
    its entry is there if any of them holds."""
    names = {row.objname for row in rows}
    for name in sorted(names, key=lambda one: (one != VMLINUX, one)):
        own = [row for row in rows if row.objname == name]
        always = any(not row.when for row in own)
        conditions = dict.fromkeys(row.when for row in own)
        if not always:
            yield "#if " + " || ".join(f"({condition})" for condition in conditions)
        yield "\t{"
        yield "\t\t.name = NULL," if name == VMLINUX else f'\t\t.name = "{name}",'
        yield "\t\t.funcs = (struct klp_func[]) {"
        for row in own:
            position = f".old_sympos = {row.sympos}, " if row.sympos else ""
            entry = f".old_name = {row.old_name}, .new_func = {row.new}, {position}"
            yield from _when(row, f"\t\t\t{{ {entry}}},")
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

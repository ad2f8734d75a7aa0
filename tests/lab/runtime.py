# SPDX-License-Identifier: GPL-2.0-or-later
"""Suture itself inside a guest: this Python, the packages of the base install, and what these
import.

The modules go in as byte code without source, since an emulated processor takes minutes to compile
them.
"""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.util import MAGIC_NUMBER
from pathlib import Path

PYTHON = "/bin/python3"
MODULES = "/lib/python"
LIBRARIES = "/lib/so"

COMMAND = f"""#!/bin/sh
export PYTHONHOME=/lib PYTHONPATH={MODULES} LD_LIBRARY_PATH={LIBRARIES} PYTHONDONTWRITEBYTECODE=1
exec {PYTHON} -S %s "$@"
"""

SEVERAL = """
import json, os, sys
from suture.cli.app import main as suture
from suture.compat import kgr, kpatch, program
OTHERS = {
    "kpatch": lambda words: program.run(kpatch.main, words, "kpatch: "),
    "klp": lambda words: kgr.program("klp", words),
}
def main(words):
    return OTHERS[words[0]](words[1:]) if words[0] in OTHERS else suture(words)
os.setuid(int(os.environ.get("UID_THEN", "0")))
results = []
for words in sys.argv[1:]:
    # Files in place of the descriptors, so that nothing depends on how a command writes.
    with open(os.memfd_create("out"), "rb") as out, open(os.memfd_create("err"), "rb") as err:
        kept = os.dup(1), os.dup(2)
        os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
        try:
            status = main(words.split())
            sys.stdout.flush(), sys.stderr.flush()
        finally:
            os.dup2(kept[0], 1), os.dup2(kept[1], 2)
        texts = [os.pread(file.fileno(), 1 << 22, 0).decode() for file in (out, err)]
        results.append([status, *texts])
print(json.dumps(results))
"""
"""Command lines one after the other in one process: Python takes seconds to start on an emulated
processor."""

WHOLE = ("suture", "rich", "click")
"""Packages that import parts of themselves only when these are used."""

LIST = """
import contextlib, importlib, io, json, pkgutil, sys
import suture.cli, suture.core
for room in (suture.cli, suture.core):
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
import suture.__main__, suture.module.inspect, difflib, encodings.ascii, encodings.idna, encodings.latin_1, runpy, traceback
import rich.console, rich.table, rich.live, rich.spinner, rich.text, rich.traceback, click.shell_completion
import elftools.elf.elffile, ctypes, pty, socket, pwd, fcntl, lzma, tempfile
for name in sys.argv[1:]:
    importlib.import_module(name)
# Some modules are imported when a command runs, not before.
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for words in (["list"], ["list", "--json"], ["load", "/dev/null/none", "--timeout", "1"], ["load", "--help"]):
        suture.cli.app.main(words)
print(json.dumps({name: m.__file__ for name, m in sys.modules.items() if getattr(m, "__file__", None)}))
"""


SIGNATURES = (
    "asn1crypto.cms",
    "cryptography.x509",
    *(f"cryptography.hazmat.primitives.asymmetric.{name}" for name in ("ec", "padding", "rsa")),
)
"""What `suture.module.signature` imports when it looks at one; a large library, which most guests
do without."""


def files(*others: str) -> dict[str, bytes]:
    """Path in the guest to content; ``suture`` is on the path there, and ``sutures``, which takes
    command lines.

    :param others: modules that it shall be able to import there too.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}
    listing = subprocess.run(
        [sys.executable, "-c", LIST, *others],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {
        name: Path(path) for name, path in json.loads(listing.stdout).items() if name != "__main__"
    }
    interpreter = Path(sys.executable).resolve()
    found = {
        "/bin/suture": (COMMAND % "-m suture").encode(),
        PYTHON: interpreter.read_bytes(),
        **program("sutures", SEVERAL),
    }
    for name, path in imported.items():
        found |= _module(path, name.split("."))
    for name in WHOLE:
        root = imported[name].parent
        for path in root.rglob("*"):
            if path.suffix in (".py", ".sh"):
                found |= _module(path, [name, *path.relative_to(root).with_suffix("").parts])
    extensions = [path for path in imported.values() if path.suffix == ".so"]
    return found | _libraries([interpreter, *extensions])


def module(path: Path) -> dict[str, bytes]:
    """A module of these tests, by the name that it has here."""
    return _module(path, list(path.relative_to(Path(__file__).parents[2]).with_suffix("").parts))


def program(name: str, source: str) -> dict[str, bytes]:
    """A program of the guest's, written in Python."""
    place = f"{MODULES}/{name}.py"
    return {f"/bin/{name}": (COMMAND % place).encode(), place: source.encode()}


def _module(path: Path, name: list[str]) -> dict[str, bytes]:
    place = "/".join([MODULES, *name[:-1]])
    if path.suffix != ".py":
        return {f"{place}/{path.name}": path.read_bytes()}
    if path.name == "__init__.py" and name[-1] != "__init__":
        place = "/".join([MODULES, *name])
    # PEP 552: the magic number, flags (1: the source is not looked for), eight bytes of its hash.
    header = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
    code = compile(path.read_bytes(), f"{place}/{path.name}", "exec", dont_inherit=True)
    return {f"{place}/{path.stem}.pyc": header + marshal.dumps(code)}


def _libraries(programs: Iterable[Path]) -> dict[str, bytes]:
    """The shared objects that programs need (ldd(1)), and the loader where the interpreter looks
    for it."""
    found: dict[str, bytes] = {}
    listing = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    for line in listing.splitlines():
        words = line.split()
        if len(words) == 2 and words[0].startswith("/lib"):
            found[words[0]] = _stripped(Path(words[0]))
        elif len(words) == 4 and words[1] == "=>":
            found[f"{LIBRARIES}/{words[0]}"] = _stripped(Path(words[2]))
    return found


def _stripped(program: Path) -> bytes:
    """Without its symbols: a guest has all of its files in memory."""
    with tempfile.NamedTemporaryFile() as result:
        subprocess.run(["strip", "-o", result.name, program], check=True)
        return Path(result.name).read_bytes()

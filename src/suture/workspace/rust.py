# SPDX-License-Identifier: GPL-2.0-or-later
"""Stand-ins for the Rust tools of a target that has ``CONFIG_RUST=y``.

Debian's kernels have had it since 6.16.  Kconfig then runs ``rustc`` and ``bindgen``, asks for
their versions (``init/Kconfig``, ``scripts/rust_is_available.sh``), and switches ``RUST`` off
without them.  The C code reads that option: ``pointer()`` in ``lib/vsprintf.c`` has another branch
where ``IS_ENABLED(CONFIG_RUST)`` is false, and ``drivers/net/phy/Makefile`` compiles another file.

A live patch needs no Rust code to be compiled.  So two scripts give the answers that the target's
``.config`` has recorded, and the tree keeps the whole configuration of the target.
`suture.workspace.configuration.check_same` still compares every option, and whatever kbuild asks
these scripts to compile fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NO_RUST = "CONFIG_RUST="
"""An option for make alone: the top Makefile compiles no Rust code (``Makefile``: ``prepare``).  C
code sees the option in ``include/generated/autoconf.h``."""

_CORE = "lib/rustlib/src/rust/library/core/src/lib.rs"
"""``scripts/rust_is_available.sh`` looks for the source of Rust's core library below rustc's
``sysroot``."""

_RUSTC = """\
#!/bin/sh
# It stands in for the rustc that built the kernel, and only says which that was.
case "$*" in
	--version) echo '{version}' ;;
	"--version --verbose") echo '{version}'; echo 'LLVM version: {llvm}' ;;
	*"--print sysroot") echo '{sysroot}' ;;
	*) echo "this rustc cannot compile" >&2; exit 1 ;;
esac
"""

_BINDGEN = """\
#!/bin/sh
# It stands in for the bindgen that built the kernel, and only says which that was.
case "$*" in
	--version*) echo '{version}' ;;
	*rust_is_available_bindgen_libclang.h) echo 'clang version {llvm}' >&2 ;;
	*) echo "this bindgen cannot generate" >&2; exit 1 ;;
esac
"""


def stand_ins(options: Mapping[str, str], directory: Path) -> tuple[str, ...]:
    """Write the stand-ins into a new `directory`, and return make's variables that name them.

    :param options: of the target's ``.config``, as `suture.kernel.config.assignments` reads them.
    :return: none for a target without ``CONFIG_RUST``.
    """
    if options.get("CONFIG_RUST") != "y":
        return ()
    llvm = _version(int(options.get("CONFIG_RUSTC_LLVM_VERSION", "0")))
    rustc = _RUSTC.format(
        version=_text(options, "CONFIG_RUSTC_VERSION_TEXT"), llvm=llvm, sysroot=directory
    )
    bindgen = _BINDGEN.format(version=_text(options, "CONFIG_BINDGEN_VERSION_TEXT"), llvm=llvm)
    directory.mkdir(exist_ok=True)
    for name, script in (("rustc", rustc), ("bindgen", bindgen)):
        (directory / name).write_text(script)
        (directory / name).chmod(0o755)
    core = directory / _CORE
    core.parent.mkdir(parents=True, exist_ok=True)
    core.touch()
    return f"RUSTC={directory}/rustc", f"BINDGEN={directory}/bindgen"


def _text(options: Mapping[str, str], name: str) -> str:
    """Return a string of the configuration, fit for single quotes of the shell."""
    return options.get(name, "").strip('"').replace("'", "")


def _version(number: int) -> str:
    """Return ``19.1.7`` for 190107 (``scripts/rustc-llvm-version.sh``)."""
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"

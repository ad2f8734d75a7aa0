# SPDX-License-Identifier: GPL-2.0-or-later
"""The target's own livepatch selftests, their modules built from the unchanged sources; what they
say counts.

The scripts want a shell and tools that busybox does not have; those are this host's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.builder.cmodules import build_modules
from suture.formats.recognise import recognise
from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.workspace.prepare import Workspace
from tests.lab import programs

SCRIPTS = Path("tools/testing/selftests/livepatch")
BESIDE = SCRIPTS / "test_modules"
"""Where the modules are since Linux 6.9, to be loaded from there; before, they are the kernel's, in
lib/livepatch."""

TOOLS = (
    *(
        "awk",
        "bash",
        "cat",
        "comm",
        "cut",
        "date",
        "depmod",
        "diff",
        "dmesg",
        "expr",
        "getconf",
        "grep",
        "head",
        "id",
    ),
    *(
        "insmod",
        "lsmod",
        "mktemp",
        "modinfo",
        "modprobe",
        "rm",
        "rmmod",
        "sed",
        "seq",
        "sleep",
        "stat",
        "sysctl",
        "tr",
    ),
    "uname",
)

LONGEST = "test-callbacks.sh"
"""Takes half of the time, and is the same on both kernels but for where modules are loaded from:
once is enough."""

DEADLINE = 300.0


@pytest.mark.make_test_takes("6.1")
def test_kernels_own_selftests_pass(
    each_target: Target, each_workspace: Workspace, tmp_path: Path
) -> None:
    tree = each_workspace.tree
    beside = (tree / BESIDE).is_dir()
    source = tree / (BESIDE if beside else "lib/livepatch")
    built = build_modules(recognise(source), each_target, output=tmp_path)
    assert sum(one.is_live_patch for one in built) >= 7
    modules = Path(
        "/selftests/test_modules"
        if beside
        else f"/lib/modules/{each_target.release}/kernel/lib/livepatch"
    )
    files = {f"{modules}/{one.path.name}": one.path.read_bytes() for one in built}
    files |= {
        f"/selftests/{path.name}": path.read_bytes() for path in (tree / SCRIPTS).glob("*.sh")
    }
    hammer = tree / SCRIPTS / "test_klp-call_getpid.c"
    if hammer.exists():
        files["/selftests/test_klp-call_getpid"] = programs.static(hammer.read_text(), tmp_path)
    with Machine.boot(each_target, files=files | programs.files(TOOLS)) as machine:
        # What the scripts ask of the system around them; modprobe is for the kernel's own modules.
        index = "" if beside else f" && {programs.DIRECTORY}/depmod -a"
        prepared = machine.run(f"ln -sf {programs.DIRECTORY}/stat /bin/stat{index}")
        assert prepared.status == 0, prepared.text
        scripts = sorted(
            path
            for path in (tree / SCRIPTS).glob("test-*.sh")
            if not (beside and path.name == LONGEST)
        )
        for script in scripts:
            environment = f"PATH={programs.DIRECTORY}:/bin KDIR=/selftests TMPDIR=/tmp"
            result = machine.run(
                f"cd /selftests && {environment} bash ./{script.name} 2>&1", deadline=DEADLINE
            )
            verdicts = [line for line in result.text.splitlines() if line.startswith("TEST:")]
            assert result.status == 0, f"{script.name}\n{result.text}"
            assert verdicts, result.text
            assert all(line.endswith("... ok") for line in verdicts), result.text

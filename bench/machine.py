# SPDX-License-Identifier: GPL-2.0-or-later
"""What the times were taken on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def describe() -> dict[str, str]:
    """The machine, as a table's rows.  The load tells whether it had other things to do."""
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE)
    return {
        "processor": processor(_read("/proc/cpuinfo")),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": memory(_read("/proc/meminfo")),
        "system": f"{pretty[1] if pretty else platform.system()}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def processor(cpuinfo: str) -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def memory(meminfo: str) -> str:
    match = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.MULTILINE)
    return f"{int(match[1]) / (1 << 20):.1f} GiB" if match else "unknown"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""

# SPDX-License-Identifier: GPL-2.0-or-later
"""Install exactly what LOCK names in the virtual environment DIRECTORY.

    python3 scripts/environment.py DIRECTORY LOCK

pip looks where this host's settings tell it to.  Settings often name additional indexes that are
not to be had from everywhere, and pip gives up at the first one that is broken; then it is tried
once more with the main index alone. Whichever a file comes from, its hash has to be in the lock.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ADDITIONAL = ("extra-index-url", "find-links")


def main(directory: str, lock: str) -> int:
    pip = [str(Path(directory, "bin", "python")), "-m", "pip"]
    failures = []
    for environment in environments(pip):
        done = install(pip, lock, environment)
        if done.returncode == 0:
            return 0
        failures.append(done.stderr)
    print(*reversed(failures), sep="\n", file=sys.stderr)
    return 1


def environments(pip: list[str]) -> Iterator[Mapping[str, str]]:
    """Yield the variables with which pip is tried, one after the other where it fails."""
    yield os.environ
    settings = subprocess.run(
        [*pip, "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    main_index = without_additional_indexes(settings, os.environ)
    if main_index is not None:
        print(
            "pip failed with this host's additional package indexes; trying once more without them",
            flush=True,
        )
        yield main_index


def install(pip: list[str], lock: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [*pip, "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    return subprocess.run(
        [*command, "--require-hashes", "-r", lock],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def without_additional_indexes(settings: str, env: Mapping[str, str]) -> dict[str, str] | None:
    """`env` with pip's settings in it, all but those that name additional places to look; None
    where there are none.

    :param settings: what ``pip config list`` prints: lines of ``section.key='value'``.
    """
    additional = {f"PIP_{name.upper().replace('-', '_')}" for name in ADDITIONAL}
    found: dict[str, str] = {}
    for section, key, value in re.findall(
        r"^(\S+)\.([\w-]+)=('.*'|\".*\")$", settings, re.MULTILINE
    ):
        if section in ("global", "install"):
            found[f"PIP_{key.upper().replace('-', '_')}"] = ast.literal_eval(value)
    if not additional & (found.keys() | env.keys()):
        return None
    merged = {**found, **env}
    kept = {name: value for name, value in merged.items() if name not in additional}
    return {**kept, "PIP_CONFIG_FILE": os.devnull}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

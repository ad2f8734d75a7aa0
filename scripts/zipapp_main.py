# SPDX-License-Identifier: GPL-2.0-or-later
"""What Python runs of the archive: the command line, or with ``-m`` first, a module, as python3
does."""

import runpy
import sys

if sys.argv[1:2] == ["-m"] and len(sys.argv) > 2:
    module = sys.argv[2]
    del sys.argv[1:3]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
else:
    from suture.__main__ import run

    sys.exit(run())

# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading the kernel's lists of probes.  The texts are what 6.1 and 6.12 print."""

from __future__ import annotations

from suture.core import probes

LIST = """\
ffffffffc0579030  k  livepatch_cmdline_proc_show+0x0  livepatch_sample [FTRACE]
ffffffffc0579060  k  gone+0x0  livepatch_sample [GONE]
ffffffffc0579070  k  off+0x0  livepatch_sample [DISABLED][FTRACE]
ffffffff98a01230  k  do_exit+0x0    [FTRACE]
ffffffffc0601000  k  other+0x0  other_module 
"""  # noqa: W291

PROFILE = """\
  f0                                                        2               0
  f1                                                       40               2
"""


def test_only_armed_functions_of_the_module_count() -> None:
    assert probes.armed_functions(LIST, "livepatch_sample") == {"livepatch_cmdline_proc_show"}
    assert probes.armed_functions("", "livepatch_sample") == set()


def test_missed_hits_are_calls_too() -> None:
    assert probes.profile(PROFILE) == {"f0": 2, "f1": 42}
    assert probes.profile("") == {}

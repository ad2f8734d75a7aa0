# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches that are built again for another kernel."""

from __future__ import annotations

from suture.errors.refusal import Kind

SOURCES_NOT_CARRIED = Kind(
    "sources-not-carried",
    "Suture builds a live patch again from the sources in its module; modules of other tools, of "
    "single C modules and of older versions of Suture have none.",
    "Build it from its patch: 'suture build PATCH --kernel RELEASE', then 'suture install'.",
)
SIGNER_NEEDED = Kind(
    "signer-needed",
    "A live patch that is loaded only with a signature needs one for the new kernel too.",
    "Pass --sign-key and --sign-certificate, or build it on the host that has the key.",
)
LAB_TEST_FAILED = Kind(
    "lab-test-failed",
    "The new module was loaded and unloaded in a virtual machine with the new kernel, and what is "
    "shown went wrong there. It was not installed.",
    "Look at it with 'suture rebuild NAME --kernel RELEASE -o DIR --no-test' and 'suture test'.",
)

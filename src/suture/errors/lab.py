# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual machine."""

from __future__ import annotations

from suture.errors.refusal import Kind

LAB_BOOT_FAILED = Kind(
    "lab-boot-failed",
    "The target did not boot in the virtual machine; the last lines of its console are shown.",
    "Check QEMU on this host with 'suture doctor'.",
)
LAB_GUEST_DIED = Kind(
    "lab-guest-died",
    "The kernel in the virtual machine stopped; the last lines of its log are shown.",
    "If this came with the live patch, the patch is not safe to load.",
)
LAB_DEADLINE = Kind(
    "lab-deadline",
    "The step did not end in time; the last lines of the kernel log are shown.",
    "Allow the step more time if it needs it; otherwise find out what it waits for.",
)
LAB_PUT_FAILED = Kind(
    "lab-put-failed",
    "The guest keeps all its files in memory.",
    "Give the machine more memory, or fewer files.",
)
LAB_PREPARE_FAILED = Kind(
    "lab-prepare-failed",
    "A module that the live patch changes or needs does not load in the guest.",
    "Use a module that loads without its hardware, or test the patch without that object.",
)
LAB_LOAD_FAILED = Kind(
    "lab-load-failed",
    "The target's kernel rejects the live patch module; its messages are shown.",
    "Build the module for exactly this kernel release: 'suture build PATCH --kernel RELEASE'.",
)
LAB_NOT_ENABLED = Kind(
    "lab-not-enabled",
    "The kernel loaded the module but did not enable the live patch; its log is shown.",
    "Look for the reason in the kernel log.",
)
LAB_TRANSITION_STALLED = Kind(
    "lab-transition-stalled",
    "The tasks shown have a replaced function on their stacks and do not leave it.",
    "Do not replace a function in which tasks sleep forever; replace one that it calls instead.",
)
LAB_UNLOAD_FAILED = Kind(
    "lab-unload-failed",
    "The live patch loads but cannot be unloaded again; the kernel's messages are shown.",
    "Look for the reason in the kernel log.",
)
LAB_SCRIPT_FAILED = Kind(
    "lab-script-failed",
    "The script's exit status says whether the new code works, and it says that it does not.",
    "Read the script's output; its last lines are shown.",
)
LAB_WORKLOAD_ENDED = Kind(
    "lab-workload-ended",
    "What kept the guest busy did not go on to the end, so the rounds say less than they seem to.",
    "Look whether a script ended it, or the live patch: the test without --workload says.",
)
LAB_STAYS_IN_MEMORY = Kind(
    "lab-stays-in-memory",
    "Something outside the module may still use its code or data, so it is never unloaded.",
    "Test it without --rounds; each test boots anew.",
)
LAB_DRIVER_MISSING = Kind(
    "lab-driver-missing",
    "The terminal and the shared directory are virtio devices, and the target has to know them.",
    "Name the files that the guest needs, which are copied in, or take a kernel with the driver.",
)

# SPDX-License-Identifier: GPL-2.0-or-later
"""The throwaway machine."""

from __future__ import annotations

from suture.errors.refusal import Kind

LAB_BOOT_FAILED = Kind(
    "lab-boot-failed",
    "The target did not come up in the virtual machine; the last lines that it printed are shown.",
    "See whether 'suture doctor' finds anything wrong with QEMU on this host, and give the boot more time.",
)
LAB_GUEST_DIED = Kind(
    "lab-guest-died",
    "The kernel in the virtual machine stopped; the last lines of its log are shown.",
    "If this came with the live patch, the patch is not safe to load.",
)
LAB_DEADLINE = Kind(
    "lab-deadline",
    "The step did not end in the time it was given; the last lines of the kernel log are shown.",
    "Give the step more time if it needs it; otherwise find out what it waits for.",
)
LAB_PUT_FAILED = Kind(
    "lab-put-failed",
    "The guest has all of its files in memory.",
    "Give the machine more memory, or put in less.",
)
LAB_PREPARE_FAILED = Kind(
    "lab-prepare-failed",
    "A module that the live patch changes or needs could not be loaded in the guest.",
    "Use a module that loads without its hardware, or test the patch without that object.",
)
LAB_LOAD_FAILED = Kind(
    "lab-load-failed",
    "The target's kernel does not take the live patch module; what it says about it is shown.",
    "Build the module for exactly this kernel release: 'suture build --kernel R'.",
)
LAB_NOT_ENABLED = Kind(
    "lab-not-enabled",
    "The livepatch core took the module and did not put the patch into force; its log is shown.",
    "See what the kernel log says about the patch.",
)
LAB_TRANSITION_STALLED = Kind(
    "lab-transition-stalled",
    "The tasks shown have a function that is being replaced on their stack and do not leave it.",
    "Do not replace a function that tasks sleep in for ever, or replace the one it calls instead.",
)
LAB_UNLOAD_FAILED = Kind(
    "lab-unload-failed",
    "The live patch can be loaded and cannot be taken out again; what the kernel says about it is shown.",
    "See what the kernel log says about the patch.",
)
LAB_SCRIPT_FAILED = Kind(
    "lab-script-failed",
    "The script says with its exit status whether the new code does what it should.",
    "See the script's output: the last lines are shown.",
)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Compiling."""

from __future__ import annotations

from suture.errors.refusal import Kind

COMPILER_MISMATCH = Kind(
    "compiler-mismatch",
    "Only the compiler that built the target gives the code that is running there.",
    "Install exactly that compiler and run the same command again.",
)
CONFIG_DIFFERS = Kind(
    "config-differs",
    "Code compiled with other options than the target's is not the code that is running there.",
    "Install what these options depend on ('suture doctor' names it), or use the source the target was built from.",
)
SOURCE_MISSING = Kind(
    "source-missing",
    "A changed file can only be compiled from the source that the target was built from.",
    "Fetch the target's source package: 'suture kernel fetch'.",
)
SOURCE_MISMATCH = Kind(
    "source-mismatch",
    "Code compiled from another source is not the code that is running there.",
    "Give the source that the target was built from.",
)
SOURCE_DAMAGED = Kind(
    "source-damaged",
    "The source archive cannot be unpacked.",
    "Delete it and fetch it again.",
)
WORKSPACE_FAILED = Kind(
    "workspace-failed",
    "The kernel's own build system could not prepare the source tree.",
    "Mend what the message names ('suture doctor' lists the tools kbuild needs) and run the same command again.",
)
FILE_NOT_BUILT = Kind(
    "file-not-built",
    "The target holds no code from this file, so there is nothing that a live patch could replace.",
    "Leave the file out of the patch, or choose a target whose configuration builds it.",
)
SEPARATE_PROGRAM = Kind(
    "separate-program",
    "The kernel image carries this code along, but it is no part of the kernel that runs.",
    "Leave the file out of the patch; only booting a new kernel changes it.",
)
SHARED_OBJECT = Kind(
    "shared-object",
    "The file is linked into more than one module, and a live patch names one object for each function.",
    "Nothing can be done yet: patch such a file by booting a new kernel.",
)
ORIGINAL_DOES_NOT_COMPILE = Kind(
    "original-does-not-compile",
    "The file as the target has it does not compile here, before any change.",
    "Check that compiler and tools are the target's ('suture doctor').",
)
PATCH_DOES_NOT_COMPILE = Kind(
    "patch-does-not-compile",
    "The patched file does not compile; the compiler's message is shown.",
    "Mend the patch. If it was written for another kernel version, backport it to the target's source.",
)
PATCH_DOES_NOT_APPLY = Kind(
    "patch-does-not-apply",
    "The target's source differs from the source the patch was made for.",
    "Backport the patch to the target's source and make the diff again.",
)
PATCH_ALREADY_APPLIED = Kind(
    "patch-already-applied",
    "The target's source already contains this change.",
    "Nothing is left to patch: the target has the fix.",
)
ASSEMBLY_FILE = Kind(
    "assembly-file",
    "Functions written in assembly have no fentry call, so the kernel cannot redirect them.",
    "Leave the file out of the patch, or make the change in the C code that calls it.",
)
BUILD_SYSTEM_CHANGED = Kind(
    "build-system-changed",
    "The change takes effect through the build of a whole kernel, not through the code of single functions.",
    "Leave the file out of the patch and make the change in C code, or boot a new kernel.",
)
SOURCE_RENAMED = Kind(
    "source-renamed",
    "Code that moves to another file is compiled into another object; that cannot be compared function by function.",
    "Make the change in the file where it is.",
)
SOURCE_REMOVED = Kind(
    "source-removed",
    "A live patch replaces functions; it cannot remove the code that a deleted file held.",
    "Keep the file and change its functions.",
)
GENERATED_HEADER_CHANGED = Kind(
    "generated-header-changed",
    "A number that the build computes from C for assembly code and other headers changes with this patch.",
    "Nothing can be done yet: such a number is built into the whole kernel.",
)
MODULE_LINK_FAILED = Kind(
    "module-link-failed",
    "The kernel's own build system could not link the module; its message is shown.",
    "Mend what the message names.",
)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Compilation."""

from __future__ import annotations

from suture.errors.refusal import Kind

COMPILER_MISMATCH = Kind(
    "compiler-mismatch",
    "Only the compiler that built the target produces the code that runs there.",
    "Install exactly that compiler, or configure an archive that has it, and run the same command "
    "again.",
)
COMPILER_DIFFERS = Kind(
    "compiler-differs",
    "The very compiler that built the target is in no archive of this host. One of the same "
    "version with another name or from another upload makes the same code of nearly everything, "
    "and each function that is replaced is compared with the shipped one.",
    "Nothing needs to be done. If functions are not proved equal, get the very compiler.",
)
CONFIG_DIFFERS = Kind(
    "config-differs",
    "With other options than the target's, the source does not compile to the code that runs "
    "there.",
    "Install what these options depend on ('suture doctor' names it), or use the source the "
    "target was built from.",
)
SOURCE_MISSING = Kind(
    "source-missing",
    "Suture can compile a changed file only from the source that the target was built from.",
    "Fetch the target's source package: 'suture kernel fetch RELEASE'.",
)
SOURCE_MISMATCH = Kind(
    "source-mismatch",
    "Another source does not compile to the code that the target runs.",
    "Give the source that the target was built from.",
)
SOURCE_DAMAGED = Kind(
    "source-damaged",
    "The source archive cannot be unpacked.",
    "Delete it and fetch it again.",
)
KBUILD_UNSUPPORTED = Kind(
    "kbuild-unsupported",
    "Suture has kbuild list and compile single objects from the top of the tree. Until Linux 6.0, "
    "kbuild works in another way there, for which nothing is written.",
    "Choose a kernel of 6.1 or later; docs/targets.md says what older ones lack.",
)
WORKSPACE_FAILED = Kind(
    "workspace-failed",
    "kbuild could not prepare the source tree.",
    "Fix what the message names ('suture doctor' lists the tools that kbuild needs), and run the "
    "same command again.",
)
FILE_NOT_BUILT = Kind(
    "file-not-built",
    "The target contains no code from this file, so there is nothing to replace.",
    "Leave the file out of the patch, or choose a target with a configuration that builds it.",
)
SEPARATE_PROGRAM = Kind(
    "separate-program",
    "The kernel image contains this code, but it is not part of the running kernel.",
    "Leave the file out of the patch; only booting a new kernel changes it.",
)
SHARED_OBJECT = Kind(
    "shared-object",
    "The file is linked into more than one module, and a live patch names one object for each "
    "function.",
    "Suture cannot patch such a file yet: boot a kernel with the fix.",
)
ORIGINAL_DOES_NOT_COMPILE = Kind(
    "original-does-not-compile",
    "The target's own file, without any change, does not compile here.",
    "Check that compiler and tools match the target's ('suture doctor').",
)
PATCH_DOES_NOT_COMPILE = Kind(
    "patch-does-not-compile",
    "The patched file does not compile; the compiler's message is shown.",
    "Fix the patch. If it was written for another kernel version, backport it to the target's "
    "source.",
)
PATCH_DOES_NOT_APPLY = Kind(
    "patch-does-not-apply",
    "The target's source differs from the source that the patch was made for.",
    "Backport the patch to the target's source and make the diff again. Where only lines around "
    "the change differ, --fuzz lets them; for a commit of --git, --3way merges it.",
)
PATCH_ALREADY_APPLIED = Kind(
    "patch-already-applied",
    "The target's source already contains this change.",
    "There is nothing to patch: the target has the fix.",
)
ASSEMBLY_FILE = Kind(
    "assembly-file",
    "Functions written in assembly have no fentry call, so the kernel cannot redirect them.",
    "Leave the file out of the patch, or make the change in the C code that calls it.",
)
BUILD_SYSTEM_CHANGED = Kind(
    "build-system-changed",
    "The change takes effect when a whole kernel is built, not in single functions.",
    "Leave the file out of the patch and make the change in C code, or boot a new kernel.",
)
SOURCE_RENAMED = Kind(
    "source-renamed",
    "Code that moves to another file is compiled into another object, so Suture cannot compare "
    "its functions.",
    "Make the change in the file where the code is.",
)
SOURCE_REMOVED = Kind(
    "source-removed",
    "A live patch replaces functions; it cannot remove the code of a deleted file.",
    "Keep the file and change its functions.",
)
GENERATED_HEADER_CHANGED = Kind(
    "generated-header-changed",
    "The patch changes a number that the build computes from C for assembly code and other "
    "headers, and the whole kernel was compiled with the old one.",
    "Suture cannot patch this yet: boot a kernel with the fix.",
)
MODULE_LINK_FAILED = Kind(
    "module-link-failed",
    "kbuild could not link the module; its message is shown.",
    "Fix what the message names.",
)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches written as C modules."""

from __future__ import annotations

from suture.errors.refusal import Kind

NOT_A_MODULE_SOURCE = Kind(
    "not-a-module-source",
    "Suture builds kGraft and livepatch modules from a C file, from a directory with a Makefile, "
    "and from SUSE's live patch directories.",
    "Give one of these.",
)
NOT_A_LIVE_PATCH_SOURCE = Kind(
    "not-a-live-patch-source",
    "A live patch names the functions it replaces in a struct klp_patch or a struct kgr_patch.",
    "Give the file or directory that contains it; a module that patches nothing is built with "
    "kbuild alone.",
)
SOURCE_TOO_LARGE = Kind(
    "source-too-large",
    "Suture reads all C files of the directory before it compiles anything.",
    "Give the directory of the live patch alone.",
)
INCLUDE_CYCLE = Kind(
    "include-cycle",
    "Headers that include each other without include guards cannot be compiled.",
    "Add include guards, or break the cycle.",
)
MAKEFILE_NOT_UNDERSTOOD = Kind(
    "makefile-not-understood",
    "Suture reads a patch's Makefile without running it, and cannot tell what this line would "
    "build.",
    "Write obj-m, NAME-y and ccflags-y (-I, -D, -U) in plain words.",
)
MAKEFILE_ESCAPES = Kind(
    "makefile-escapes",
    "A patch is built only from files in its own directory and the target's headers.",
    "Move what the line names into the directory.",
)
PLACEHOLDER_LEFT = Kind(
    "placeholder-left",
    "SUSE's packaging does not fill in this placeholder, so nothing says what belongs there.",
    "Write out what it stands for.",
)
SUSE_FIX_INCOMPLETE = Kind(
    "suse-fix-incomplete",
    "Every directory beside livepatch_main.c is a fix: NAME/livepatch_NAME.h declares its init "
    "and cleanup functions, and NAME/patched_funcs.csv lists the functions it replaces.",
    "Add what is missing, or move the directory away.",
)
SUSE_FIX_ASSEMBLER = Kind(
    "suse-fix-assembler",
    "SUSE's packaging would assemble this file into the live patch; Suture compiles C files alone.",
    "Choose other fixes with --only, or write the code in C.",
)
SUSE_FIX_UNKNOWN = Kind(
    "suse-fix-unknown",
    "--only chooses fixes in a directory with a livepatch_main.c, by the names of their "
    "directories.",
    "Name a fix that is there.",
)
SUSE_FIXES_MISFIT = Kind(
    "suse-fixes-misfit",
    "Suture tried each fix of the directory by itself; together, they make a live patch only if "
    "each one fits this kernel.",
    "Choose other fixes with --only, or mend these for this kernel.",
)
PATCHED_FUNCS_MALFORMED = Kind(
    "patched-funcs-malformed",
    "A line of patched_funcs.csv reads OBJECT OLD_FUNCTION[,SYMPOS] NEW_FUNCTION [CONDITION].",
    "Write the line in this form.",
)
MODULE_DOES_NOT_COMPILE = Kind(
    "module-does-not-compile",
    "The author's source does not compile against the target's headers; the compiler's messages "
    "are shown.",
    "Fix the source. If it was written for another kernel version, adapt it to the target's.",
)
KGRAFT_TABLE_MALFORMED = Kind(
    "kgraft-table-malformed",
    "A kGraft patch is one struct kgr_patch, made of KGR_PATCH() entries and terminated by "
    "KGR_PATCH_END.",
    "Write the table this way; put two patches into two modules, or into one table.",
)
LIVEPATCH_TABLE_MALFORMED = Kind(
    "livepatch-table-malformed",
    "The livepatch core reads the tables of a struct klp_patch up to an empty entry, and accepts "
    "each object and each function once.",
    "Fix the table; include/linux/livepatch.h and Documentation/livepatch/livepatch.rst describe "
    "it.",
)
PROTOTYPE_DIFFERS = Kind(
    "prototype-differs",
    "The new function gets the old one's arguments, and its callers use its result, so the two "
    "must have the same prototype.",
    "Give the new function the prototype that the target's source has.",
)
SYSCALL_UNKNOWN = Kind(
    "syscall-unknown",
    "Since Linux 4.17 a system call's entry takes struct pt_regs *, so a function with plain "
    "arguments needs a wrapper, and Suture needs the target's own definition of the call to write "
    "it.",
    "Name a system call that the target has.",
)
OBJECT_NOT_PATCHED = Kind(
    "object-not-patched",
    "The livepatch core resolves a module's symbols when it patches that module; nothing would "
    "resolve these.",
    "Replace a function of that module in the same live patch, or remove the reference.",
)
MODULE_REFERENCE_UNSAFE = Kind(
    "module-reference-unsafe",
    "The livepatch core resolves a module's symbols whenever that module is loaded. By then this "
    "part of the live patch has been freed or has already run.",
    "Use the symbol only in new functions and callbacks, not in init functions.",
)
MODULE_STANDS_ALONE = Kind(
    "module-stands-alone",
    "A kGraft or livepatch module is complete: it states itself what it replaces and changes.",
    "Build it without this option.",
)
MODULES_SEVERAL = Kind(
    "modules-several",
    "The command builds one live patch module, and the Makefile lists several.",
    "Give one C file, or run 'suture build DIRECTORY' with no other input to build all of them.",
)
FUNCTION_REPLACED_TWICE = Kind(
    "function-replaced-twice",
    "The livepatch core would silently use only one of the two replacements.",
    "Keep one, with both changes in it.",
)
OBJECT_UNKNOWN = Kind(
    "object-unknown",
    "Functions of a module that this kernel does not ship cannot be checked.",
    "Name a module that it has. If the module is your own, give the directory with the Makefile "
    "that builds both.",
)
STATES_SEVERAL = Kind(
    "states-several",
    "A live patch has one table of states (klp_patch.states), and the code of each author writes "
    "to its own.",
    "Build them as separate live patches (--no-replace), or put the states into one table in one "
    "module.",
)

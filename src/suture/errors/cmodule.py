# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that are C modules."""

from __future__ import annotations

from suture.errors.refusal import Kind

NOT_A_MODULE_SOURCE = Kind(
    "not-a-module-source",
    "Suture builds kGraft and livepatch modules from a C file, from a directory with a Makefile, and from SUSE's "
    "directories of live patches.",
    "Give one of these.",
)
NOT_A_LIVE_PATCH_SOURCE = Kind(
    "not-a-live-patch-source",
    "A live patch names the functions that it replaces: in a struct klp_patch, or in a struct kgr_patch.",
    "Give the file or directory that has it; a module that patches nothing is built with the kernel's own kbuild.",
)
SOURCE_TOO_LARGE = Kind(
    "source-too-large",
    "All C files of the directory are read before anything is compiled.",
    "Give the directory of the live patch alone.",
)
INCLUDE_CYCLE = Kind(
    "include-cycle",
    "Headers that include each other, with nothing that ends it, cannot be compiled.",
    "Give them include guards, or break the circle.",
)
MAKEFILE_NOT_UNDERSTOOD = Kind(
    "makefile-not-understood",
    "Makefiles of a patch are read and never run, and this line decides what is built in a way that cannot be read.",
    "Write obj-m, NAME-y and ccflags-y (-I, -D, -U) out in plain words.",
)
MAKEFILE_ESCAPES = Kind(
    "makefile-escapes",
    "A patch is built from the files of its own directory and the target's headers, from nothing else.",
    "Move what it names into the directory.",
)
PLACEHOLDER_LEFT = Kind(
    "placeholder-left",
    "The place holder is none that SUSE's packaging fills in, so that nobody knows what is meant to stand there.",
    "Write out what it stands for.",
)
SUSE_FIX_INCOMPLETE = Kind(
    "suse-fix-incomplete",
    "Every directory beside livepatch_main.c is a fix: NAME/livepatch_NAME.h declares its init and cleanup functions, "
    "and NAME/patched_funcs.csv lists the functions that it replaces.",
    "Add what is missing, or move the directory away.",
)
PATCHED_FUNCS_MALFORMED = Kind(
    "patched-funcs-malformed",
    "A line of patched_funcs.csv is OBJECT OLD_FUNCTION[,SYMPOS] NEW_FUNCTION [CONDITION].",
    "Write the line so.",
)
MODULE_DOES_NOT_COMPILE = Kind(
    "module-does-not-compile",
    "The author's source does not compile against the target's headers; the compiler's words are shown.",
    "Mend the source. If it was written for another kernel version, adapt it to the target's.",
)
KGRAFT_TABLE_MALFORMED = Kind(
    "kgraft-table-malformed",
    "A kGraft patch is one struct kgr_patch, made of KGR_PATCH() entries and ended by KGR_PATCH_END.",
    "Write the table so; two patches go into two modules, or into one table.",
)
LIVEPATCH_TABLE_MALFORMED = Kind(
    "livepatch-table-malformed",
    "The core walks through the tables of a struct klp_patch until an empty entry, and takes each object and each "
    "function once.",
    "Mend the table; include/linux/livepatch.h and Documentation/livepatch/livepatch.rst say what it has to be.",
)
PROTOTYPE_DIFFERS = Kind(
    "prototype-differs",
    "The new function is called with the old one's arguments and its callers use what that returned, so both have to "
    "be of one type.",
    "Give the new function the type that the target's source has.",
)
SYSCALL_UNKNOWN = Kind(
    "syscall-unknown",
    "Since Linux 4.17 a system call's entry takes struct pt_regs *, so that a function of plain arguments needs a "
    "wrapper, and Suture has to know the target's own definition to write it.",
    "Name a system call that the target has.",
)
OBJECT_NOT_PATCHED = Kind(
    "object-not-patched",
    "The core resolves a module's symbols when that module is patched; nobody would resolve these.",
    "Replace a function of that module in the same live patch, or leave the reference out.",
)
MODULE_REFERENCE_UNSAFE = Kind(
    "module-reference-unsafe",
    "A module's symbols are written into a live patch whenever that module comes; by then this part of the live patch "
    "is gone, or has been used.",
    "Use the symbol in the new functions or in callbacks only, not in init functions.",
)
MODULE_STANDS_ALONE = Kind(
    "module-stands-alone",
    "A kGraft or livepatch module is an author's whole module: it says itself what it replaces and what it changes.",
    "Build it without this option.",
)
MODULES_SEVERAL = Kind(
    "modules-several",
    "One live patch module was asked for, and the Makefile lists more.",
    "Give the C file alone, or let 'suture build DIRECTORY', with nothing else, make them all.",
)
FUNCTION_REPLACED_TWICE = Kind(
    "function-replaced-twice",
    "The core would let one of the two replacements win, silently.",
    "Keep one, with both changes in it.",
)
OBJECT_UNKNOWN = Kind(
    "object-unknown",
    "Nothing could be checked of what is to be replaced in a module that is not part of this kernel.",
    "Name a module that it has. If the module is your own, give the directory whose Makefile builds both.",
)
STATES_SEVERAL = Kind(
    "states-several",
    "A live patch has one table of states (klp_patch.states), and each author's code uses its own, to which it writes.",
    "Build them as live patches of their own (--no-replace), or put the states into one table in one module.",
)

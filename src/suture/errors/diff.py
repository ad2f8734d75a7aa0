# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparing and cutting out."""

from __future__ import annotations

from suture.errors.refusal import Kind

RELOCATION_UNSUPPORTED = Kind(
    "relocation-unsupported",
    "Code with this kind of relocation cannot be moved into a live patch module.",
    "If the patch can do without the construct at that place, rewrite it; otherwise report the file and the type.",
)
SYMBOL_UNSUPPORTED = Kind(
    "symbol-unsupported",
    "The symbol is of a kind that a live patch cannot refer to.",
    "If the patch can do without it, rewrite it; otherwise report the file and the symbol.",
)
NO_CODE_CHANGE = Kind(
    "no-code-change",
    "The patch applies, but the code that the compiler makes of it is the same as before: there is nothing to replace.",
    "If the patch changes more than comments, check that it is meant for this kernel's configuration.",
)
INIT_FUNCTION_CHANGED = Kind(
    "init-function-changed",
    "It ran once, at boot or when its module was loaded, and its memory is gone; no live patch can reach it.",
    "Leave that part out. If the change needs new state, set it up in a pre-patch callback.",
)
EXIT_FUNCTION_CHANGED = Kind(
    "exit-function-changed",
    "What is marked __exit runs once, when its module is unloaded, and is never traced (include/linux/init.h), so the "
    "kernel cannot redirect it.",
    "Leave that part out, or make the change in a function that the exit function calls.",
)
FUNCTION_NOT_TRACEABLE = Kind(
    "function-not-traceable",
    "Live patching redirects a function through the fentry call at its start, and this function has none.",
    "Change a function that calls it instead, or move the change into one.",
)
DATA_CHANGED = Kind(
    "data-changed",
    "The kernel has had this data since boot; replacing code does not change what is in memory.",
    "Leave the initial value as it is, and take the new value where the code reads it.",
)
DATA_UNPATCHABLE = Kind(
    "data-unpatchable",
    "A live patch may change a variable in memory only if it can be shown that nothing else has written it or will, "
    "and that what it then points to stays.",
    "Leave the initial value as it is, and take the new value where the code reads it.",
)
DATA_UNKEEPABLE = Kind(
    "data-unkeepable",
    "What --keep-data names stays as it is in the running kernel, and changed code would find there what it was not "
    "made for.",
    "Take the new value where the code reads it, or give the changed variable a new name in the patch: the code that "
    "uses it then brings it along.",
)
DATA_NOT_CHANGED = Kind(
    "data-not-changed",
    "Each --patch-data and each --keep-data is to name a variable whose initial value the patch changes, and none is "
    "to be named by both.",
    "Check the name; a static variable of a function goes by its plain name.",
)
SECTION_CHANGED = Kind(
    "section-changed",
    "The kernel reads tables that are made of such sections, most of them once, at boot or module load. What it does "
    "with this one is not known here, so a change in it could do nothing, or harm.",
    "Leave the part of the patch that adds, removes or changes such an entry out.",
)
TRACEPOINT_CHANGED = Kind(
    "tracepoint-changed",
    "A tracepoint is known to the kernel through lists that are read at boot and module load, and until 6.3 the kernel "
    "passes over those of a live patch module (kernel/tracepoint.c: trace_module_has_bad_taint()).",
    "Leave the tracepoint out of the patch, or print with pr_debug() or trace an existing one in its place.",
)
AMBIGUOUS_LOCAL = Kind(
    "ambiguous-local",
    "Several static variables of one name could be meant, and taking the wrong one would share the wrong data.",
    "Give the new or moved variable a name of its own.",
)
FUNCTIONS_MERGED = Kind(
    "functions-merged",
    "The compiler made several functions or variables with equal contents into one, before the patch or after it, but "
    "not both times; the running kernel's callers cannot be told apart accordingly.",
    "Make the functions differ, or mark them noinline with __attribute__((no_icf)) in the patch.",
)
INIT_REFERENCED = Kind(
    "init-referenced",
    "Changed code refers to something in memory that the kernel gave back after boot or module load.",
    "Leave the reference out, or take the __init or __exit mark away in a function or variable of the patch's own.",
)
ENTRY_MALFORMED = Kind(
    "entry-malformed",
    "The section's contents do not have the shape that the target's own headers give them.",
    "Check that source and configuration are the target's; with 'suture diff', give the right --entry-size.",
)
SPECIAL_REFERENCE_UNSUPPORTED = Kind(
    "special-reference-unsupported",
    "The kernel reads this entry when the live patch module is loaded, before the patched module's symbols can be "
    "resolved.",
    "Rewrite the changed code so that the instruction that is chosen at load refers to nothing of the module.",
)
MODULE_STATIC_KEY = Kind(
    "module-static-key",
    "The kernel sets up static branches when the live patch module is loaded, before a key of the patched module can "
    "be reached. Code that reads the key itself can do without, if the compiler makes it the same in all else.",
    "Rewrite the changed code with static_key_enabled() in place of the static branch.",
)
ENTRY_SIZE_UNKNOWN = Kind(
    "entry-size-unknown",
    "How large an entry of this section is differs between kernels, and neither the symbols' file has BTF nor the "
    "objects have debug information that would say it.",
    "Give it with --entry-size; 'pahole -s' of a kernel with debug information lists the sizes of structs.",
)
CALLBACK_DUPLICATE = Kind(
    "callback-duplicate",
    "kpatch takes one callback of each kind for an object, and the order of two in one file would be anyone's guess.",
    "Call both from one function, and name that one.",
)
CALLBACK_UNUSABLE = Kind(
    "callback-unusable",
    "A callback is called long after boot, by its address in the live patch.",
    "Name a function of the same file, without __init or __exit, by the macros that docs/formats.md lists.",
)
IGNORED_NOT_FOUND = Kind(
    "ignored-not-found",
    "What the patch wants to be looked away from has to be there, or a slip of the pen would change what is built.",
    "Name a section of the patched object ('objdump -h'); each function and variable has one of its own.",
)
REVERSAL_VETO = Kind(
    "reversal-veto",
    "Ksplice let such a function refuse that the patch be taken out. The kernel's core calls what is to run before "
    "that, and does not ask whether it may (include/linux/livepatch.h: struct klp_callbacks.pre_unpatch).",
    "If it always returns 0, let it do so at its end, where that can be seen; else take the condition out.",
)

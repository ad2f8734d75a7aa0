# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparison of the original and patched objects."""

from __future__ import annotations

from suture.errors.refusal import Kind

RELOCATION_UNSUPPORTED = Kind(
    "relocation-unsupported",
    "Suture cannot move code with this type of relocation into a live patch module.",
    "If the patch can do without the construct at that place, rewrite it; otherwise report the "
    "file and the type.",
)
SYMBOL_UNSUPPORTED = Kind(
    "symbol-unsupported",
    "A live patch cannot refer to this kind of symbol.",
    "If the patch can do without it, rewrite it; otherwise report the file and the symbol.",
)
NO_CODE_CHANGE = Kind(
    "no-code-change",
    "The patch applies, but it compiles to the same code as before, so there is nothing to "
    "replace.",
    "If the patch changes more than comments, check that this kernel's configuration builds the "
    "code it changes.",
)
INIT_FUNCTION_CHANGED = Kind(
    "init-function-changed",
    "It ran once, at boot or when its module was loaded, and its memory has been freed; no live "
    "patch can reach it.",
    "Leave that part out. If the change needs new state, set it up in a pre-patch callback.",
)
EXIT_FUNCTION_CHANGED = Kind(
    "exit-function-changed",
    "An __exit function runs once, when its module is unloaded, and is never traced "
    "(include/linux/init.h), so the kernel cannot redirect it.",
    "Leave that part out, or make the change in a function that the exit function calls.",
)
FUNCTION_NOT_TRACEABLE = Kind(
    "function-not-traceable",
    "Livepatch redirects a function through the fentry call at its start, and this function has "
    "none.",
    "Make the change in a function that calls it.",
)
DATA_CHANGED = Kind(
    "data-changed",
    "This data is already in memory, and replacing functions does not change it.",
    "Keep the initial value, and apply the new value where the code reads it.",
)
DATA_UNPATCHABLE = Kind(
    "data-unpatchable",
    "A live patch may change a variable in memory only if nothing else has written to it or will, "
    "and if the kernel can find whatever its values point to.",
    "Keep the initial value, and apply the new value where the code reads it.",
)
DATA_UNKEEPABLE = Kind(
    "data-unkeepable",
    "--keep-data leaves this variable as it is in the running kernel, and the changed code was "
    "not made for that.",
    "Apply the new value where the code reads it, or rename the changed variable in the patch: "
    "the live patch then brings its own.",
)
DATA_NOT_CHANGED = Kind(
    "data-not-changed",
    "Each --patch-data and --keep-data must name a variable that gets a new initial value from "
    "the patch, and no variable may be given to both.",
    "Check the name. A static variable of a function goes by its plain name.",
)
SECTION_CHANGED = Kind(
    "section-changed",
    "The kernel gives sections like this one a meaning of their own, in most cases only at boot "
    "or module load. Suture does not know how it uses this one, so a change here might do "
    "nothing, or do harm.",
    "Leave out the part of the patch that adds, removes or changes such an entry.",
)
TRACEPOINT_CHANGED = Kind(
    "tracepoint-changed",
    "The kernel learns of tracepoints from lists that it reads at boot and module load, and "
    "before 6.3 it skips those of a live patch module (kernel/tracepoint.c: "
    "trace_module_has_bad_taint()).",
    "Leave the tracepoint out of the patch; print with pr_debug(), or use an existing tracepoint "
    "instead.",
)
AMBIGUOUS_LOCAL = Kind(
    "ambiguous-local",
    "Several static variables have this name, and using the wrong one would share the wrong data.",
    "Give the new or moved variable a unique name.",
)
FUNCTIONS_MERGED = Kind(
    "functions-merged",
    "The compiler merged several functions or variables with equal contents, but only before the "
    "patch or only after it, so Suture cannot tell which of them a caller means.",
    "If the patch makes them equal, mark one of them noinline and __attribute__((no_icf)). If it "
    "makes them differ, leave them unchanged and call a new function instead.",
)
INIT_REFERENCED = Kind(
    "init-referenced",
    "The changed code refers to memory that the kernel freed after boot or module load.",
    "Drop the reference or, if the function or variable is the patch's own, its __init or __exit.",
)
ENTRY_MALFORMED = Kind(
    "entry-malformed",
    "The section's contents do not match the structure in the target's own headers.",
    "Check that source and configuration are the target's; with 'suture diff', check --entry-size.",
)
SPECIAL_REFERENCE_UNSUPPORTED = Kind(
    "special-reference-unsupported",
    "The kernel processes this entry when it loads the live patch module, before it can resolve "
    "symbols of the patched module.",
    "Rewrite the changed code so that the instruction chosen at load refers to nothing in the "
    "module.",
)
BOOT_CONSTANT_COPIED = Kind(
    "boot-constant-copied",
    "The kernel writes this number into its own code at boot, and not into modules: new code with "
    "it would use a placeholder.",
    "Change another function, such as the callers of this one.",
)
MODULE_STATIC_KEY = Kind(
    "module-static-key",
    "The kernel sets up static branches when it loads the live patch module, before it can reach "
    "a key in the patched module. Suture compiles such code to read the key instead, but only if "
    "nothing else about the code changes.",
    "Use static_key_enabled() instead of the static branch in the changed code.",
)
ENTRY_SIZE_UNKNOWN = Kind(
    "entry-size-unknown",
    "The size of an entry in this section differs between kernels, and neither BTF in the symbols "
    "file nor debug information or relocations in the objects give it.",
    "Give it with --entry-size; 'pahole -s' on a kernel with debug information lists the sizes of "
    "structs.",
)
CALLBACK_DUPLICATE = Kind(
    "callback-duplicate",
    "An object has one callback of each kind, and nothing says in which order two would run.",
    "Call both from one function, and name that one.",
)
CALLBACK_UNUSABLE = Kind(
    "callback-unusable",
    "The kernel calls callbacks by their address in the live patch, long after boot.",
    "Name a function of the same file, without __init or __exit, with the macros that "
    "docs/formats.md lists.",
)
IGNORED_NOT_FOUND = Kind(
    "ignored-not-found",
    "KPATCH_IGNORE_* must name something that exists; otherwise a typo would change what is built.",
    "Name a section of the patched object ('objdump -h'); each function and variable has its own.",
)
REVERSAL_VETO = Kind(
    "reversal-veto",
    "Ksplice allows this function to veto the removal of the patch. In the kernel's livepatch "
    "core it becomes a pre_unpatch callback, which returns nothing (include/linux/livepatch.h: "
    "struct klp_callbacks).",
    "If it always returns 0, end it with a plain 'return 0;'; otherwise remove the condition.",
)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Is it the running kernel?."""

from __future__ import annotations

from suture.errors.refusal import Kind

PRE_IMAGE_MISMATCH = Kind(
    "pre-image-mismatch",
    "What the source compiles to is not what this kernel runs, so a change to it would not be what was meant.",
    "Check that source version, configuration and compiler are the target's: 'suture kernel show R', 'suture doctor'.",
)
FUNCTION_NOT_IN_KERNEL = Kind(
    "function-not-in-kernel",
    "The shipped kernel does not hold this code: the file is not built into it, or something overrides it.",
    "Leave that part of the patch out for this kernel.",
)
SYMBOL_AMBIGUOUS = Kind(
    "symbol-ambiguous",
    "Several symbols of this name are in the kernel and nothing shows which one is meant.",
    "Reach it through a function of the same file that already uses it, or through a symbol with a name of its own.",
)
SYMBOL_NOT_FOUND = Kind(
    "symbol-not-found",
    "A live patch can only refer to what the running kernel lists in its symbol table.",
    "Use something else that the kernel has, or bring a definition along in the patch.",
)
MODULE_DEPENDENCY_NEW = Kind(
    "module-dependency-new",
    "Nothing makes sure that the other module is loaded when this code is patched, and the kernel would then refuse "
    "the live patch, or the module itself.",
    "Keep to what the module already depends on ('modinfo -F depends MODULE'), or look the symbol up at run time with "
    "symbol_get().",
)
CALLER_UNCERTAIN = Kind(
    "caller-uncertain",
    "The function has no fentry call, so a live patch has to replace everything that calls it instead, and for this "
    "use that cannot be done: the old code would go on running there.",
    "Leave this function as it is, and make the change in a function that has a fentry call.",
)
CALLERS_TOO_MANY = Kind(
    "callers-too-many",
    "The function has no fentry call, so a live patch has to replace everything that calls it instead, and that is "
    "more than the bounds allow.",
    "Raise --caller-depth or --caller-limit, or make the change in a function that has a fentry call.",
)
THREAD_FUNCTION_REPLACED = Kind(
    "thread-function-replaced",
    "A task moves to the new code when no function that is replaced is on its stack, and a kernel thread is in its "
    "main function for as long as it lives: the transition would not end, nor would the one back.",
    "Make the change in a function that it calls. If no such thread runs while the live patch is loaded or taken out, "
    "say so with --replace-thread.",
)
THREAD_NOT_REPLACED = Kind(
    "thread-not-replaced",
    "Each --replace-thread is to name a function that the live patch replaces.",
    "Check the name.",
)
EXPORTED_PROTOTYPE_CHANGED = Kind(
    "exported-prototype-changed",
    "The function is exported: modules that were compiled with the old prototype, also such as are no part of this "
    "kernel, go on calling it in the old way.",
    "Leave this function as it is; add one of the new prototype under a new name, and let the patched code call that.",
)
PROTOTYPE_CHANGED = Kind(
    "prototype-changed",
    "Code that goes on calling the function in the old way would pass or take the wrong values.",
    "Let everything that calls it see the new declaration, in a header, or add a function of the new prototype under a "
    "new name.",
)

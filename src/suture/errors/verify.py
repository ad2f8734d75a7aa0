# SPDX-License-Identifier: GPL-2.0-or-later
"""Verification against the shipped kernel."""

from __future__ import annotations

from suture.errors.refusal import Kind

PRE_IMAGE_MISMATCH = Kind(
    "pre-image-mismatch",
    "The unpatched source does not compile to the code that this kernel runs, so a live patch "
    "built from it would change more than the patch does.",
    "Check that source version, configuration and compiler match the target: 'suture kernel show "
    "RELEASE', 'suture doctor'.",
)
FUNCTION_NOT_IN_KERNEL = Kind(
    "function-not-in-kernel",
    "The shipped kernel does not contain this code: its file is not built in, or another "
    "definition overrides it.",
    "Leave this part of the patch out for this kernel.",
)
SYMBOL_AMBIGUOUS = Kind(
    "symbol-ambiguous",
    "The kernel has several symbols of this name, and nothing shows which one is meant.",
    "Reach it through a function of the same file that already uses it, or use a symbol with a "
    "unique name.",
)
SYMBOL_NOT_FOUND = Kind(
    "symbol-not-found",
    "A live patch can refer only to symbols in the running kernel's symbol table.",
    "Use a symbol that the kernel has, or define the missing one in the patch.",
)
MODULE_DEPENDENCY_NEW = Kind(
    "module-dependency-new",
    "Nothing guarantees that the other module is loaded when this code is patched. If it is not, "
    "the kernel refuses the live patch or the patched module.",
    "Use only what the module already depends on ('modinfo -F depends MODULE'), or look the "
    "symbol up at run time with symbol_get().",
)
GLOBAL_DEFINED_TWICE = Kind(
    "global-defined-twice",
    "A name can have one global definition. With a second one, the files that the patch changes "
    "would use the new code, and all others go on using the old.",
    "Give the new function or variable a name of its own, or make it static. To change a function "
    "that moves to another file, change it where it is.",
)
STRONG_OVER_WEAK = Kind(
    "strong-over-weak",
    "When a kernel is built, a strong definition takes the place of a weak one for all callers. "
    "The running kernel is linked already: its callers call the weak function.",
    "Change the weak function itself, in the file that defines it.",
)
CALLER_UNCERTAIN = Kind(
    "caller-uncertain",
    "The function has no fentry call, so a live patch has to replace its callers instead. It "
    "cannot replace this use of the function, so the old code would still run there.",
    "Leave this function unchanged, and make the change in a function that has a fentry call.",
)
CALLERS_TOO_MANY = Kind(
    "callers-too-many",
    "The function has no fentry call, so a live patch has to replace its callers instead, and "
    "there are more of them than the limits allow.",
    "Raise --caller-depth or --caller-limit, or make the change in a function that has a fentry "
    "call.",
)
THREAD_FUNCTION_REPLACED = Kind(
    "thread-function-replaced",
    "A task switches to the new code only when no replaced function is on its stack. A kernel "
    "thread stays in its main function for life, so neither the transition nor its reversal would "
    "end.",
    "Make the change in a function that it calls. If no such thread runs while the live patch is "
    "loaded or unloaded, pass --replace-thread NAME.",
)
THREAD_NOT_REPLACED = Kind(
    "thread-not-replaced",
    "Each --replace-thread must name a function that the live patch replaces.",
    "Check the name.",
)
EXPORTED_PROTOTYPE_CHANGED = Kind(
    "exported-prototype-changed",
    "The function is exported. Modules compiled with the old prototype, including modules from "
    "outside this kernel, keep calling it the old way.",
    "Leave this function unchanged. Add one with the new prototype under a new name, and call "
    "that from the patched code.",
)
KFUNC_PROTOTYPE_CHANGED = Kind(
    "kfunc-prototype-changed",
    "BPF programs call the function. The verifier checks each call by the kernel's own types, "
    "which a live patch does not change, so programs would go on passing the old arguments.",
    "Leave the prototype as it is, and change the body alone, or add a function under a new name "
    "for callers in the kernel.",
)
PROTOTYPE_CHANGED = Kind(
    "prototype-changed",
    "Code that still calls the function the old way would pass or receive the wrong values.",
    "Declare the new prototype in a header that all callers include, or add a function with the "
    "new prototype under a new name.",
)
VERMAGIC_DIFFERS = Kind(
    "vermagic-differs",
    "The kernel loads no module that was built with another configuration of the parts that all "
    "modules share.",
    "Build the module with the headers of this kernel.",
)
SYMBOL_VERSION_DIFFERS = Kind(
    "symbol-version-differs",
    "The symbol had another type when the module was built, so the kernel does not load the "
    "module (CONFIG_MODVERSIONS).",
    "Build the module with the headers and Module.symvers of this kernel.",
)
LIVE_MEMORY_DIFFERS = Kind(
    "live-memory-differs",
    "The code in this host's memory is not the shipped one, and nothing that the kernel itself "
    "writes into its code explains the difference: another program or module changed it, or the "
    "memory is damaged. The live patch was made for the shipped code.",
    "Find out what changed the function: look for out-of-tree modules and security products in "
    "lsmod, and for probes in /sys/kernel/debug/kprobes/list. Then compare again after a reboot.",
)

# SPDX-License-Identifier: GPL-2.0-or-later
"""The running kernel."""

from __future__ import annotations

from suture.errors.refusal import Kind

NOT_PRIVILEGED = Kind(
    "not-privileged",
    "Changing the running kernel needs CAP_SYS_MODULE; reading what it runs does not.",
    "Run the command as root.",
)
LIVEPATCH_UNSUPPORTED = Kind(
    "livepatch-unsupported",
    "The running kernel was built without CONFIG_LIVEPATCH: it has nothing that could take a live patch.",
    "Boot a kernel of the distribution; 'suture doctor' says whether the one that runs will do.",
)
WRONG_RELEASE = Kind(
    "wrong-release",
    "A live patch replaces the machine code of one build of the kernel and of no other.",
    "Load the live patch that was built for the running kernel, or build it: 'suture build --kernel R'.",
)
MODULES_DISABLED = Kind(
    "modules-disabled",
    "kernel.modules_disabled is 1: nothing can be loaded or unloaded, and it cannot be set back.",
    "Boot without setting that sysctl (look in /etc/sysctl.d), then load the live patch.",
)
FTRACE_DISABLED = Kind(
    "ftrace-disabled",
    "kernel.ftrace_enabled is 0, and the livepatch core redirects functions with ftrace.",
    "Set it back with 'sysctl kernel.ftrace_enabled=1', then load the live patch.",
)
SIGNATURE_REQUIRED = Kind(
    "signature-required",
    "This kernel loads only modules with a signature that it trusts.",
    "Sign it ('suture sign') with a key that is enrolled on this host; 'suture key new' makes one and says how.",
)
ALREADY_LOADED = Kind(
    "already-loaded",
    "This very live patch is in force. Nothing was changed.",
    "See 'suture status'; to load it anew, 'suture unload' it first.",
)
MODULE_NAME_TAKEN = Kind(
    "module-name-taken",
    "The kernel has one module of a name at a time, and what is loaded has other contents.",
    "Unload that module, or build the live patch with another name: 'suture build --name N'.",
)
TRANSITION_UNDER_WAY = Kind(
    "transition-under-way",
    "The livepatch core moves tasks for one live patch at a time.",
    "See which tasks hold it up with 'suture status'; wait for its end, or take that patch out with 'suture unload'.",
)
KERNEL_LACKS_SYMBOL = Kind(
    "kernel-lacks-symbol",
    "The running kernel does not have what the live patch replaces or refers to, so it is not for this kernel.",
    "Load the live patch that was built for the running kernel.",
)
DEPENDENCY_NOT_LOADED = Kind(
    "dependency-not-loaded",
    "The live patch links against a module that is not in memory.",
    "Load that module with modprobe(8), then the live patch.",
)
FUNCTION_REDIRECTED = Kind(
    "function-redirected",
    "Something other than a live patch has taken this function over, and ftrace lets only one do that "
    "(FTRACE_OPS_FL_IPMODIFY).",
    "Stop whatever traces or redirects it (/sys/kernel/tracing/enabled_functions shows it), then load the live patch.",
)
FUNCTION_PROBED = Kind(
    "function-probed",
    "A kprobe in a function that is replaced is never reached: whoever set it would see nothing, and not know why.",
    "Remove the probe (/sys/kernel/debug/kprobes/list shows it), or load with --ignore-probes.",
)
MEMORY_SHORT = Kind(
    "memory-short",
    "The kernel needs the module's size several times over while it loads it.",
    "Free some memory, then load the live patch.",
)
KERNEL_REFUSED = Kind(
    "kernel-refused",
    "The kernel did not take the module; what it said is shown. Nothing was changed.",
    "See what the kernel says: if it is about symbols or versions, the module is not for this kernel.",
)
TRANSITION_TIMED_OUT = Kind(
    "transition-timed-out",
    "The tasks shown did not leave the functions that are being replaced.",
    "Stop or restart those tasks and try again, or give them more time with --timeout.",
)
TRANSITION_STUCK = Kind(
    "transition-stuck",
    "The kernel is between two states: tasks that have moved run the one, those shown the other. Each task is "
    "consistent in itself, and the host goes on working.",
    "Stop or restart the tasks shown; 'suture status --watch' shows the end, and 'suture recover' tidies up after it.",
)
PATCH_NOT_LOADED = Kind(
    "patch-not-loaded",
    "The running kernel has no live patch of that name.",
    "See what it has with 'suture list'.",
)
MODULE_STAYS = Kind(
    "module-stays",
    "The live patch is out of force, and something still holds its module in memory.",
    "One that was forced out of force stays until the next boot; others 'suture recover' unloads when they are free.",
)
NOT_IN_TRANSITION = Kind(
    "not-in-transition",
    "Only a transition that does not end can be forced.",
    "See the state of all live patches with 'suture status'.",
)
NOT_CONFIRMED = Kind(
    "not-confirmed",
    "What this does cannot be taken back, so it is asked for.",
    "Answer yes, or give --yes where nobody can answer.",
)
ANOTHER_AT_WORK = Kind(
    "another-at-work",
    "Live patches are changed by one process at a time.",
    "Wait for it to end ('suture status' shows it), or give --wait SECONDS.",
)
JOURNAL_UNWRITABLE = Kind(
    "journal-unwritable",
    "What is about to be done is written down first, so that after a power failure the next command knows. Nothing was "
    "changed.",
    "Make room or make it writable; if the patch cannot wait, load it with --no-journal.",
)
CHANGE_INTERRUPTED = Kind(
    "change-interrupted",
    "A signal stopped the command; it first brought the kernel into one of the two clean states.",
    "Nothing is left to tidy up: see 'suture status'.",
)

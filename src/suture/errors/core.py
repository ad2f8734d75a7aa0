# SPDX-License-Identifier: GPL-2.0-or-later
"""The running kernel."""

from __future__ import annotations

from suture.errors.refusal import Kind

NOT_PRIVILEGED = Kind(
    "not-privileged",
    "Changing the running kernel requires CAP_SYS_MODULE; reading its state does not.",
    "Run the command as root.",
)
LIVEPATCH_UNSUPPORTED = Kind(
    "livepatch-unsupported",
    "The running kernel was built without CONFIG_LIVEPATCH, so it cannot load live patches.",
    "Boot one of the distribution's kernels; 'suture doctor' checks the one that runs.",
)
WRONG_RELEASE = Kind(
    "wrong-release",
    "A live patch replaces the machine code of one kernel build and no other.",
    "Load the live patch that was built for the running kernel, or build it: 'suture build PATCH "
    "--kernel RELEASE'.",
)
MODULES_DISABLED = Kind(
    "modules-disabled",
    "kernel.modules_disabled is 1: the kernel loads and unloads no modules until the next boot.",
    "Boot without setting that sysctl (look in /etc/sysctl.d), then load the live patch.",
)
FTRACE_DISABLED = Kind(
    "ftrace-disabled",
    "kernel.ftrace_enabled is 0, and the livepatch core redirects functions with ftrace.",
    "Run 'sysctl kernel.ftrace_enabled=1', then load the live patch.",
)
SIGNATURE_REQUIRED = Kind(
    "signature-required",
    "This kernel loads only modules signed by a key that it trusts.",
    "Sign the module ('suture sign') with a key that is enrolled on this host; 'suture key new' "
    "makes one and says how to enrol it.",
)
ALREADY_LOADED = Kind(
    "already-loaded",
    "This live patch is already in force. Nothing was changed.",
    "See 'suture status'. To load it again, run 'suture unload' first.",
)
MODULE_NAME_TAKEN = Kind(
    "module-name-taken",
    "The kernel holds only one module of a name, and the loaded one is a different module.",
    "Unload that module, or build the live patch under another name: 'suture build PATCH --name "
    "NAME'.",
)
EARLIER_FIX_LOST = Kind(
    "earlier-fix-lost",
    "A live patch that replaces all earlier ones takes their functions back to the kernel's own "
    "code, except those that it replaces too.",
    "Build one live patch of all fixes ('suture build FIRST SECOND'), or pass --replace if the "
    "earlier ones are needed no more.",
)
HOOK_REFUSED = Kind(
    "hook-refused",
    "The host's administrator has programs in /etc/suture/hooks.d/pre-load, and each of them may "
    "refuse a live patch. Nothing was changed.",
    "Do what the program says, or move it away.",
)
TRANSITION_UNDER_WAY = Kind(
    "transition-under-way",
    "The livepatch core runs only one transition at a time.",
    "See which tasks hold it up with 'suture status'. Wait until it ends, or reverse it with "
    "'suture unload'.",
)
KERNEL_LACKS_SYMBOL = Kind(
    "kernel-lacks-symbol",
    "The live patch replaces or refers to something that the running kernel does not have, so it "
    "is not for this kernel.",
    "Load the live patch that was built for the running kernel.",
)
DEPENDENCY_NOT_LOADED = Kind(
    "dependency-not-loaded",
    "The live patch links against a module that is not loaded.",
    "Load that module with modprobe(8), then the live patch.",
)
FUNCTION_REDIRECTED = Kind(
    "function-redirected",
    "Something other than a live patch already redirects this function, and ftrace allows only "
    "one to do so (FTRACE_OPS_FL_IPMODIFY).",
    "Stop whatever redirects it (/sys/kernel/tracing/enabled_functions shows it), then load the "
    "live patch.",
)
FUNCTION_TRACED = Kind(
    "function-traced",
    "BPF programs and live patches share a function only in some orders of attaching and loading. "
    "In others, the kernel runs the old function, though it says that the live patch is in force.",
    "Detach the programs ('bpftool link' lists them), or load with --ignore-probes and look at "
    "'suture status' afterwards.",
)
FUNCTION_PROBED = Kind(
    "function-probed",
    "A kprobe in a replaced function no longer fires, and whoever set it would not know why.",
    "Remove the probe (/sys/kernel/debug/kprobes/list shows it), or load with --ignore-probes.",
)
MEMORY_SHORT = Kind(
    "memory-short",
    "While it loads a module, the kernel needs several times the module's size in memory.",
    "Free some memory, then load the live patch.",
)
KERNEL_REFUSED = Kind(
    "kernel-refused",
    "The kernel rejected the module; its messages are shown. Nothing was changed.",
    "Read the kernel's messages: if they are about symbols or versions, the module is not for "
    "this kernel.",
)
TRANSITION_TIMED_OUT = Kind(
    "transition-timed-out",
    "The tasks shown did not leave the functions that are being replaced.",
    "Stop or restart those tasks and try again, or allow more time with --timeout.",
)
TRANSITION_STUCK = Kind(
    "transition-stuck",
    "The kernel is between two states: the tasks shown run one version of the code, and all "
    "others the other. Each task is consistent in itself, and the host keeps working.",
    "Stop or restart the tasks shown. 'suture status --watch' shows when the transition ends; "
    "'suture recover' then cleans up.",
)
PATCH_NOT_LOADED = Kind(
    "patch-not-loaded",
    "The running kernel has no live patch of that name.",
    "See which it has with 'suture list'.",
)
MODULE_STAYS = Kind(
    "module-stays",
    "The live patch is out of force, but something still holds its module in memory.",
    "If its transition was forced, the module stays until the next boot; otherwise 'suture "
    "recover' unloads it once it is free.",
)
NOT_IN_TRANSITION = Kind(
    "not-in-transition",
    "Only a transition that is still under way can be forced.",
    "See the state of all live patches with 'suture status'.",
)
NOT_CONFIRMED = Kind(
    "not-confirmed",
    "This cannot be undone, so it needs confirmation.",
    "Answer yes, or pass --yes where nobody can answer.",
)
ANOTHER_AT_WORK = Kind(
    "another-at-work",
    "Only one process at a time may change live patches.",
    "Wait until it ends ('suture status' shows it), or pass --wait SECONDS.",
)
TRACING_UNAVAILABLE = Kind(
    "tracing-unavailable",
    "Calls are counted by probes, which root sets through tracefs.",
    "Run it as root, on a kernel that is not locked down, with tracefs mounted: 'mount -t tracefs "
    "nodev /sys/kernel/tracing'.",
)
JOURNAL_UNWRITABLE = Kind(
    "journal-unwritable",
    "Suture records each change before making it, so that the next command can recover after a "
    "power failure. Nothing was changed.",
    "Free some space or make the journal writable; if the patch cannot wait, load it with "
    "--no-journal.",
)
CHANGE_INTERRUPTED = Kind(
    "change-interrupted",
    "A signal stopped the command, which left the kernel in a clean state.",
    "There is nothing to clean up: see 'suture status'.",
)

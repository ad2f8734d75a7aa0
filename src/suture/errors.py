# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way Suture refuses: a stable code, what was found and where, why, and the way out.

A `Kind` is one reason to refuse; the constants below are all there are, grouped by the room that raises them.
Code raises ``Refusal(KIND, where, found)``; the kind brings the reason and the remedy, which a caller replaces where
it knows better.  `str()` of a refusal is the form that the command line prints::

    error[init-function-changed]: fs/proc/meminfo.c: proc_meminfo_init() is in .init.text
      It ran once at boot and its memory is gone; no live patch can reach it.
      If the change also needs new state, set it up in a pre-patch callback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One reason to refuse.  `code` never changes once released; scripts match on it."""

    code: str
    why: str
    remedy: str


class Refusal(Exception):
    """Suture cannot do what was asked, and says why.

    :param kind: which reason; `kind.code` is the stable part.
    :param where: the file, function, package or command that it was found in.
    :param found: what was found there, one line.
    :param why: replaces the kind's reason.
    :param remedy: replaces the kind's way out.
    :param evidence: further lines to show (a compiler's message, two instructions side by side).
    """

    def __init__(
        self,
        kind: Kind,
        where: str,
        found: str,
        *,
        why: str | None = None,
        remedy: str | None = None,
        evidence: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        self.where = where
        self.found = found
        self.why = kind.why if why is None else why
        self.remedy = kind.remedy if remedy is None else remedy
        self.evidence = tuple(evidence)
        super().__init__(f"{kind.code}: {where}: {found}")

    @property
    def code(self) -> str:
        return self.kind.code

    def __str__(self) -> str:
        body = [self.why, *(f"  {line}" for line in self.evidence), self.remedy]
        lines = [line for text in body for line in text.splitlines() if line.strip()]
        return "\n".join([f"error[{self.code}]: {self.where}: {self.found}", *(f"  {line}" for line in lines)])

    def as_dict(self) -> dict[str, object]:
        """The same for ``--json``."""
        return {
            "code": self.code,
            "where": self.where,
            "found": self.found,
            "why": self.why,
            "remedy": self.remedy,
            "evidence": list(self.evidence),
        }


# --- the host -----------------------------------------------------------------------------------------------------

TOOL_MISSING = Kind(
    "tool-missing",
    "A program that this step runs is not installed.",
    "Run 'suture doctor' for the list of what is missing and the command that installs it.",
)
DISK_FULL = Kind(
    "disk-full",
    "There is no space left to write to. What was half written has been removed.",
    "Free some space, or point XDG_CACHE_HOME at a larger file system, and run the same command again.",
)
COMMAND_FAILED = Kind(
    "command-failed",
    "A program that Suture ran ended with an error; its own message is shown.",
    "Mend what the message names and run the same command again.",
)
FILE_UNREADABLE = Kind(
    "file-unreadable",
    "The file is not there or may not be read.",
    "Check the path and its permissions.",
)
INTERRUPTED = Kind(
    "interrupted",
    "The work was stopped before its end; nothing half done was kept.",
    "Run the same command again: finished steps are not repeated.",
)

# --- the command line ---------------------------------------------------------------------------------------------

BUILD_EXTRA_MISSING = Kind(
    "build-extra-missing",
    "Suture is installed here for loading live patches only; building them needs more Python packages.",
    "Install them with: pip install 'suture[build]'",
)
INTERNAL_ERROR = Kind(
    "internal-error",
    "This is a bug in Suture, not a fault of your input.",
    "Please report it with that file and the command that you ran.",
)

# --- elf ----------------------------------------------------------------------------------------------------------

OBJECT_MALFORMED = Kind(
    "object-malformed",
    "The file is damaged, cut off, or not an ELF object at all.",
    "Get or build the file again; 'readelf -a FILE' shows what is left of it.",
)
OBJECT_UNSUPPORTED = Kind(
    "object-unsupported",
    "The file is well-formed, but not the kind of object that live patches are made of.",
    "Give an x86-64 relocatable object (.o) or module (.ko).",
)

# --- diff ---------------------------------------------------------------------------------------------------------

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
    "Leave the initial value as it is, and set the new value from a pre-patch callback or where the code reads it.",
)
SECTION_CHANGED = Kind(
    "section-changed",
    "Entries of this section are read by the kernel at boot or module load, and Suture does not yet know how to carry "
    "a change in them into a live patch.",
    "Leave the part of the patch that adds, removes or changes such an entry out.",
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
    "Rewrite the changed code without it: static_key_enabled() for a static branch, a plain call for a static call.",
)

# --- kernel -------------------------------------------------------------------------------------------------------

ARCHIVE_UNREACHABLE = Kind(
    "archive-unreachable",
    "The package archive could not be asked or did not answer.",
    "Check the network and the apt sources, run 'sudo apt-get update', and run the same command again.",
)
KERNEL_NOT_OFFERED = Kind(
    "kernel-not-offered",
    "The configured apt archives do not hold this kernel's image, headers and source in exactly one version.",
    "Pick one from 'suture kernel list', add an archive that keeps it (such as snapshot.debian.org) to the apt "
    "sources, or give a tree you built with --kernel-dir.",
)
KERNEL_NOT_FETCHED = Kind(
    "kernel-not-fetched",
    "Its image, symbols and source are not on this host.",
    "Run 'suture kernel fetch RELEASE' first.",
)
PACKAGE_CORRUPT = Kind(
    "package-corrupt",
    "The package is cut off, damaged, or not the one that the archive's signed index names.",
    "Run the same command again to download it anew; if that does not help, the mirror is broken.",
)
PACKAGE_UNTRUSTED = Kind(
    "package-untrusted",
    "apt holds no valid signature for the archive that the package comes from, so it may be anything.",
    "Install the archive's key as 'Signed-By' of its source, and run 'sudo apt-get update'.",
)
IMAGE_MALFORMED = Kind(
    "image-malformed",
    "The file is damaged, cut off, or not a kernel image for x86.",
    "Get the image again: 'suture kernel fetch RELEASE', or build the tree again.",
)
ADDRESS_NOT_IN_IMAGE = Kind(
    "address-not-in-image",
    "No segment of the kernel image is loaded there.",
    "The symbols and the image belong to different kernels; give those of one and the same build.",
)
KALLSYMS_MALFORMED = Kind(
    "kallsyms-malformed",
    "The file is not a list of kernel symbols: lines of address, type and name.",
    "Give a kallsyms listing, a System.map, or an ELF file of the kernel with its symbol table.",
)
KALLSYMS_NOT_FOUND = Kind(
    "kallsyms-not-found",
    "Without its symbol table nothing in the image can be found by name.",
    "Give a kernel that was built with CONFIG_KALLSYMS=y and CONFIG_KALLSYMS_ALL=y.",
)
CONFIG_MALFORMED = Kind(
    "config-malformed",
    "The file is not a kernel configuration.",
    "Give the .config that the kernel was built with.",
)
SYMVERS_MALFORMED = Kind(
    "symvers-malformed",
    "The file is not a Module.symvers: lines of CRC, symbol, module, kind of export and namespace, with tabs between.",
    "Give the Module.symvers that the kernel's build wrote.",
)
MODULE_MALFORMED = Kind(
    "module-malformed",
    "The module file is damaged or cut off.",
    "Get the module file again: remove the target from the cache and run 'suture kernel fetch RELEASE'.",
)
MODULE_NOT_FOUND = Kind(
    "module-not-found",
    "The target has no such module, neither as a file nor built in.",
    "Check its name with 'modinfo', and that this kernel's configuration builds it.",
)
TREE_INCOMPLETE = Kind(
    "tree-incomplete",
    "The directory is not a kernel tree that has been built to its end.",
    "Build the kernel there first ('make'), and give the directory that it was built in.",
)

# --- workspace ----------------------------------------------------------------------------------------------------

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

# --- formats: diff ------------------------------------------------------------------------------------------------

NOT_A_PATCH = Kind(
    "not-a-patch",
    "Suture reads unified diffs, as 'git diff', 'git format-patch' and 'diff -u' write them.",
    "Make the diff again with one of these.",
)
PATCH_HAS_BINARY = Kind(
    "patch-has-binary",
    "A binary change has no lines that could be compiled.",
    "Leave the file out of the patch.",
)
PATCH_PATH_ESCAPES = Kind(
    "patch-path-escapes",
    "A patch may only touch regular files inside the kernel tree.",
    "Make the diff at the top of the kernel tree, or say how many path components to strip with --strip-level.",
)
PATCH_HAS_CRLF = Kind(
    "patch-has-crlf",
    "The patch has DOS line ends, which mail programs and editors add; the kernel's source has none.",
    "Convert it ('sed -i s/\\\\r$// FILE') or save the mail's original text.",
)

# --- lab ----------------------------------------------------------------------------------------------------------

LAB_BOOT_FAILED = Kind(
    "lab-boot-failed",
    "The target did not come up in the virtual machine; the last lines that it printed are shown.",
    "See whether 'suture doctor' finds anything wrong with QEMU on this host, and give the boot more time.",
)
LAB_GUEST_DIED = Kind(
    "lab-guest-died",
    "The kernel in the virtual machine stopped; the last lines of its log are shown.",
    "If this came with the live patch, the patch is not safe to load.",
)
LAB_DEADLINE = Kind(
    "lab-deadline",
    "The step did not end in the time it was given; the last lines of the kernel log are shown.",
    "Give the step more time if it needs it; otherwise find out what it waits for.",
)
LAB_PUT_FAILED = Kind(
    "lab-put-failed",
    "The guest has all of its files in memory.",
    "Give the machine more memory, or put in less.",
)
LAB_PREPARE_FAILED = Kind(
    "lab-prepare-failed",
    "A module that the live patch changes or needs could not be loaded in the guest.",
    "Use a module that loads without its hardware, or test the patch without that object.",
)
LAB_LOAD_FAILED = Kind(
    "lab-load-failed",
    "The target's kernel does not take the live patch module; what it says about it is shown.",
    "Build the module for exactly this kernel release: 'suture build --kernel R'.",
)
LAB_NOT_ENABLED = Kind(
    "lab-not-enabled",
    "The livepatch core took the module and did not put the patch into force; its log is shown.",
    "See what the kernel log says about the patch.",
)
LAB_TRANSITION_STALLED = Kind(
    "lab-transition-stalled",
    "The tasks shown have a function that is being replaced on their stack and do not leave it.",
    "Do not replace a function that tasks sleep in for ever, or replace the one it calls instead.",
)
LAB_UNLOAD_FAILED = Kind(
    "lab-unload-failed",
    "The live patch can be loaded and cannot be taken out again; what the kernel says about it is shown.",
    "See what the kernel log says about the patch.",
)
LAB_SCRIPT_FAILED = Kind(
    "lab-script-failed",
    "The script says with its exit status whether the new code does what it should.",
    "See the script's output: the last lines are shown.",
)

# --- verify -------------------------------------------------------------------------------------------------------

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

# --- link ---------------------------------------------------------------------------------------------------------

NAME_UNUSABLE = Kind(
    "name-unusable",
    "The kernel takes module names of up to 55 letters, digits and underscores.",
    "Give another with --name.",
)
NOT_A_LIVE_PATCH = Kind(
    "not-a-live-patch",
    "The file is a module, but not one that the livepatch core would take.",
    "Check that it is the right file; 'modinfo FILE' says what the module is.",
)

# --- build --------------------------------------------------------------------------------------------------------

TYPES_MALFORMED = Kind(
    "types-malformed",
    "The sizes of the kernel's own structures are read from the BTF in its image, and that cannot be read.",
    "Fetch the kernel again; if it is a tree of your own, build it with CONFIG_DEBUG_INFO_BTF=y.",
)
NO_LIVEPATCH = Kind(
    "no-livepatch",
    "This kernel was built without the livepatch core, so it cannot load a live patch.",
    "Use a kernel whose configuration has CONFIG_LIVEPATCH=y; Debian's amd64 kernels have.",
)

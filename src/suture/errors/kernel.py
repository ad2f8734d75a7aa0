# SPDX-License-Identifier: GPL-2.0-or-later
"""The target kernel."""

from __future__ import annotations

from suture.errors.refusal import Kind

ARCHIVE_UNREACHABLE = Kind(
    "archive-unreachable",
    "The package archive cannot be reached or did not answer.",
    "Check the network and the configured archives, update their package lists, and run the same "
    "command again.",
)
KERNEL_NOT_OFFERED = Kind(
    "kernel-not-offered",
    "The configured archives do not have all of this kernel in exactly one version: its image, "
    "headers and source.",
    "Choose one from 'suture kernel list', configure an archive that keeps it (such as Debian's "
    "snapshot.debian.org), or give a tree you built with --kernel-dir.",
)
SUITE_NOT_FOUND = Kind(
    "suite-not-found",
    "The archives that this host is configured for do not have that suite, or no longer.",
    "Choose one that 'suture kernel list --suite all' shows, or configure an archive that has it.",
)
SUITE_UNCONFIGURED = Kind(
    "suite-unconfigured",
    "Suture gets other suites from the archives, and with the keys, that this host is configured "
    "for.",
    "Configure an archive of that distribution, with its key.",
)
KERNEL_NOT_FETCHED = Kind(
    "kernel-not-fetched",
    "Its image, symbols and source are not on this host.",
    "Run 'suture kernel fetch RELEASE' first.",
)
KERNEL_IN_USE = Kind(
    "kernel-in-use",
    "Its prepared source is compiled in; without it, the build would fail.",
    "Wait for the build to end, and run the same command again.",
)
PACKAGE_CORRUPT = Kind(
    "package-corrupt",
    "The package is truncated, damaged, or not the one that the archive's signed index names.",
    "Run the same command again to download it anew; if that does not help, use another mirror.",
)
PACKAGE_UNTRUSTED = Kind(
    "package-untrusted",
    "There is no valid signature for the archive that the package comes from, so the package could "
    "be anything.",
    "Install the key that the archive is signed with, and update the package lists.",
)
IMAGE_MALFORMED = Kind(
    "image-malformed",
    "The file is damaged, truncated or no kernel image of an architecture that Suture knows.",
    "Get the image again ('suture kernel fetch RELEASE'), or build the tree again.",
)
KALLSYMS_MALFORMED = Kind(
    "kallsyms-malformed",
    "The file is not a list of kernel symbols: lines of address, type and name.",
    "Give a kallsyms listing, a System.map, or an ELF file of the kernel with its symbol table.",
)
KALLSYMS_NOT_FOUND = Kind(
    "kallsyms-not-found",
    "Without its symbol table, nothing in the image can be found by name.",
    "Give a kernel that was built with CONFIG_KALLSYMS=y and CONFIG_KALLSYMS_ALL=y.",
)
OBJECT_NOT_LISTED = Kind(
    "object-not-listed",
    "Suture looks up what a live patch replaces or refers to by name, among the symbols of the "
    "patched object.",
    "Give the object's own file with its symbol table, or a kallsyms listing taken while it was "
    "loaded.",
)
CONFIG_MALFORMED = Kind(
    "config-malformed",
    "The file is not a kernel configuration.",
    "Give the .config that the kernel was built with.",
)
SYMVERS_MALFORMED = Kind(
    "symvers-malformed",
    "The file is not a Module.symvers: lines of CRC, symbol, module, type of export and "
    "namespace, separated by tabs.",
    "Give the Module.symvers that the kernel's build wrote.",
)
MODULE_MALFORMED = Kind(
    "module-malformed",
    "The module file is damaged or truncated.",
    "Get the module file again: remove the target from the cache and run 'suture kernel fetch "
    "RELEASE'.",
)
MODULE_NOT_FOUND = Kind(
    "module-not-found",
    "The target has no such module, neither as a file nor built in.",
    "Check its name with 'modinfo', and that this kernel's configuration builds it.",
)
TREE_INCOMPLETE = Kind(
    "tree-incomplete",
    "The directory is not a completely built kernel tree.",
    "Build the kernel there first ('make'), and give the directory it was built in.",
)

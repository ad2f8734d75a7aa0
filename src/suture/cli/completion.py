# SPDX-License-Identifier: GPL-2.0-or-later
"""What a shell offers for arguments and options that name kernels or files.

A shell completes while the user types: nothing here imports what a command works with, and whatever
cannot be read is skipped silently.  Where no file is offered, the shell offers all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from click import Context, Parameter
    from click.shell_completion import CompletionItem

MODULES = (".ko",)
PATCHES = (
    ".patch",
    ".diff",
    ".mbox",
    ".eml",
    ".c",
    ".toml",
    ".ko",
    ".livepatch",
    ".tar",
    ".tar.gz",
    ".tar.xz",
    ".tgz",
    ".txz",
)
"""The files that `suture.formats.recognise` takes, by the names that they usually have; a written
live patch is a directory, and is offered as one."""

CERTIFICATES = (".pem", ".der", ".crt", ".cer")


def kernels(context: Context, parameter: Parameter, incomplete: str) -> list[str]:
    """Offer the kernels that are here, then those on offer."""
    from suture.host.kernel_names import fetched_names, offered_names

    names = dict.fromkeys([*fetched_names(), *offered_names()])
    return [name for name in names if name.startswith(incomplete)]


def fetched(context: Context, parameter: Parameter, incomplete: str) -> list[str]:
    """Offer the kernels that are here."""
    from suture.host.kernel_names import fetched_names

    return [name for name in fetched_names() if name.startswith(incomplete)]


def unfetched(context: Context, parameter: Parameter, incomplete: str) -> list[str]:
    """Offer the kernels on offer that are not here."""
    from suture.host.kernel_names import fetched_names, offered_names

    here = set(fetched_names())
    return [name for name in offered_names() if name.startswith(incomplete) and name not in here]


def modules(context: Context, parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer ``*.ko``, and directories."""
    return items(incomplete, files(incomplete, MODULES))


def inputs(context: Context, parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer files that may be a live patch's source, and directories."""
    return items(incomplete, files(incomplete, PATCHES))


def certificates(context: Context, parameter: Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer files that may be a certificate or a key, and directories."""
    return items(incomplete, files(incomplete, CERTIFICATES))


def items(incomplete: str, words: list[str]) -> list[CompletionItem]:
    """Offer words; where there are none, let the shell offer file names."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words] or [CompletionItem(incomplete, type="file")]


def files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the directories, with a slash, and the files with one of the suffixes.

    A shell ends a word that it has completed with a space: a directory that is the only candidate
    is therefore offered with what is in it, down to where there is a choice.
    """
    found = _entries(incomplete, suffixes)
    while len(found) == 1 and found[0].endswith("/"):
        inside = _entries(found[0], suffixes)
        if not inside:
            return []
        found = inside if len(inside) == 1 else [found[0], *inside]
    return found


def _entries(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    directory, begun = os.path.split(incomplete)
    try:
        with os.scandir(os.path.expanduser(directory) or ".") as entries:
            seen = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
        return []
    found = []
    for name, is_directory in sorted(seen):
        is_wanted = is_directory or name.endswith(suffixes)
        is_hidden = name.startswith(".") and not begun.startswith(".")
        # Shells would need quotes around a name with a space, which only their own completion has.
        if name.startswith(begun) and is_wanted and not is_hidden and _is_plain(name):
            found.append(os.path.join(directory, name) + "/" * is_directory)
    return found


def _is_plain(name: str) -> bool:
    return name.isprintable() and not any(sign in name for sign in " '\"\\$`&|;<>()*?[]{}!#")

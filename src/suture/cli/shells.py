# SPDX-License-Identifier: GPL-2.0-or-later
"""Completion in the user's shell: the script that it needs, and the answer whenever it asks."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

import click

ASKED = "_SUTURE_COMPLETE"
"""The variable with what a shell asks: ``bash_source`` is its script, ``bash_complete`` the words
that may stand where the cursor is."""

FILES = {
    "bash": ("XDG_DATA_HOME", ".local/share", "bash-completion/completions/suture"),
    "fish": ("XDG_CONFIG_HOME", ".config", "fish/completions/suture.fish"),
    "zsh": ("HOME", "", ".zfunc/_suture"),
}
"""Where shells look for a user's scripts: a variable with a directory, that directory below the
home where the variable is not set, and the file."""

ZSH_NEEDS = "fpath+=~/.zfunc; autoload -Uz compinit; compinit"


def answer(program: click.Command) -> int:
    """Print what a shell asks for.

    :return: the exit status.
    """
    from click.shell_completion import shell_complete

    join_equals(os.environ)
    return shell_complete(program, {}, str(program.name), ASKED, os.environ[ASKED])


def join_equals(environment: MutableMapping[str, str]) -> None:
    """Remove the signs between options and values from the line that bash gives to complete.

    Of ``suture build --kernel=6.1`` bash makes the words ``--kernel``, ``=`` and ``6.1``
    (COMP_WORDBREAKS), of which click takes the second for the option's value.
    """
    line, number = environment.get("COMP_WORDS", ""), environment.get("COMP_CWORD", "")
    if "=" not in line or not number.isdigit():
        return
    separator = "\n" if "\n" in line else " "
    words, current = line.split(separator), int(number)
    signs = [
        place
        for place, word in enumerate(words)
        if word == "=" and place != current and words[place - 1].startswith("--")
    ]
    kept = [word for place, word in enumerate(words) if place not in signs]
    environment["COMP_WORDS"] = separator.join(kept)
    environment["COMP_CWORD"] = str(current - sum(place < current for place in signs))


def show_wanted(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print the script for the current shell."""
    if wanted and not context.resilient_parsing:
        click.echo(script(context.command, current()), nl=False)
        context.exit()


def install_wanted(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Write the script for the current shell where the shell looks for it."""
    if not wanted or context.resilient_parsing:
        return
    from suture.host.files import write_atomic

    shell = current()
    variable, directory, name = FILES[shell]
    path = Path(os.environ.get(variable) or Path.home() / directory) / name
    write_atomic(path, script(context.command, shell).encode())
    click.echo(f"{path} is written; {shell} completes suture's commands from its next start on.")
    if shell == "zsh":
        click.echo(f"Unless it is there already, ~/.zshrc needs: {ZSH_NEEDS}")
    context.exit()


def script(program: click.Command, shell: str) -> str:
    """Return what makes a shell complete the program's commands."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    return kind(program, {}, str(program.name), ASKED).source()


def current() -> str:
    """Return the name of the shell that runs this program, or else of the user's login shell.

    :raises click.UsageError: there is no completion for it
    """
    try:
        parent = Path(f"/proc/{os.getppid()}/comm").read_text().strip()
    except OSError:
        parent = ""
    login = Path(os.environ.get("SHELL", "")).name
    for shell in (parent, login):
        if shell in FILES:
            return shell
    raise click.UsageError(f"Completion is for {', '.join(FILES)}; $SHELL names none of them.")

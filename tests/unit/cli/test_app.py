# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line as a user's shell sees it: what comes out where, and the exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from suture import __version__
from suture.cli import app
from tests.examples import shows

TOP = Path(__file__).resolve().parents[3]

COMMAND = """\
import errno, os, sys, time
from suture.cli import app
from suture.cli.output import json_option
@app.program.command("probe")
@json_option
def probe() -> None:
    {body}
sys.exit(app.main())
"""
"""The real program with one more command, so that anything can be made to go wrong in one."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    ours = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONUNBUFFERED", "FORCE_COLOR")
    }
    return {**ours, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": str(TOP / "src")}


def probe(body: str, *words: str) -> list[str]:
    program = COMMAND.format(body=textwrap.indent(textwrap.dedent(body), "    ").strip())
    return [sys.executable, "-c", program, "probe", *words]


def suture(*words: str) -> list[str]:
    return [sys.executable, "-m", "suture", *words]


def run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_version_is_printed_on_stdout(environment: dict[str, str]) -> None:
    done = run(suture("--version"), environment)
    assert (done.returncode, done.stdout) == (0, f"suture {__version__}\n")


@pytest.mark.parametrize(
    "command", ["build", "diff", "inspect", "test", "demo", "doctor", "kernel"]
)
def test_help_teaches_with_examples(command: str, environment: dict[str, str]) -> None:
    done = run(suture(command, "--help"), environment)
    assert done.returncode == 0
    assert "Examples" in done.stdout
    assert f"suture {command}" in done.stdout


@pytest.mark.parametrize(
    "words", [["nonsense"], ["doctor", "--nonsense"], ["doctor", "--kernel"], ["inspect"], []]
)
def test_wrong_usage_ends_with_status_2(words: list[str], environment: dict[str, str]) -> None:
    done = run(suture(*words), environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_misspelt_command_is_guessed(environment: dict[str, str]) -> None:
    assert "Did you mean 'doctor'" in run(suture("docter"), environment).stderr


def test_a_refusal_goes_to_stderr_with_its_code(environment: dict[str, str]) -> None:
    done = run(suture("inspect", "/nonexistent.ko"), environment)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error[file-unreadable]: /nonexistent.ko: ")


def test_with_json_a_refusal_is_one_document_on_stdout(environment: dict[str, str]) -> None:
    done = run(suture("inspect", "--json", "/nonexistent.ko"), environment)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "file-unreadable"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "where", "found"),
    [
        (["build", "x.patch", "--kernal", "y", "--json"], "suture build", "--kernal"),
        (["build", "--json", "x.patch", "--kernal=y"], "suture build", "--kernal"),
        (["kernel", "fetch", "--json"], "suture kernel fetch", "RELEASE"),
        (["kernel", "--json"], "suture kernel", "--json"),
        (["docter", "--json"], "suture", "docter"),
        (["build", "x", "--json", "--fuzz", "9"], "suture build", "--fuzz"),
        (["build", "x", "--accept", "a:b", "--json"], "suture build", "--because"),
    ],
)
def test_with_json_wrong_usage_is_one_document_on_stdout(
    words: list[str], where: str, found: str, environment: dict[str, str]
) -> None:
    done = run(suture(*words), environment)
    assert (done.returncode, done.stderr) == (2, "")
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["where"]) == ("usage-wrong", where)
    assert found in error["found"]


def test_json_after_the_end_of_options_is_a_word(environment: dict[str, str]) -> None:
    done = run(suture("build", "--kernal", "--", "--json"), environment)
    assert (done.returncode, done.stdout) == (2, "")


def test_the_page_of_refusals_shows_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["kernel", "fetch", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    shows(f"error[{error['code']}]: {error['where']}: {error['found']}", "usage-wrong")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_after_its_cleaning_up(
    number: signal.Signals, environment: dict[str, str]
) -> None:
    body = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
    """
    process = subprocess.Popen(
        ["env", "--default-signal", *probe(body)],  # whoever runs the tests may have one ignored
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert stdout == "cleaned up\n"
    assert stderr.startswith("error[interrupted]: suture probe: ")
    assert "Traceback" not in stderr
    assert process.returncode == 1


def test_an_ignored_hangup_stays_ignored(environment: dict[str, str]) -> None:
    body = "import signal; os.kill(os.getpid(), signal.SIGHUP); print('still here')"
    done = run(["nohup", *probe(body)], environment)
    assert done.stdout == "still here\n"
    assert done.returncode == 0


@pytest.mark.parametrize(
    "body",
    [
        "1 / 0",
        "{}['nothing']",
        "raise MemoryError",
        "assert False, 'impossible'",
        "raise OSError(errno.EINVAL, 'Invalid argument')",
        "import suture.nonexistent",
        "deeper = lambda: deeper()\ndeeper()",
    ],
)
def test_a_bug_of_ours_is_said_to_be_one(body: str, environment: dict[str, str]) -> None:
    done = run(probe(body), environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error[internal-error]: suture probe: ")
    assert "Traceback" not in done.stderr
    named = re.search(r"details are in (\S+)", done.stderr)
    assert named is not None
    report = Path(named[1]).read_text()
    assert report.startswith(f"suture {__version__}, Python ")
    assert "Traceback (most recent call last)" in report


def test_a_bug_is_reported_where_no_file_can_be_written(environment: dict[str, str]) -> None:
    done = run(probe("1 / 0"), {**environment, "XDG_CACHE_HOME": "/proc/nowhere"})
    assert done.returncode == 1
    assert "error[internal-error]: suture probe: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_refused_wherever_it_is_met(environment: dict[str, str]) -> None:
    done = run(probe("open('/dev/full', 'w').write('x' * 100_000)"), environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error[disk-full]: ")
    assert "Traceback" not in done.stderr


def test_a_forbidden_file_is_refused_by_name(environment: dict[str, str]) -> None:
    done = run(
        probe("raise PermissionError(errno.EACCES, 'Permission denied', '/some/file')"), environment
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error[file-unreadable]: /some/file: Permission denied\n")


def test_without_the_build_extra_its_name_is_given(environment: dict[str, str]) -> None:
    done = run(probe("sys.modules['iced_x86'] = None; import iced_x86"), environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error[build-extra-missing]: suture probe: ")
    assert "pip install '.[build]'" in done.stderr


def test_names_from_files_do_not_steer_the_terminal(environment: dict[str, str]) -> None:
    done = run(suture("inspect", "/no/\x1b[2Jsuch.ko"), environment)
    assert "\x1b" not in done.stderr
    assert r"\x1b[2J" in done.stderr


@pytest.mark.parametrize(
    "shell", ["{} >/dev/full", "{} >&-", "{} >&- 2>&-", "{} | true", "{} >/dev/full 2>/dev/full"]
)
def test_output_that_goes_nowhere_brings_no_traceback(
    shell: str, environment: dict[str, str]
) -> None:
    command = shell.format(" ".join(suture("inspect", "--json", "/nonexistent.ko")))
    done = run(["sh", "-c", command], environment)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode == (0 if "|" in shell else 1)


@pytest.mark.parametrize("shell", ["{} >/dev/full", "{} | true"])
def test_help_that_nobody_reads_brings_no_traceback(
    shell: str, environment: dict[str, str]
) -> None:
    done = run(["sh", "-c", shell.format(" ".join(suture("--help")))], environment)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_full_stdout_is_a_failure(environment: dict[str, str]) -> None:
    command = " ".join(suture("--version"))
    assert run(["sh", "-c", f"{command} >/dev/full"], environment).returncode == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, environment: dict[str, str]) -> None:
    done = run(suture(), {**environment, "_SUTURE_COMPLETE": f"{shell}_source"})
    assert done.returncode == 0
    assert f"_SUTURE_COMPLETE={shell}_complete" in done.stdout
    shown = run(suture("--show-completion"), {**environment, "SHELL": f"/bin/{shell}"})
    assert (shown.returncode, shown.stdout.strip()) == (0, done.stdout.strip())


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", ".local/share/bash-completion/completions/suture"),
        ("zsh", ".zfunc/_suture"),
        ("fish", ".config/fish/completions/suture.fish"),
    ],
)
def test_completion_is_installed_where_the_shell_looks_for_it(
    shell: str, file: str, environment: dict[str, str], tmp_path: Path
) -> None:
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        environment.pop(name, None)
    home = {**environment, "HOME": str(tmp_path), "SHELL": f"/bin/{shell}"}
    done = run(suture("--install-completion"), home)
    assert done.returncode == 0
    assert str(tmp_path / file) in done.stdout
    assert f"_SUTURE_COMPLETE={shell}_complete" in (tmp_path / file).read_text()


def test_another_shell_is_named(environment: dict[str, str]) -> None:
    done = run(suture("--show-completion"), {**environment, "SHELL": "/bin/rc"})
    assert done.returncode == 2
    assert "Completion is for bash, fish, zsh" in done.stderr


def test_bash_completes_commands_and_options(environment: dict[str, str]) -> None:
    asked = {**environment, "_SUTURE_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    assert run(suture(), {**asked, "COMP_WORDS": "suture doc"}).stdout.split() == ["plain,doctor"]
    options = run(suture(), {**asked, "COMP_WORDS": "suture doctor --", "COMP_CWORD": "2"}).stdout
    assert {"plain,--kernel", "plain,--json"} <= set(options.split())


def test_a_command_line_imports_its_own_command_alone(environment: dict[str, str]) -> None:
    for words, shell in (
        (["status", "--json"], {}),
        (
            [],
            {
                "_SUTURE_COMPLETE": "bash_complete",
                "COMP_WORDS": "suture status --",
                "COMP_CWORD": "2",
            },
        ),
        (
            [],
            {
                "_SUTURE_COMPLETE": "fish_complete",
                "COMP_WORDS": "suture status -",
                "COMP_CWORD": "-",
            },
        ),
    ):
        listing = f"import sys; from suture.cli import app; app.main({words}); print(*sys.modules)"
        done = run([sys.executable, "-c", listing], {**environment, **shell})
        loaded = set(done.stdout.split())
        assert "suture.cli.status" in loaded
        assert loaded.isdisjoint({"suture.cli.build", "suture.cli.kernel", "typer", "pydantic"})


def test_the_status_imports_only_what_it_shows(environment: dict[str, str]) -> None:
    """Monitoring asks for it again and again."""
    listing = "import sys; from suture.cli import app; app.main(['status', '--json']); print(*sys.modules)"
    loaded = set(run([sys.executable, "-c", listing], environment).stdout.split())
    assert "suture.core.status" in loaded
    assert loaded.isdisjoint(
        {
            *("suture.core.change", "suture.core.metrics", "suture.elf", "suture.host.files"),
            *("suture.model", "asn1crypto", "cryptography", "ctypes", "elftools", "pydantic"),
            *("rich", "subprocess", "tempfile", "textwrap", "traceback", "typer"),
        }
    )


def test_half_a_command_is_completed_from_all(environment: dict[str, str]) -> None:
    asked = {**environment, "_SUTURE_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    done = run(suture(), {**asked, "COMP_WORDS": "suture st"})
    assert done.stdout.split() == ["plain,status", "plain,store"]
    done = run(suture(), {**asked, "COMP_WORDS": "suture store ", "COMP_CWORD": "2"})
    assert "plain,list" in done.stdout.split()


def test_importing_the_commands_imports_nothing_that_they_work_with(
    environment: dict[str, str],
) -> None:
    """Help and shell completion wait for every import."""
    listing = "import sys; from suture.cli import app; app.main(['--help']); print(*sys.modules)"
    loaded = set(run([sys.executable, "-c", listing], environment).stdout.split())
    heavy = {
        "debian",
        "elftools",
        "iced_x86",
        "lz4",
        "pydantic",
        "rich",
        "unidiff",
        "vmlinux_to_elf",
        "zstandard",
    }
    assert loaded & heavy == set()
    assert {
        name
        for name in loaded
        if name.startswith("suture.diff") or name.startswith("suture.kernel")
    } == set()

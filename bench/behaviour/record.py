# SPDX-License-Identifier: GPL-2.0-or-later
"""Run all inputs with the program of one checkout, and keep what came of them.

1. A cache of the recording's own is emptied but for the kernels, so that nothing is taken from an
   earlier run, of another version of the program perhaps.
2. The inputs are made and run, some at a time, each in a directory of its own.
3. What each wrote is kept beside the record, under its path in that directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from itertools import chain, zip_longest
from pathlib import Path
from subprocess import CompletedProcess

from bench.behaviour import kernels, model
from bench.behaviour.kernels import SERIES, Kernel
from bench.behaviour.model import Input, Outcome, Record, Step
from bench.behaviour.parts import WrongInput
from bench.behaviour.program import Failed, Program

SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")
LAST_LINES = 2000
"""Characters that are kept of what a program said that died."""


@dataclass(frozen=True, slots=True)
class Job:
    """An input for one kernel, with its files made.

    :ivar name: series and name of the input.
    :ivar words: what stands for the names in braces in command lines.
    """

    name: str
    input: Input
    files: Mapping[str, bytes]
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manner:
    """How to record.

    :ivar base: the directory to work in; recordings in one directory wait for each other.
    :ivar at_once: so many inputs are run at a time.
    """

    base: Path
    at_once: int


def usual_base() -> Path:
    """A directory in the user's cache."""
    return _user_cache() / "suture-bench" / "behaviour"


def record(checkout: Path, out: Path, inputs: Sequence[Input], manner: Manner) -> Record:
    """Record what the program of `checkout` makes of the inputs in the directory `out`."""
    shutil.rmtree(out / model.MODULES, ignore_errors=True)
    (out / model.MODULES).mkdir(parents=True)
    base = manner.base.absolute()
    with _alone(base):
        program = _prepared(base, checkout)
        found = kernels.find(program, base / "source", _paths(inputs))
        jobs = _jobs(inputs, found)
        outcomes = dict(_run_all(program, jobs, base / "work", out, manner.at_once))
        shown = {series: f"{one.release} ({one.version})" for series, one in found.items()}
        made = Record(shown, outcomes, out / model.MODULES)
        model.save(made, out)
        return made


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@contextmanager
def _alone(base: Path) -> Iterator[None]:
    """Wait for other recordings in this directory.

    :raises Failed: it is not a recording's; what is in there would be removed.
    """
    base.mkdir(parents=True, exist_ok=True)
    if any(base.iterdir()) and not (base / "lock").exists():
        raise Failed(f"{base} has other files in it")
    with (base / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _prepared(base: Path, checkout: Path) -> Program:
    """Everything empty; kernels and packages are the user's."""
    for used in ("xdg", "work", "tmp"):
        shutil.rmtree(base / used, ignore_errors=True)
        (base / used).mkdir()
    ours, users = base / "xdg" / "suture", _user_cache() / "suture"
    ours.mkdir()
    for shared in ("kernels", "packages"):
        (users / shared).mkdir(parents=True, exist_ok=True)
        (ours / shared).symlink_to(users / shared)
    program = Program(checkout.resolve(), base / "xdg", base / "tmp")
    program.check()
    return program


def _paths(inputs: Iterable[Input]) -> dict[str, set[str]]:
    """By series, the files of the kernel's source that inputs read."""
    wanted: dict[str, set[str]] = {series: set() for series in SERIES}
    for one in inputs:
        for series in one.series:
            wanted[series] |= {path for part in one.files.values() for path in part.paths}
    return wanted


def _jobs(inputs: Sequence[Input], found: Mapping[str, Kernel]) -> list[Job]:
    """One series after the other, so that both workspaces are prepared at once, at the start.

    :raises WrongInput: before anything is run; it names all that do not fit.
    """
    wrong: list[str] = []
    by_series = [
        [job for one in inputs if series in one.series and (job := _job(one, found, series, wrong))]
        for series in SERIES
    ]
    if wrong:
        raise WrongInput("\n".join(wrong))
    return [job for job in chain.from_iterable(zip_longest(*by_series)) if job is not None]


def _job(one: Input, found: Mapping[str, Kernel], series: str, wrong: list[str]) -> Job | None:
    try:
        files = {path: part.make(found[series]) for path, part in one.files.items()}
    except WrongInput as failure:
        wrong.append(f"{series}/{one.name}: {failure}")
        return None
    return Job(f"{series}/{one.name}", one, files, _words(found, series))


def _words(found: Mapping[str, Kernel], series: str) -> dict[str, str]:
    kernel, (other,) = found[series], [one for one in found.values() if one.series != series]
    return {**kernel.files, "release": kernel.release, "other": other.release}


def _run_all(
    program: Program, jobs: Sequence[Job], work: Path, out: Path, at_once: int
) -> Iterator[tuple[str, Outcome]]:
    with ThreadPoolExecutor(at_once) as pool:
        running = {pool.submit(_run, program, job, work, out): job for job in jobs}
        try:
            for number, done in enumerate(as_completed(running), 1):
                job, outcome = running[done], done.result()
                _say(f"[{number}/{len(jobs)}] {job.name}: {_told(outcome)}")
                yield job.name, outcome
        finally:
            pool.shutdown(cancel_futures=True)


def _told(outcome: Outcome) -> str:
    last = outcome.steps[-1]
    text = f"{last.status} {last.code}".rstrip() + f", {outcome.seconds:.1f} s"
    if outcome.is_as_expected:
        return text
    refusals = "\n".join(step.refusal for step in outcome.steps if step.refusal)
    return f"{text}  NOT AS EXPECTED\n{refusals}"


def _run(program: Program, job: Job, work: Path, out: Path) -> Outcome:
    place = work / job.name
    _write(place, job.files)
    started = time.monotonic()
    steps = tuple(_step(program, job, words, place) for words in job.input.steps)
    seconds = round(time.monotonic() - started, 1)
    written = _keep(place, job.files, out / model.MODULES / job.name)
    shutil.rmtree(place)
    return Outcome(_digest_of_all(job.files), job.input.code, steps, written, seconds)


def _write(place: Path, files: Mapping[str, bytes]) -> None:
    place.mkdir(parents=True)
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)


def _step(program: Program, job: Job, words: tuple[str, ...], place: Path) -> Step:
    filled = tuple(word.format_map(job.words) for word in words)
    done = program.run(filled, place)
    masked = _masked(done.stdout, program, place)
    code, refusal, document = _read(done, masked)
    return Step(words, done.returncode, code, refusal, document)


def _masked(text: str, program: Program, place: Path) -> str:
    """The text without times, and without paths that are other ones each time."""
    for path, mask in ((place, "<work>"), (program.cache, "<cache>")):
        text = text.replace(str(path), mask)
    text = re.sub(rf"{re.escape(str(program.temporary))}/suture-\w+", "<temporary>", text)
    return SECONDS.sub("<time>", text)


def _read(done: CompletedProcess[str], stdout: str) -> tuple[str, str, object]:
    """Code and words of the refusal, and the document of a command that was done."""
    try:
        document = json.loads(stdout)
    except ValueError:
        return "no document", (stdout + done.stderr)[-LAST_LINES:], None
    error = document.get("error") if done.returncode else None
    if error is None:
        return "", "", document
    lines = (
        f"{error['where']}: {error['found']}",
        error["why"],
        *error["evidence"],
        error["remedy"],
    )
    return error["code"], "\n".join(lines), None


def _keep(place: Path, files: Mapping[str, bytes], kept: Path) -> dict[str, str]:
    """Move what the steps wrote, and tell the digest of each."""
    written = {}
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if path.is_file() and files.get(name) != (content := path.read_bytes()):
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            (kept / name).write_bytes(content)
            written[name] = hashlib.sha256(content).hexdigest()
    return written


def _digest_of_all(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

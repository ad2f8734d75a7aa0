# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept for the next boots: whole or not at all, and only what root put there."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suture.core import store as store_module
from suture.core.store import Store, Tries
from suture.errors import Refusal
from tests.examples import shows

RELEASE = "6.1.0-toy"
FIRST, SECOND = b"first" * 1000, b"second" * 1000

CHANGING = ("open", "mkdir", "write", "fsync", "rename", "unlink", "rmdir")
"""The functions of `os` by which the store is changed; the last moment before each is a place to
die."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "lib").mkdir(mode=0o755)
    return Store(tmp_path / "lib" / "suture", anchor=tmp_path, owner=os.geteuid())


def install(
    store: Store, content: bytes = FIRST, name: str = "fix", release: str = RELEASE
) -> store_module.StoreEntry:
    return store.install(content, release, name, replaces=True, origin="/root/fix.ko")


def place(store: Store) -> Path:
    return store.path / RELEASE


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refusal:
        act()
    return refusal.value.code


def test_what_is_installed_is_read_back_whole(store: Store) -> None:
    made = install(store)
    assert (store.releases(), store.names(RELEASE)) == ([RELEASE], ["fix"])
    assert store.entry(RELEASE, "fix") == made
    assert store.module(made) == FIRST
    assert store.check() == []
    assert all(not path.stat().st_mode & 0o022 for path in store.path.rglob("*"))


def test_installed_anew_it_keeps_its_place_and_the_old_module_goes(store: Store) -> None:
    install(store)
    install(store, name="other")
    install(store, SECOND)
    assert [(entry.name, entry.order) for entry in store.entries(RELEASE)] == [
        ("fix", 1),
        ("other", 2),
    ]
    assert store.module(store.entry(RELEASE, "fix")) == SECOND
    assert store.module(store.entry(RELEASE, "other")) == FIRST
    assert len(list(place(store).glob("*.ko"))) == 2


def test_entries_of_another_kernel_are_left_alone(store: Store) -> None:
    install(store, release="6.12.1-toy")
    install(store)
    before = {path: path.read_bytes() for path in (store.path / "6.12.1-toy").iterdir()}
    store.uninstall(RELEASE, "fix")
    assert {path: path.read_bytes() for path in (store.path / "6.12.1-toy").iterdir()} == before
    assert (store.names(RELEASE), store.names("6.12.1-toy")) == ([], ["fix"])


def test_order_does_not_come_from_the_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    install(store, name="zero")

    class Earlier:
        @staticmethod
        def now(zone: Any) -> Any:
            import datetime

            return datetime.datetime(1999, 1, 1, tzinfo=zone)

    monkeypatch.setattr(store_module, "datetime", Earlier)
    install(store, name="after")
    first, second = store.entries(RELEASE)
    assert (first.name, second.name) == ("zero", "after")
    assert second.when < first.when


def test_enabling_gives_one_that_was_set_aside_a_new_start(store: Store) -> None:
    made = install(store)
    store.record(made, Tries(2, "it died"))
    assert store.tries(made).set_aside
    (aside,) = (finding.refusal for finding in store.check() if finding.refusal)
    shows(aside, "set-aside")
    assert not store.set_enabled(RELEASE, "fix", False).enabled
    assert store.set_enabled(RELEASE, "fix", True) == made
    assert store.tries(made) == Tries()


def test_what_is_not_there_is_refused_by_name(store: Store) -> None:
    assert code_of(lambda: store.entry(RELEASE, "fix")) == "not-installed"
    install(store)
    with pytest.raises(Refusal) as refusal:
        store.entry(RELEASE, "other")
    shows(refusal.value, "not-installed")
    assert code_of(lambda: store.uninstall(RELEASE, "other")) == "not-installed"
    assert code_of(lambda: store.set_enabled("6.1.0-other", "fix", True)) == "not-installed"


def test_a_bare_name_means_what_is_kept_and_never_a_file_that_lies_here(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fix").write_bytes(b"put here by somebody")
    (tmp_path / "fix.ko").write_bytes(SECOND)
    monkeypatch.setattr("suture.core.running.release", lambda: RELEASE)
    assert code_of(lambda: store_module.named(Path("fix"), store)) == "not-installed"
    made = install(store)
    assert store_module.named(Path("fix"), store) == (
        FIRST,
        str(place(store) / made.module_file),
        False,
    )
    assert store_module.named(Path("fix.ko"), store) == (SECOND, "fix.ko", False)
    assert code_of(lambda: store_module.named(Path("other.ko"), store)) == "file-unreadable"


@pytest.mark.parametrize("release", ["..", "../etc", "", "/etc", "a/b", "-r"])
def test_a_release_that_is_none_makes_no_path(store: Store, release: str) -> None:
    assert code_of(lambda: install(store, release=release)) == "store-damaged"
    assert not store.path.exists()


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(directory: Path) -> None:
        fields = json.loads((directory / "fix.json").read_text())
        change(fields)
        (directory / "fix.json").write_text(json.dumps(fields))

    return edit


def _module(directory: Path) -> Path:
    return next(directory.glob("*.ko"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "manifest empty": lambda d: (d / "fix.json").write_bytes(b""),
    "manifest torn": lambda d: (d / "fix.json").write_bytes((d / "fix.json").read_bytes()[:40]),
    "manifest a list": lambda d: (d / "fix.json").write_bytes(b"[]"),
    "manifest of another format": _edit(lambda fields: fields.update(format=2)),
    "field gone": _edit(lambda fields: fields.pop("order")),
    "field more": _edit(lambda fields: fields.update(more=1)),
    "field of another type": _edit(lambda fields: fields.update(enabled="yes")),
    "another's manifest": _edit(lambda fields: fields.update(name="other")),
    "hash that is a path": _edit(lambda fields: fields.update(sha256="../../../etc/passwd")),
    "another hash": _edit(lambda fields: fields.update(sha256="0" * 64)),
    "module gone": lambda d: _module(d).unlink(),
    "module cut off": lambda d: _module(d).write_bytes(FIRST[:-1]),
    "module empty": lambda d: _module(d).write_bytes(b""),
    "one bit": lambda d: _module(d).write_bytes(bytes([FIRST[0] ^ 1]) + FIRST[1:]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_refused_found_and_mended_by_installing(
    store: Store, damage: str
) -> None:
    install(store)
    DAMAGES[damage](place(store))
    assert code_of(lambda: store.module(store.entry(RELEASE, "fix"))) == "store-damaged"
    assert [finding.refusal.code for finding in store.check() if finding.refusal] == [
        "store-damaged"
    ]
    install(store, SECOND)
    assert store.module(store.entry(RELEASE, "fix")) == SECOND
    assert store.check() == []


def _linked(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


TAMPERED: dict[str, Callable[[Store], object]] = {
    "module is a link": lambda s: _linked(_module(place(s))),
    "manifest is a link": lambda s: _linked(place(s) / "fix.json"),
    "directory is a link": lambda s: _linked(place(s)),
    "store is a link": lambda s: _linked(s.path),
    "module for the group": lambda s: _module(place(s)).chmod(0o664),
    "manifest for all": lambda s: (place(s) / "fix.json").chmod(0o646),
    "directory for all": lambda s: place(s).chmod(0o777),
    "store for the group": lambda s: s.path.chmod(0o775),
    "above the store for all": lambda s: s.path.parent.chmod(0o1777),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_another_could_change_is_refused(store: Store, what: str) -> None:
    made = install(store)
    TAMPERED[what](store)
    assert code_of(lambda: store.module(store.entry(made.release, made.name))) == "path-untrusted"


def test_a_directory_in_place_of_a_module_is_refused(store: Store) -> None:
    made = install(store)
    path = _module(place(store))
    path.unlink()
    path.mkdir()
    assert code_of(lambda: store.module(made)) == "path-untrusted"
    assert [finding.refusal.code for finding in store.check() if finding.refusal] == [
        "path-untrusted"
    ]


def test_a_pipe_in_place_of_a_module_blocks_nobody(store: Store) -> None:
    made = install(store)
    path = _module(place(store))
    path.unlink()
    os.mkfifo(path)
    assert code_of(lambda: store.module(made)) == "path-untrusted"


def test_what_belongs_to_another_user_is_refused(store: Store) -> None:
    install(store)
    other = Store(store.path, store.anchor, owner=os.geteuid() + 1)
    with pytest.raises(Refusal, match=f"belongs to user {os.geteuid()}") as refusal:
        other.releases()
    assert refusal.value.code == "path-untrusted"


def test_a_link_in_the_place_of_the_store_is_refused(store: Store, tmp_path: Path) -> None:
    install(store)
    (tmp_path / "link").symlink_to(store.path)
    with pytest.raises(Refusal) as refusal:
        Store(tmp_path / "link", store.anchor, store.owner).releases()
    shows(refusal.value, "path-untrusted")


def test_half_a_module_is_damage(store: Store) -> None:
    made = install(store)
    _module(place(store)).write_bytes(FIRST[:-1])
    with pytest.raises(Refusal) as refusal:
        store.module(made)
    shows(refusal.value, "store-damaged")


def test_a_full_disk_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below, at each change in turn; here, what is said."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: disk_full())
        with pytest.raises(Refusal) as refusal:
            install(store)
    shows(refusal.value, "store-unwritable")


def test_prune_removes_what_nobody_needs_and_nothing_else(store: Store) -> None:
    install(store)
    install(store, SECOND, release="5.10.0-gone")
    (place(store) / f"{'1' * 64}.ko").write_bytes(b"left by a run that was killed")
    (place(store) / ".part-0123").write_bytes(b"so is this")
    assert [Path(finding.path).name for finding in store.check()] == [
        ".part-0123",
        f"{'1' * 64}.ko",
    ]
    removed = store.prune(["5.10.0-gone"])
    assert len(removed) == 4
    assert store.releases() == [RELEASE]
    assert store.check() == []
    assert store.module(store.entry(RELEASE, "fix")) == FIRST


def test_prune_keeps_modules_beside_a_manifest_that_cannot_be_read(store: Store) -> None:
    install(store)
    (place(store) / "fix.json").write_bytes(b"{")
    assert store.prune([]) == []
    assert _module(place(store)).read_bytes() == FIRST


def dying(act: Callable[[], object], at: int, how: Callable[[], object]) -> int:
    """Run `act` in a child that comes to `how` before the `at`-th change of a file; half of what it
    writes is written.

    :return: the child's wait status
    """
    pid = os.fork()
    if pid == 0:
        count = 0

        def counted(name: str) -> Callable[..., Any]:
            real = getattr(os, name)

            def call(*words: Any, **named: Any) -> Any:
                nonlocal count
                if name == "open" and not words[1] & os.O_CREAT:
                    return real(*words, **named)  # for reading
                count += 1
                if count == at:
                    if name == "write":
                        real(words[0], bytes(words[1])[: len(words[1]) // 2])
                    how()
                return real(*words, **named)

            return call

        for name in CHANGING:
            setattr(os, name, counted(name))
        try:
            act()
            os._exit(0)
        except Refusal as refusal:
            os._exit(3 if refusal.code == "store-unwritable" else 4)
        except BaseException:
            os._exit(5)
    return os.waitpid(pid, 0)[1]


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


ACTS: dict[
    str, tuple[Callable[[Store], object], Callable[[Store], object], tuple[object, object]]
] = {
    "first install": (lambda s: None, lambda s: install(s), (None, FIRST)),
    "install anew": (install, lambda s: install(s, SECOND), (FIRST, SECOND)),
    "uninstall": (install, lambda s: s.uninstall(RELEASE, "fix"), (FIRST, None)),
    "disable": (
        install,
        lambda s: s.set_enabled(RELEASE, "fix", False),
        ((FIRST, True), (FIRST, False)),
    ),
    "prune": (install, lambda s: s.prune([RELEASE]), (FIRST, None)),
}
"""What to begin with, what to do, and the two states that may be found whatever happens."""


def state(store: Store, act: str) -> object:
    if "fix" not in store.names(RELEASE):
        return None
    entry = store.entry(RELEASE, "fix")
    content = store.module(entry)
    return (content, entry.enabled) if act == "disable" else content


def points(tmp_path: Path, act: str, how: Callable[[], object]) -> Iterator[tuple[Store, int]]:
    """A new store for each point at which the act is cut short, and the child's status; until it is
    not."""
    begin, do, _ = ACTS[act]
    for at in range(1, 200):
        anchor = tmp_path / str(at)
        anchor.mkdir(mode=0o755)
        store = Store(anchor / "suture", anchor=anchor, owner=os.geteuid())
        begin(store)
        status = dying(lambda store=store: do(store), at, how)  # type: ignore[misc]
        yield store, status
        if status == 0:
            return
    raise AssertionError("it never ends")


@pytest.mark.parametrize("act", ACTS)
def test_killed_at_every_change_it_is_as_before_or_as_it_was_to_be(
    tmp_path: Path, act: str
) -> None:
    old, new = ACTS[act][2]
    seen: list[object] = []
    for store, status in points(tmp_path, act, kill):
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        seen.append(state(store, act))
        assert [finding.refusal for finding in store.check() if finding.refusal] == []
        store.prune([])
        assert store.check() == []
    changed = seen.index(new)
    assert len(seen) > 5
    assert seen[:changed] == [old] * changed
    assert seen[changed:] == [new] * (len(seen) - changed)


@pytest.mark.parametrize("act", ACTS)
def test_a_disk_that_is_full_at_any_moment_leaves_the_old_or_the_new(
    tmp_path: Path, act: str
) -> None:
    old, new = ACTS[act][2]
    for store, status in points(tmp_path, act, disk_full):
        assert os.waitstatus_to_exitcode(status) in (0, 3), "refused by name, or done"
        assert state(store, act) in (old, new)
        assert not list(store.path.rglob(".part-*"))

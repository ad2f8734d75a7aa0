# SPDX-License-Identifier: GPL-2.0-or-later
"""The attacks that the specification of The Update Framework lists (1.5.2, "Goals to protect
against specific attacks"), by whoever has the web server, which is nginx, or some of the keys; and
what the host does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, MetaFile, TargetFile

from suture.repo import documents, publishing, roles, settling
from suture.repo.documents import ChosenPatch, RingChoice
from suture.repo.roles import RoleChange
from suture.repo.tree import as_bytes
from tests.examples import shows
from tests.nginx import served_by_nginx
from tests.unit.core.test_replacing import RELEASE
from tests.unit.repo.site import Site, ToyHost, codes, fix

PATCHES = f"patches-{RELEASE}"
EVIL = fix("evil", build=0xBAD)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site.make(tmp_path_factory.mktemp("site"))
    made.publish(fix("first", build=1))
    made.publish(fix("second", build=2))
    made.promote("first")
    return made


@pytest.fixture
def site(begun: Site, tmp_path: Path) -> Site:
    return begun.copy(tmp_path / "repository")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """One server for all tests, and the link by which each says what it serves."""
    work = tmp_path_factory.mktemp("nginx")
    more = """
    location /slow/ { alias served/; limit_rate 1; }
    location /moved/ { return 302 /other/; }
    """.replace("served/", f"{work}/served/")
    with served_by_nginx(work / "served", work, more) as url:
        yield url, work / "served"


@pytest.fixture
def url(server: tuple[str, Path], site: Site) -> str:
    address, link = server
    link.unlink(missing_ok=True)
    link.symlink_to(site.path)
    return address


@pytest.fixture
def host(tmp_path: Path, site: Site, url: str) -> ToyHost:
    """A host that has followed the repository, and has the first live patch in force."""
    host = ToyHost(tmp_path / "host")
    assert host.follow(url, root=site.root).loaded == "first"
    host.asked.clear()
    return host


def refused(host: ToyHost, site: Site, url: str, code: str, **given: Any) -> str:
    """Follow: it is refused, and the host's live patches are as before.  Return what was found."""
    before = dict(host.in_force()), dict(host.kept())
    outcome = host.follow(url, root=site.root, **given)
    assert codes(outcome) == [code]
    assert (dict(host.in_force()), dict(host.kept())) == before
    assert host.asked == []
    assert outcome.report.error == code
    return str(outcome.refusals[0])


def place(site: Site, role: str) -> Path:
    """The newest published metadata of a role."""
    found = site.tree.published().version(role)
    name = "timestamp.json" if role == "timestamp" else f"{found}.{role}.json"
    return site.path / "metadata" / name


def forged(
    site: Site, role: str, change: Callable[[Any], object], *keys: str, online: bool = True
) -> None:
    """Publish changed metadata of a role, signed with these keys, as one does who has them."""
    state = site.tree.published()
    made = settling.next_version(role, state.roles[role].signed, state.version(role) + 1)
    change(made.signed)
    for signer in site.signers(*keys):
        settling.sign(made, signer)
    site.tree.publish(f"{made.signed.version}.{role}.json", made)
    assert state.snapshot is not None
    snapshot = settling.next_version(
        "snapshot", state.snapshot.signed, state.version("snapshot") + 1
    )
    snapshot.signed.meta[f"{role}.json"] = MetaFile.from_data(
        made.signed.version, as_bytes(made), ["sha256"]
    )
    publish_online(site, snapshot, "online" if online else "other")


def publish_online(site: Site, snapshot: Metadata[Any], key: str) -> None:
    state = site.tree.published()
    assert state.timestamp is not None
    timestamp = settling.next_version(
        "timestamp", state.timestamp.signed, state.version("timestamp") + 1
    )
    for signer in site.signers(key):
        settling.sign(snapshot, signer)
        timestamp.signed.snapshot_meta = MetaFile.from_data(
            snapshot.signed.version, as_bytes(snapshot), ["sha256"]
        )
        settling.sign(timestamp, signer)
    site.tree.publish(f"{snapshot.signed.version}.snapshot.json", snapshot)
    site.tree.publish("timestamp.json", timestamp)


def with_evil(site: Site) -> Callable[[Any], object]:
    """A change that vouches for another module under a name of its own."""
    patch = publishing.describe(EVIL, "evil.ko", publishing.Accompaniment())

    def change(signed: Any) -> None:
        for ending, content in ((".ko", EVIL), (".json", patch.content())):
            path = documents.patch_path(RELEASE, "evil", ending)
            site.tree.add(path, content)
            signed.targets[path] = TargetFile.from_data(path, content, ["sha256"])

    return change


def with_choice(site: Site, name: str, content: bytes) -> Callable[[Any], object]:
    """A change by which the ring chooses a module, vouched for or not."""
    import hashlib

    chosen = ChosenPatch(name, hashlib.sha256(content).hexdigest())
    since = documents.stamp(documents.now() - timedelta(days=1))
    choice = RingChoice("canary", RELEASE, chosen, None, 10_000, "", since)

    def change(signed: Any) -> None:
        path = documents.choice_path("canary", RELEASE)
        site.tree.add(path, choice.content())
        signed.targets[path] = TargetFile.from_data(path, choice.content(), ["sha256"])

    return change


# Arbitrary installation


def test_another_file_under_the_name_of_a_module_is_not_loaded(
    host: ToyHost, site: Site, url: str
) -> None:
    site.promote("second")
    (module,) = (site.path / "targets" / "patches" / RELEASE).glob("*.second.ko")
    good = module.read_bytes()
    module.write_bytes(bytes(len(good)))
    assert "hash" in refused(host, site, url, "metadata-untrusted")
    module.write_bytes(good)
    assert host.follow(url, root=site.root).loaded == "second"


def test_metadata_that_others_signed_is_not_believed(host: ToyHost, site: Site, url: str) -> None:
    forged(site, PATCHES, with_evil(site), "other", "other", online=False)
    assert "was signed by 0/1 keys" in refused(host, site, url, "metadata-untrusted")


def test_another_repository_in_its_place_is_not_believed(
    host: ToyHost, site: Site, url: str, tmp_path: Path, server: tuple[str, Path]
) -> None:
    other = Site.make(tmp_path / "other")
    other.publish(EVIL)
    other.promote("evil")
    server[1].unlink()
    server[1].symlink_to(other.path)
    refused(host, site, url, "metadata-untrusted")
    new = ToyHost(tmp_path / "new")
    assert codes(new.follow(url, root=site.root)) == ["metadata-untrusted"]
    assert new.in_force() == {}


def test_a_changed_byte_of_metadata_is_seen(host: ToyHost, site: Site, url: str) -> None:
    site.promote("second")
    path = place(site, "ring-canary")
    path.write_bytes(path.read_bytes().replace(b'"length": ', b'"length": 1', 1)[:-1])
    refused(host, site, url, "metadata-untrusted")


# Rollback and freeze


def test_yesterdays_files_are_refused(
    host: ToyHost, site: Site, url: str, tmp_path: Path, server: tuple[str, Path]
) -> None:
    shutil.copytree(site.path, tmp_path / "yesterday")
    site.withdraw("first")
    assert host.follow(url, root=site.root).unloaded == ("first",)
    host.asked.clear()
    server[1].unlink()
    server[1].symlink_to(tmp_path / "yesterday")
    text = refused(host, site, url, "metadata-untrusted")
    assert "timestamp version" in text
    assert host.in_force() == {}


def test_metadata_that_never_changes_expires(
    host: ToyHost, site: Site, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = documents.now
    monkeypatch.setattr(documents, "now", lambda: now() + timedelta(days=2))
    assert host.follow(url, root=site.root).refusals == ()
    monkeypatch.setattr(documents, "now", lambda: now() + timedelta(days=4))
    text = refused(host, site, url, "metadata-expired")
    shows(text.replace(url, "https://patches.example.org"), "metadata-expired")
    host.reboot()
    assert list(host.in_force()) == ["first"], "boots load what is installed"


def test_a_clock_that_goes_back_does_not_make_old_metadata_new(
    host: ToyHost, site: Site, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = documents.now
    site.promote("second")  # for seven days
    monkeypatch.setattr(documents, "now", lambda: now() + timedelta(days=9))
    roles.renew(site.tree, [], site.signers("online"))
    assert "expired" in refused(host, site, url, "metadata-expired")
    monkeypatch.setattr(documents, "now", lambda: now() + timedelta(days=3))
    assert "expired" in refused(host, site, url, "metadata-expired")
    new = ToyHost(tmp_path / "new")
    assert codes(new.follow(url, root=site.root)) == ["metadata-expired"], "it has seen nothing yet"
    monkeypatch.setattr(documents, "now", lambda: now() + timedelta(days=9))
    roles.renew(site.tree, ["ring-canary"], site.signers("ring", "online"), 30)
    monkeypatch.setattr(documents, "now", lambda: now() - timedelta(days=3_000))
    assert host.follow(url, root=site.root).loaded == "second", "a wrong clock by itself is no harm"


# Mix and match, endless data, slow retrieval


def test_parts_of_two_states_are_refused(host: ToyHost, site: Site, url: str) -> None:
    old = place(site, "ring-canary").read_bytes()
    site.promote("second")
    place(site, "ring-canary").write_bytes(old)
    refused(host, site, url, "metadata-untrusted")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "ring-canary"])
def test_a_file_without_an_end_is_given_up(host: ToyHost, site: Site, url: str, role: str) -> None:
    site.promote("second")
    with place(site, role).open("r+b") as file:
        file.truncate(1 << 40)  # a hole, which nginx sends as zeroes
    text = refused(host, site, url, "download-too-long")
    if role == "timestamp":
        shows(text.replace(url, "https://patches.example.org"), "download-too-long")


def test_a_module_without_an_end_is_given_up(host: ToyHost, site: Site, url: str) -> None:
    site.promote("second")
    (module,) = (site.path / "targets" / "patches" / RELEASE).glob("*.second.ko")
    with module.open("r+b") as file:
        file.truncate(1 << 40)
    refused(host, site, url, "download-too-long")


def test_a_file_drop_by_drop_is_given_up(host: ToyHost, site: Site, url: str) -> None:
    site.promote("second")
    text = refused(host, site, f"{url}/slow", "download-too-slow", base=0.5, slowest=1 << 20)
    shows(text.replace(url, "https://patches.example.org"), "download-too-slow")


def test_a_server_that_is_gone_changes_nothing(host: ToyHost, site: Site) -> None:
    text = refused(host, site, "http://127.0.0.1:9", "repository-unreachable")
    shows(
        text.replace("http://127.0.0.1:9", "http://patches.example.org"), "repository-unreachable"
    )


def test_files_that_are_missing_change_nothing(host: ToyHost, site: Site, url: str) -> None:
    place(site, "timestamp").unlink()
    refused(host, site, url, "repository-unreachable")


# Extraneous dependencies


def test_one_kernels_managers_cannot_vouch_for_another_kernel(
    host: ToyHost, site: Site, url: str
) -> None:
    roles.propose(site.tree, "patches-6.1.0-8-amd64", RoleChange(add=(site.public("other"),)))
    signers = site.signers("targets1", "targets2", "other", "online")
    assert roles.sign_staged(site.tree, signers).waiting == ()
    forged(site, "patches-6.1.0-8-amd64", with_evil(site), "other")
    forged(site, "ring-canary", with_choice(site, "evil", EVIL), "ring")
    refused_choice(host, site, url)


def test_a_file_that_nobody_asked_for_is_not_fetched(
    host: ToyHost, site: Site, url: str, server: tuple[str, Path]
) -> None:
    site.publish(EVIL)
    site.promote("second")
    assert host.follow(url, root=site.root).loaded == "second"
    log = (server[1].parent / "access.log").read_text()
    assert "second.ko" in log
    assert ".evil." not in log


def test_a_host_that_is_up_to_date_asks_for_two_small_files(
    host: ToyHost, site: Site, url: str, server: tuple[str, Path]
) -> None:
    log = server[1].parent / "access.log"
    before = len(log.read_text().splitlines())
    for _ in range(3):
        assert host.follow(url, root=site.root).refusals == ()
    asked = [line.split()[6] for line in log.read_text().splitlines()[before:]]
    assert asked == ["/metadata/2.root.json", "/metadata/timestamp.json"] * 3


# Wrong keys, and keys in wrong hands


def refused_choice(host: ToyHost, site: Site, url: str) -> str:
    before = dict(host.in_force())
    outcome = host.follow(url, root=site.root)
    assert codes(outcome) == ["choice-not-vouched"]
    assert (dict(host.in_force()), host.asked) == (before, [])
    return str(outcome.refusals[0])


def test_a_stolen_ring_key_cannot_bring_in_anything(host: ToyHost, site: Site, url: str) -> None:
    forged(site, "ring-canary", with_choice(site, "evil", EVIL), "ring")
    shows(refused_choice(host, site, url), "choice-not-vouched")


def test_a_stolen_ring_key_cannot_put_another_file_under_a_good_name(
    host: ToyHost, site: Site, url: str
) -> None:
    forged(site, "ring-canary", with_choice(site, "second", EVIL), "ring")
    refused_choice(host, site, url)


def test_a_stolen_ring_key_cannot_bring_back_what_was_withdrawn(
    host: ToyHost, site: Site, url: str
) -> None:
    second = fix("second", build=2)
    site.withdraw("second")
    forged(site, "ring-canary", with_choice(site, "second", second), "ring")
    outcome = host.follow(url, root=site.root)
    assert (outcome.loaded, outcome.report.waits) == ("", "withdrawn")
    assert list(host.in_force()) == ["first"]


def test_a_stolen_ring_key_can_choose_among_what_was_released(
    host: ToyHost, site: Site, url: str
) -> None:
    forged(site, "ring-canary", with_choice(site, "second", fix("second", build=2)), "ring")
    assert host.follow(url, root=site.root).loaded == "second"


def test_a_stolen_online_key_brings_back_no_older_metadata(
    host: ToyHost, site: Site, url: str
) -> None:
    old = site.tree.published().version(PATCHES)
    site.withdraw("second")
    assert host.follow(url, root=site.root).refusals == ()
    state = site.tree.published()
    assert state.snapshot is not None
    snapshot = settling.next_version(
        "snapshot", state.snapshot.signed, state.version("snapshot") + 1
    )
    snapshot.signed.meta[f"{PATCHES}.json"] = MetaFile(old)
    publish_online(site, snapshot, "online")
    host.asked.clear()
    refused(host, site, url, "metadata-untrusted")


def test_keys_below_the_threshold_are_worth_nothing(host: ToyHost, site: Site, url: str) -> None:
    forged(site, PATCHES, with_evil(site), "release1")
    forged(site, "ring-canary", with_choice(site, "evil", EVIL), "ring")
    text = refused(host, site, url, "metadata-untrusted")
    assert "was signed by 1/2 keys" in text
    shows(text.replace(url, "https://patches.example.org"), "metadata-untrusted")


def test_one_key_twice_is_one_key(host: ToyHost, site: Site, url: str) -> None:
    forged(site, PATCHES, with_evil(site), "release1")
    path, state = place(site, PATCHES), site.tree.published()
    document = json.loads(path.read_bytes())
    document["signatures"] *= 2
    assert state.snapshot is not None
    snapshot = settling.next_version(
        "snapshot", state.snapshot.signed, state.version("snapshot") + 1
    )
    snapshot.signed.meta[f"{PATCHES}.json"] = MetaFile(state.version(PATCHES))
    publish_online(site, snapshot, "online")
    path.write_text(json.dumps(document))
    refused(host, site, url, "metadata-untrusted")


def test_keys_above_the_threshold_reach_hosts_until_they_are_replaced(
    host: ToyHost, site: Site, url: str
) -> None:
    forged(site, PATCHES, with_evil(site), "release1", "release2")
    forged(site, "ring-canary", with_choice(site, "evil", EVIL), "ring")
    assert host.follow(url, root=site.root).loaded == "evil"
    change = RoleChange(
        add=(site.public("other"), site.public("root3")),
        remove=(site.public("release1").keyid, site.public("release2").keyid),
    )
    roles.propose(site.tree, PATCHES, change)
    signers = site.signers("targets1", "targets2", "other", "root3", "online")
    assert roles.sign_staged(site.tree, signers).waiting == ()
    site.withdraw("evil", "other", "root3", "online")
    assert host.follow(url, root=site.root).unloaded == ("evil",)
    forged(site, PATCHES, with_evil(site), "release1", "release2")
    host.asked.clear()
    refused(host, site, url, "metadata-untrusted")


def test_a_lost_root_key_is_replaced_and_worth_nothing_then(
    host: ToyHost, site: Site, url: str, tmp_path: Path
) -> None:
    change = RoleChange(add=(site.public("other"),), remove=(site.public("root3").keyid,))
    roles.propose(site.tree, "root", change)
    signers = site.signers("root1", "other", "online")
    assert "root" not in roles.sign_staged(site.tree, signers).published, "one of the two before"
    done = roles.sign_staged(site.tree, site.signers("root2", "online"))
    assert done.published["root"] == 2
    site.promote("second")
    assert host.follow(url, root=site.root).loaded == "second"
    new = ToyHost(tmp_path / "new")
    assert new.follow(url, root=site.root).loaded == "second", "from the first root on"
    # Whoever found the lost key has one of two.
    third = settling.next_version("root", site.tree.published().root.signed, 3)  # type: ignore[union-attr]
    for signer in site.signers("root1", "root3"):
        settling.sign(third, signer)
    site.tree.publish("3.root.json", third)
    host.asked.clear()
    refused(host, site, url, "metadata-untrusted")


def test_a_new_online_key_takes_over_at_once(host: ToyHost, site: Site, url: str) -> None:
    for role in ("snapshot", "timestamp"):
        change = RoleChange(add=(site.public("other"),), remove=(site.public("online").keyid,))
        roles.propose(site.tree, role, change)
    done = roles.sign_staged(site.tree, site.signers("root1", "root2", "other"))
    assert (done.published["root"], done.waiting) == (2, ())
    assert host.follow(url, root=site.root).refusals == ()
    # The stolen one says that it is the next century.
    state = site.tree.published()
    assert state.snapshot is not None
    publish_online(site, settling.next_version("snapshot", state.snapshot.signed, 99), "online")
    host.asked.clear()
    refused(host, site, url, "metadata-untrusted")

# SPDX-License-Identifier: GPL-2.0-or-later
"""Those who publish: keys and their ceremony, what waits for signatures, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from suture.errors import Refusal
from suture.repo import documents, keys, publishing, roles
from suture.repo.adopting import adopt
from suture.repo.deb import wrap
from suture.repo.mirror import mirror
from suture.repo.overview import overview, release_of
from suture.repo.publishing import Accompaniment
from suture.repo.roles import FirstRoles, RoleChange
from suture.repo.tree import RepositoryTree
from tests.examples import shows
from tests.unit.core.test_replacing import RELEASE
from tests.unit.repo.site import Site, ToyHost, codes, fix

PATCHES = f"patches-{RELEASE}"
SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site.make(tmp_path_factory.mktemp("site"))
    made.publish(fix("first", build=1))
    return made


@pytest.fixture
def site(begun: Site, tmp_path: Path) -> Site:
    return begun.copy(tmp_path / "repository")


def refusal_of(act: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        act()
    return refusal.value


def waiting(site: Site) -> dict[str, int]:
    """Staged role -> signatures that it lacks."""
    return {one.signatures.role: one.signatures.missing for one in overview(site.tree).staged}


def test_a_repository_is_published_when_all_have_signed(tmp_path: Path, begun: Site) -> None:
    site = Site(tmp_path / "repository", begun.keys)
    first = FirstRoles(
        site.holders("root1", "root2", "root3", threshold=2),
        site.holders("targets1"),
        site.holders("online"),
        site.holders("release1"),
        site.holders("ring"),
        (RELEASE,),
        ("canary",),
    )
    done = roles.create(site.path, first, site.signers("root1", "targets1"))
    assert done.published == {}
    assert waiting(site) == {"root": 1, "targets": 0, PATCHES: 1, "ring-canary": 1}
    assert not (site.path / "metadata").exists()
    roles.sign_staged(site.tree, site.signers("release1", "ring"))
    done = roles.sign_staged(site.tree, site.signers("root3"))
    assert (done.published, done.needs_online) == ({}, False) or done.needs_online
    done = roles.sign_staged(site.tree, site.signers("online"))
    assert done.published["timestamp"] == 1
    assert waiting(site) == {}
    shows(refusal_of(lambda: roles.create(site.path, first, ())), "repository-exists")


def test_a_role_needs_as_many_keys_as_have_to_sign(tmp_path: Path, begun: Site) -> None:
    one = begun.holders("root1")
    first = FirstRoles(begun.holders("root1", "root1", threshold=2), one, one, one, one)
    shows(refusal_of(lambda: roles.create(tmp_path / "new", first, ())), "role-impossible")
    assert not (tmp_path / "new").exists()
    change = RoleChange(remove=(begun.public("online").keyid,))
    act = refusal_of(lambda: roles.propose(begun.tree, "timestamp", change))
    assert act.code == "role-impossible"


def test_holders_sign_one_after_the_other_and_the_last_publishes(site: Site) -> None:
    done = site.publish(fix("second", build=2), "release1")
    assert (done.published, waiting(site)) == ({}, {PATCHES: 1})
    (staged,) = overview(site.tree).staged
    assert any("+ patches/6.1.0-9-amd64/second.ko" in line for line in staged.changes)
    assert staged.signatures.signed == ("release1",)
    third = refusal_of(lambda: site.publish(fix("third", build=3)))
    shows(third, "signatures-missing")
    done = roles.sign_staged(site.tree, site.signers("release2", "online"))
    assert done.published[PATCHES] == 3
    assert [patch.name for patch in overview(site.tree).patches] == ["first", "second"]


def test_a_copy_that_was_signed_elsewhere_is_collected(site: Site, tmp_path: Path) -> None:
    site.publish(fix("second", build=2), "release1")
    shutil.copytree(site.path, tmp_path / "elsewhere")
    roles.sign_staged(RepositoryTree(tmp_path / "elsewhere"), site.signers("release2"))
    signed = tmp_path / "elsewhere" / "staged" / f"{PATCHES}.json"
    done = roles.collect(site.tree, [signed])
    assert (done.needs_online, waiting(site)) == (True, {PATCHES: 0})
    assert roles.sign_staged(site.tree, site.signers("online")).published[PATCHES] == 3
    again = refusal_of(lambda: roles.collect(site.tree, [signed]))
    shows(again, "signatures-of-other")


def test_what_is_staged_can_be_dropped(site: Site) -> None:
    site.publish(fix("second", build=2), "release1")
    roles.drop(site.tree, PATCHES)
    assert waiting(site) == {}
    assert refusal_of(lambda: roles.drop(site.tree, PATCHES)).code == "role-unknown"
    site.publish(fix("second", build=2))


def test_of_two_changes_at_the_same_time_one_is_outdated(site: Site, tmp_path: Path) -> None:
    site.publish(fix("second", build=2), "release1")
    staged = site.path / "staged" / f"{PATCHES}.json"
    content = staged.read_bytes()
    roles.drop(site.tree, PATCHES)
    site.publish(fix("third", build=3))
    staged.write_bytes(content)
    shows(refusal_of(lambda: site.publish(fix("fourth", build=4))), "staged-outdated")


def test_a_key_that_has_nothing_to_sign_is_refused_and_nothing_changes(site: Site) -> None:
    before = sorted(site.path.rglob("*.json"))
    refusal = refusal_of(lambda: site.publish(fix("second", build=2), "ring", "online"))
    key = site.public("ring").keyid[:12]
    shows(str(refusal).replace(key, "0123456789ab"), "signing-key-unneeded")
    kept = [path for path in sorted(site.path.rglob("*.json")) if "targets/" not in str(path)]
    assert kept == [path for path in before if "targets/" not in str(path)]


def test_new_keys_of_a_role_wait_until_it_is_signed_anew(site: Site) -> None:
    change = RoleChange(add=(site.public("other"),), remove=(site.public("release1").keyid,))
    roles.propose(site.tree, PATCHES, change)
    done = roles.sign_staged(site.tree, site.signers("targets1", "targets2", "online"))
    assert "targets" not in done.published, "hosts would not accept what the old keys signed"
    done = roles.sign_staged(site.tree, site.signers("other", "release2", "online"))
    assert {"targets", PATCHES} <= set(done.published)
    assert refusal_of(lambda: site.publish(fix("second", build=2), "release1")).code == (
        "signing-key-unneeded"
    )
    assert site.publish(fix("second", build=2), "other", "release2", "online").published


def test_a_new_kernel_and_a_new_ring_are_new_roles(site: Site) -> None:
    refusal = refusal_of(lambda: site.promote("first", "lab"))
    shows(refusal, "role-unknown")
    roles.propose(site.tree, "ring-lab", RoleChange(add=(site.public("ring"),)))
    signers = site.signers("targets1", "targets2", "ring", "online")
    assert roles.sign_staged(site.tree, signers).waiting == ()
    site.promote("first", "lab")
    for role in ("ring-", "ring-Upper", "patches-", "patches-../..", "other"):
        change = RoleChange(add=(site.public("ring"),))
        act = refusal_of(lambda role=role, change=change: roles.propose(site.tree, role, change))  # type: ignore[misc]
        assert act.code == "role-unknown"


def test_a_name_is_published_once_for_a_kernel(site: Site) -> None:
    again = refusal_of(lambda: site.publish(fix("first", build=9)))
    shows(again, "patch-already-published")
    site.withdraw("first")
    assert refusal_of(lambda: site.publish(fix("first", build=9))).code == again.code
    reserved = refusal_of(lambda: site.publish(fix("withdrawn", build=9)))
    assert reserved.code == again.code


def test_a_ring_cannot_choose_what_is_not_published_or_was_withdrawn(site: Site) -> None:
    shows(refusal_of(lambda: site.promote("second")), "patch-not-published")
    site.withdraw("first")
    shows(refusal_of(lambda: site.promote("first")), "patch-withdrawn")
    assert refusal_of(lambda: site.withdraw("first")).code == "patch-withdrawn"
    assert refusal_of(lambda: site.halt()).code == "patch-not-published"
    assert refusal_of(lambda: release_of(site.tree, "first")).code == "patch-not-published"


def test_what_is_no_live_patch_is_not_published(site: Site) -> None:
    from tests.unit.toolchain import compile_c

    assert refusal_of(lambda: site.publish(b"\x7fELF")).code == "object-malformed"
    assert refusal_of(lambda: site.publish(compile_c("int x;"))).code == "not-a-live-patch"


def test_reports_and_proof_are_published_by_hash(site: Site) -> None:
    beside = Accompaniment({".report.html": b"<html>"}, {"kernel": RELEASE}, "2030-01-31")
    site.publish(fix("second", build=2), beside=beside)
    (patch,) = [one for one in overview(site.tree).patches if one.name == "second"]
    assert patch.proof == {"kernel": RELEASE}
    digest = patch.reports[".report.html"]
    assert site.tree.read(f"patches/{RELEASE}/second.report.html", digest) == b"<html>"
    site.withdraw("second")
    assert "second" not in str(site.tree.published().roles[PATCHES].signed.targets.keys())


def test_what_half_of_its_life_is_over_is_renewed_by_the_keys_that_are_here(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = documents.now
    done = roles.renew(site.tree, [], site.signers("online"))
    assert set(done.published) == {"snapshot", "timestamp"}
    monkeypatch.setattr(documents, "now", lambda: now() + timedelta(days=4))
    done = roles.renew(site.tree, [], site.signers("online", "ring"))
    assert set(done.published) == {"snapshot", "timestamp", "ring-canary", "ring-all"}
    done = roles.renew(site.tree, [PATCHES], site.signers("online", "release1"))
    assert waiting(site) == {PATCHES: 1}
    monkeypatch.setattr(documents, "now", lambda: now() + timedelta(days=400))
    assert set(overview(site.tree).expired) >= {"root", "targets", "timestamp", PATCHES}


def test_what_is_no_repository_is_refused(site: Site, tmp_path: Path) -> None:
    empty = RepositoryTree(tmp_path / "empty")
    shows(refusal_of(lambda: overview(empty)), "repository-missing")
    assert not (tmp_path / "empty").exists()
    (site.path / "metadata" / "1.targets.json").write_bytes(b"{}")
    shows(refusal_of(lambda: overview(site.tree)), "repository-damaged")


DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field less": lambda fields: fields.pop("sha256"),
    "another type": lambda fields: fields.update(functions="all"),
    "another format": lambda fields: fields.update(format=2),
    "a path as a name": lambda fields: fields.update(name="../../etc/passwd"),
    "a hash that is none": lambda fields: fields.update(sha256="0"),
    "fixes that are none": lambda fields: fields.update(fixes=["CVE-1"]),
    "no day": lambda fields: fields.update(reboot_by="soon"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_document_that_is_none_is_refused(damage: str) -> None:
    patch = publishing.describe(fix("first"), "first.ko", Accompaniment())
    fields = json.loads(patch.content())
    assert documents.PublishedPatch.parse(patch.content(), "x") == patch
    DAMAGES[damage](fields)
    content = documents.written(fields)
    act = refusal_of(lambda: documents.PublishedPatch.parse(content, "first.json"))
    assert act.code == "metadata-untrusted"
    assert refusal_of(lambda: documents.RingChoice.parse(content, "x")).code == act.code
    assert refusal_of(lambda: documents.Withdrawals.parse(content[:-9], "x")).code == act.code


# Keys


def test_a_key_with_a_passphrase_signs_with_it_only(tmp_path: Path) -> None:
    made = keys.new_key(tmp_path, "alice", "secret")
    assert b"ENCRYPTED" in made.private.read_bytes()
    assert made.private.stat().st_mode & 0o077 == 0
    name = str(made.private)
    assert keys.signer_of(name, lambda name: "secret").public_key.keyid == made.keyid
    assert keys.holder_of(keys.read_public(made.public)) == "alice"
    shows(refusal_of(lambda: keys.signer_of(name, lambda name: "")), "signing-key-unusable")
    wrong = refusal_of(lambda: keys.signer_of(name, lambda name: "wrong"))
    assert wrong.code == "signing-key-unusable"
    assert refusal_of(lambda: keys.new_key(tmp_path, "alice")).code == "key-exists"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"keyid": "x"}', b"\xff", b"-----BEGIN PRIVATE KEY-----"]
)
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    assert refusal_of(lambda: keys.signer_of(str(path))).code == "signing-key-unusable"
    assert refusal_of(lambda: keys.read_public(path)).code == "signing-key-unusable"


def test_a_public_key_cannot_stand_under_the_identifier_of_another(
    tmp_path: Path, begun: Site
) -> None:
    fields = json.loads(begun.keys["root1"].with_suffix(".pub").read_bytes())
    fields["keyid"] = begun.public("root2").keyid
    (tmp_path / "key.pub").write_text(json.dumps(fields))
    act = refusal_of(lambda: keys.read_public(tmp_path / "key.pub"))
    assert act.code == "signing-key-unusable"


def test_a_key_on_a_token_signs(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    name = "hsm:2?label=release"
    assert "PYKCS11LIB" in refusal_of(lambda: keys.signer_of(name)).found
    monkeypatch.setenv("PYKCS11LIB", str(SOFTHSM))
    tool = ["softhsm2-util", "--init-token", "--free", "--label", "release"]
    quiet = {"check": True, "capture_output": True}
    subprocess.run([*tool, "--so-pin", "1234", "--pin", "5678"], **quiet)  # type: ignore[call-overload]
    pem = tmp_path / "token.pem"
    make = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run([*make, "-out", str(pem)], **quiet)  # type: ignore[call-overload]
    take = ["softhsm2-util", "--import", str(pem), "--token", "release", "--label", "key"]
    subprocess.run([*take, "--id", "02", "--pin", "5678"], **quiet)  # type: ignore[call-overload]
    monkeypatch.setenv(keys.PIN, "5678")
    assert "token" in refusal_of(lambda: keys.signer_of("hsm:2?label=other")).found
    public = keys.export_public(name, tmp_path / "token.pub", "token")
    change = RoleChange(add=(keys.read_public(tmp_path / "token.pub"),), threshold=1)
    roles.propose(site.tree, PATCHES, change)
    signer = keys.signer_of(name)
    assert signer.public_key.keyid == public.keyid
    signers = [*site.signers("targets1", "targets2", "online"), signer]
    assert roles.sign_staged(site.tree, signers).waiting == ()
    patch, done = publishing.publish(
        site.tree,
        fix("second", build=2),
        "s.ko",
        Accompaniment(),
        [signer, *site.signers("online")],
    )
    assert done.published
    site.promote(patch.name)
    assert ToyHost(tmp_path / "host").follow(site).loaded == "second"
    monkeypatch.setenv(keys.PIN, "0000")
    act = refusal_of(lambda: roles.renew(site.tree, [PATCHES], [keys.signer_of(name)]))
    assert act.code == "signing-key-unusable"


# Mirrors


def test_hosts_follow_a_mirror_as_they_would_the_original(site: Site, tmp_path: Path) -> None:
    site.promote("first")
    copy = tmp_path / "stick"
    done = mirror(f"file://{site.path}", copy, site.root)
    assert (done.files, done.fetched) == (3, 3)
    host = ToyHost(tmp_path / "host")
    assert host.follow(f"file://{copy}", root=site.root).loaded == "first"
    site.withdraw("first")
    assert mirror(f"file://{site.path}", copy, site.root).fetched == 1
    assert host.follow(f"file://{copy}", root=site.root).unloaded == ("first",)
    again = tmp_path / "again"
    mirror(f"file://{copy}", again, site.root)
    assert host.follow(f"file://{again}", root=site.root).refusals == ()


def test_a_mirror_takes_over_nothing_that_is_wrong_or_older(site: Site, tmp_path: Path) -> None:
    copy, yesterday = tmp_path / "copy", tmp_path / "yesterday"
    mirror(f"file://{site.path}", copy, site.root)
    shutil.copytree(site.path, yesterday)
    site.promote("first")
    mirror(f"file://{site.path}", copy, site.root)
    older = refusal_of(lambda: mirror(f"file://{yesterday}", copy, site.root))
    assert older.code == "metadata-untrusted"
    (module,) = site.path.rglob("*.first.ko")
    module.write_bytes(bytes(module.stat().st_size))
    fresh = tmp_path / "fresh"
    act = refusal_of(lambda: mirror(f"file://{site.path}", fresh, site.root))
    assert act.code == "metadata-untrusted"
    assert not (fresh / "metadata" / "timestamp.json").exists()


def test_a_host_with_an_old_root_finds_its_way(site: Site, tmp_path: Path) -> None:
    for _ in range(3):
        roles.propose(site.tree, "root", RoleChange(days=400))
        done = roles.sign_staged(site.tree, site.signers("root1", "root2", "online"))
        assert "root" in done.published
    copy = tmp_path / "copy"
    mirror(f"file://{site.path}", copy, site.root)
    outcome = ToyHost(tmp_path / "host").follow(f"file://{copy}", root=site.root)
    assert codes(outcome) == []
    assert os.listdir(copy / "metadata").count("4.root.json") == 1


# A site of its own


def test_a_site_chooses_among_what_others_vouch_for(
    site: Site, begun: Site, tmp_path: Path
) -> None:
    ours = Site.make(tmp_path / "ours", "6.1.0-other-amd64")
    url, host = f"file://{begun.copy(tmp_path / 'theirs').path}", ToyHost(tmp_path / "host")
    theirs = Site(tmp_path / "theirs", begun.keys)
    done = adopt(ours.tree, url, begun.root, RELEASE, ours.signers("online"))
    assert PATCHES not in done.published, "our holders of targets have not agreed"
    done = roles.sign_staged(ours.tree, ours.signers("targets1", "targets2", "online"))
    assert {"targets", PATCHES} <= set(done.published)
    chosen = Site(ours.path, ours.keys)
    chosen.promote("first")
    assert host.follow(chosen).loaded == "first"
    theirs.publish(fix("second", build=2))
    theirs.withdraw("first")
    done = adopt(ours.tree, url, begun.root, RELEASE, ours.signers("online"))
    assert done.published[PATCHES] == 4
    assert host.follow(chosen).unloaded == ("first",)
    chosen.promote("second")
    assert host.follow(chosen).loaded == "second"
    again = adopt(ours.tree, url, begun.root, RELEASE, ours.signers("online"))
    assert again.published == {}
    act = refusal_of(lambda: chosen.publish(fix("third", build=3)))
    assert act.code == "signing-key-unneeded", "ours cannot vouch"
    assert refusal_of(lambda: adopt(ours.tree, url, begun.root, "6.2", ())).code == "role-unknown"


# Packages


def test_a_package_has_the_module_and_runs_the_hosts_own_suture(site: Site, tmp_path: Path) -> None:
    made = wrap(site.tree, RELEASE, "first", tmp_path, "Ops <ops@example.org>")
    again = wrap(site.tree, RELEASE, "first", tmp_path / "again", "Ops <ops@example.org>")
    assert made.read_bytes() == again.read_bytes()
    unpacked = tmp_path / "unpacked"
    subprocess.run(["dpkg-deb", "-R", made, unpacked], check=True)
    place = f"usr/lib/suture/livepatches/{RELEASE}/first.ko"
    assert (unpacked / place).read_bytes() == fix("first", build=1)
    control = (unpacked / "DEBIAN/control").read_text()
    assert "Package: livepatch-first-6.1.0-9-amd64\n" in control
    assert "Architecture: amd64\n" in control
    assert f"suture install /{place}\n" in (unpacked / "DEBIAN/postinst").read_text()
    for script in ("postinst", "prerm"):
        subprocess.run(["sh", "-n", unpacked / "DEBIAN" / script], check=True)
    site.withdraw("first")
    gone = refusal_of(lambda: wrap(site.tree, RELEASE, "first", tmp_path, "Ops <o@example.org>"))
    assert gone.code == "patch-withdrawn"

# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches from web addresses, with a server of the standard library on this host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.formats.addresses import fetched, file_name, is_address
from suture.host.pipes import kept
from tests.examples import shows
from tests.web import served

PATCH = b"--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-int a;\n+int b;\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "fix.patch").write_bytes(PATCH)
    (tmp_path / "page").write_text("<!DOCTYPE html>\n<html><body>fix.patch</body></html>\n")
    with served(tmp_path) as address:
        yield address


def refused(address: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        fetched(address)
    return caught.value


def test_what_an_address_leads_to(server: str) -> None:
    assert fetched(f"{server}/fix.patch") == PATCH


def test_a_command_fetches_an_address_once(server: str, tmp_path: Path) -> None:
    with kept():
        first = fetched(f"{server}/fix.patch")
        (tmp_path / "fix.patch").write_bytes(b"changed meanwhile")
        assert fetched(f"{server}/fix.patch") == first


def test_what_is_not_there(server: str) -> None:
    refusal = refused(f"{server}/none.patch")
    assert refusal.code == "address-unreachable"
    assert refusal.found == "the server answers 404 File not found"


def test_nobody_answers() -> None:
    shows(refused("http://127.0.0.1:9/fix.patch"), "address-unreachable")


def test_a_page_is_no_patch(server: str) -> None:
    refusal = refused(f"{server}/page")
    assert (refusal.code, refusal.found) == ("not-a-patch", "is a web page")


def test_the_users_proxy_is_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server)
    monkeypatch.setenv("no_proxy", "")
    assert refused("http://example.invalid/none").code == "address-unreachable"
    assert fetched("http://example.invalid/fix.patch") == PATCH


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://git.kernel.org/x/patch/?id=1", True),
        ("HTTP://example.org/fix.patch", True),
        ("fix.patch", False),
        ("https:/git.kernel.org/x", False),
        ("ftp://example.org/fix.patch", False),
        ("https://example.org/two words", False),
    ],
)
def test_addresses_are_told_from_files(text: str, is_one: bool) -> None:
    assert is_address(text) is is_one


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://example.org/a/fix.patch?x=1", "fix.patch"),
        ("https://example.org/", "patch"),
        ("https://example.org/a/%2e%2e", "2e-2e"),
        ("https://example.org/a/..", "patch"),
    ],
)
def test_the_file_is_named_like_the_address(address: str, name: str) -> None:
    assert file_name(address) == name

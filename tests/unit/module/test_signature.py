# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures of modules, as modinfo and OpenSSL read them too, and what is no good signature."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import Certificate, CertificateBuilder

from suture.core.certificates import trusted_certificates
from suture.errors import Refusal
from suture.module import sign, signature
from suture.module.sign import KeyPair, Signer
from suture.module.signature import MAGIC, STRUCT
from tests.examples import shows

OPENSSL_KEY = """
[req]
prompt = no
distinguished_name = dn
x509_extensions = ext
[dn]
CN = Of OpenSSL
[ext]
subjectKeyIdentifier = hash
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return sign.new_key(tmp_path_factory.mktemp("keys"), "suture", "Signer of the test")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return sign.new_key(tmp_path_factory.mktemp("others"), "suture", "Another")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An object that modinfo(8) takes for a module."""
    directory = tmp_path_factory.mktemp("module")
    source = 'const char info[] __attribute__((section(".modinfo"))) = "license=GPL\\0name=toy";'
    subprocess.run(
        ["gcc", "-c", "-x", "c", "-", "-o", directory / "toy.ko"], input=source.encode(), check=True
    )
    return (directory / "toy.ko").read_bytes()


@pytest.fixture(scope="module")
def signed(module: bytes, pair: KeyPair) -> bytes:
    return sign.sign(module, "toy.ko", signer(pair))


def signer(pair: KeyPair) -> Signer:
    return Signer(str(pair.key), pair.certificate)


def certificate_of(pair: KeyPair) -> Certificate:
    return signature.certificate(pair.certificate.read_bytes(), "here")


def message(signed: bytes) -> bytes:
    """The PKCS #7 message alone."""
    size = STRUCT.unpack_from(signed, len(signed) - len(MAGIC) - STRUCT.size)[-1]
    end = len(signed) - len(MAGIC) - STRUCT.size
    return signed[end - size : end]


def appended(content: bytes, made: bytes, *, kind: int = 2) -> bytes:
    return content + made + STRUCT.pack(0, 0, kind, 0, 0, len(made)) + MAGIC


def refused(act: Callable[..., object], *words: object) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        act(*words)
    return refusal.value


def code_of(act: Callable[..., object], *words: object) -> str:
    return refused(act, *words).code


def outcome(module: bytes, trusted: Sequence[Certificate]) -> str:
    """The code of the refusal, or "" """
    try:
        signature.check(module, "toy.ko", trusted)
    except Refusal as refusal:
        return refusal.code
    return ""


def test_modinfo_shows_who_signed(signed: bytes, tmp_path: Path) -> None:
    (tmp_path / "toy.ko").write_bytes(signed)
    shown = subprocess.run(
        ["/sbin/modinfo", tmp_path / "toy.ko"], capture_output=True, text=True, check=True
    ).stdout
    fields = {line.partition(":")[0]: line.partition(":")[2].strip() for line in shown.splitlines()}
    assert (fields["signer"], fields["sig_id"], fields["sig_hashalgo"]) == (
        "Signer of the test",
        "PKCS#7",
        "sha256",
    )


def test_openssl_verifies_what_was_signed(
    signed: bytes, module: bytes, pair: KeyPair, tmp_path: Path
) -> None:
    (tmp_path / "message").write_bytes(message(signed))
    (tmp_path / "module").write_bytes(module)
    command = [
        "openssl",
        "cms",
        "-verify",
        "-binary",
        "-inform",
        "DER",
        "-in",
        "message",
        "-content",
        "module",
    ]
    command += [
        "-certfile",
        str(pair.certificate),
        "-CAfile",
        str(pair.certificate),
        "-purpose",
        "any",
    ]
    subprocess.run([*command, "-out", "same"], cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "same").read_bytes() == module


@pytest.mark.parametrize("kind", [["rsa:2048"], ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]])
@pytest.mark.parametrize("name", ["-keyid", None])
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_what_openssl_signed_is_verified(
    module: bytes, tmp_path: Path, kind: list[str], name: str | None, digest: str
) -> None:
    (tmp_path / "config").write_text(OPENSSL_KEY)
    (tmp_path / "module").write_bytes(module)
    request = [
        "openssl",
        "req",
        "-new",
        "-x509",
        "-nodes",
        "-newkey",
        *kind,
        "-config",
        "config",
        "-days",
        "1",
    ]
    cms = [
        "openssl",
        "cms",
        "-sign",
        "-signer",
        "cert",
        "-inkey",
        "key",
        "-in",
        "module",
        "-binary",
        "-noattr",
    ]
    cms += ["-nocerts", "-nosmimecap", "-md", digest, "-outform", "DER", "-out", "message"]
    subprocess.run(
        [*request, "-keyout", "key", "-out", "cert"], cwd=tmp_path, capture_output=True, check=True
    )
    subprocess.run(cms + ([name] if name else []), cwd=tmp_path, capture_output=True, check=True)
    trusted = signature.certificate((tmp_path / "cert").read_bytes(), "cert")
    made = appended(module, (tmp_path / "message").read_bytes())
    assert signature.check(made, "toy.ko", [trusted]) == trusted
    changed = bytes([made[100] ^ 1])
    assert (
        code_of(signature.check, made[:100] + changed + made[101:], "toy.ko", [trusted])
        == "signature-wrong"
    )


def test_a_module_changed_anywhere_after_signing_is_refused(
    signed: bytes, module: bytes, pair: KeyPair
) -> None:
    trusted = [certificate_of(pair)]
    shows(refused(signature.check, b"\1" + signed[1:], "toy.ko", trusted), "signature-wrong")
    for at in range(0, len(module), 97):
        changed = signed[:at] + bytes([signed[at] ^ 0x10]) + signed[at + 1 :]
        assert code_of(signature.check, changed, "toy.ko", trusted) == "signature-wrong"


def test_no_damage_to_the_signature_itself_passes(
    signed: bytes, module: bytes, pair: KeyPair
) -> None:
    trusted = [certificate_of(pair)]
    accepted = {
        "",
        "signature-wrong",
        "signature-malformed",
        "signature-untrusted",
        "signature-missing",
    }
    for at in range(len(module), len(signed)):
        changed = signed[:at] + bytes([signed[at] ^ 0x41]) + signed[at + 1 :]
        code = outcome(changed, trusted)
        assert code in accepted
        if not code:  # bytes that say nothing about who signed what: versions, and algorithms that are named twice
            assert signature.read(changed, "toy.ko") == signature.read(signed, "toy.ko")


@pytest.mark.parametrize("length", [0, 1, 11, 40, 200, 600])
def test_a_signature_cut_off_is_refused(signed: bytes, pair: KeyPair, length: int) -> None:
    cut = message(signed)[:length]
    assert code_of(signature.check, appended(b"toy", cut), "toy.ko", [certificate_of(pair)]) in (
        "signature-malformed"
    )


def test_what_describes_no_signature_is_refused(signed: bytes) -> None:
    made = message(signed)
    bad = {
        "kind": appended(b"toy", made, kind=1),
        "size": b"toy" + made + STRUCT.pack(0, 0, 2, 0, 0, 1 << 31) + MAGIC,
        "alone": MAGIC,
        "no message": appended(b"toy", b"noise" * 100),
    }
    for name, module in bad.items():
        assert code_of(signature.read, module, name) == "signature-malformed"


def test_signed_attributes_are_refused(module: bytes, pair: KeyPair, tmp_path: Path) -> None:
    """What is signed then is not the module but a list that names its hash; the kernel's own tool
    makes none."""
    (tmp_path / "module").write_bytes(module)
    cms = [
        "openssl",
        "cms",
        "-sign",
        "-signer",
        str(pair.certificate),
        "-inkey",
        str(pair.key),
        "-in",
        "module",
    ]
    cms += ["-binary", "-nocerts", "-outform", "DER", "-out", "message"]
    subprocess.run(cms, cwd=tmp_path, capture_output=True, check=True)
    made = appended(module, (tmp_path / "message").read_bytes())
    with pytest.raises(Refusal, match="signed attributes") as refusal:
        signature.check(made, "toy.ko", [certificate_of(pair)])
    shows(refusal.value, "signature-malformed")


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["-stream"], "it is not a PKCS #7 message in DER"),
        (["-signer", "second.pem"], "it has 2 signers"),
    ],
)
def test_a_message_in_another_form_is_refused(
    options: list[str], found: str, module: bytes, pair: KeyPair, other: KeyPair, tmp_path: Path
) -> None:
    """OpenSSL writes BER if it does not know the length before it writes."""
    (tmp_path / "module").write_bytes(module)
    both = other.certificate.read_bytes() + other.key.read_bytes()
    (tmp_path / "second.pem").write_bytes(both)
    cms = ["openssl", "cms", "-sign", "-in", "module", "-binary", "-noattr", "-nocerts"]
    cms += ["-signer", str(pair.certificate), "-inkey", str(pair.key)]
    cms += ["-outform", "DER", "-out", "message", *options]
    subprocess.run(cms, cwd=tmp_path, capture_output=True, check=True)
    made = appended(module, (tmp_path / "message").read_bytes())
    refusal = refused(signature.check, made, "toy.ko", [certificate_of(pair)])
    assert (refusal.code, refusal.found) == ("signature-malformed", found)


def test_unsigned_and_signed_by_strangers_are_told_apart(
    module: bytes, signed: bytes, pair: KeyPair, other: KeyPair
) -> None:
    shows(refused(signature.check, module, "toy.ko", [certificate_of(pair)]), "signature-missing")
    assert code_of(signature.check, signed, "toy.ko", []) == "signature-untrusted"
    with pytest.raises(Refusal, match="signed by Signer of the test") as refusal:
        signature.check(signed, "toy.ko", [certificate_of(other)])
    shows(refusal.value, "signature-untrusted")


def test_the_dates_of_a_certificate_decide_nothing(
    module: bytes, pair: KeyPair, tmp_path: Path
) -> None:
    """Nor do they for the kernel; a clock that is wrong would else keep a host without its live
    patches."""
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    known = certificate_of(pair)
    past = CertificateBuilder(known.issuer, known.subject, known.public_key(), 1)
    past = past.not_valid_before(datetime(1999, 1, 1)).not_valid_after(datetime(1999, 1, 2))
    for extension in known.extensions:
        past = past.add_extension(extension.value, extension.critical)
    (tmp_path / "past.pem").write_bytes(
        past.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    trusted = signature.certificate((tmp_path / "past.pem").read_bytes(), "past.pem")
    made = sign.sign(module, "toy.ko", Signer(str(pair.key), tmp_path / "past.pem"))
    assert signature.check(made, "toy.ko", [trusted]) == trusted


def test_trusted_are_only_certificates_that_nobody_else_can_put_there(
    pair: KeyPair, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    directory = tmp_path / "trusted"

    def certificates() -> list[object]:
        return list(trusted_certificates(directory, anchor=tmp_path, owner=os.geteuid()))

    assert certificates() == []
    directory.mkdir(mode=0o755)
    (directory / "a.pem").write_bytes(pair.certificate.read_bytes())
    (directory / "b.der").write_bytes(pair.der.read_bytes())
    assert certificates() == [certificate_of(pair)] * 2
    (directory / "b.der").chmod(0o666)
    assert code_of(certificates) == "path-untrusted"
    (directory / "b.der").unlink()
    (directory / "b.der").symlink_to(pair.der)
    assert code_of(certificates) == "path-untrusted"
    (directory / "b.der").unlink()
    (directory / "notes").write_text("not a certificate")
    assert code_of(certificates) == "key-unusable"


def test_signing_again_has_to_be_asked_for(signed: bytes, module: bytes, other: KeyPair) -> None:
    shows(refused(sign.sign, signed, "toy.ko", signer(other)), "already-signed")
    again = sign.sign(signed, "toy.ko", signer(other), replace=True)
    assert signature.check(again, "toy.ko", [certificate_of(other)]) == certificate_of(other)
    assert again.startswith(module)
    assert again.count(MAGIC) == 1


def test_keys_that_cannot_sign_are_refused(
    module: bytes, pair: KeyPair, other: KeyPair, tmp_path: Path
) -> None:
    (tmp_path / "noise").write_bytes(b"noise")
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "ed"], check=True
    )
    wrong = {
        "key-mismatch": Signer(str(pair.key), other.certificate),
        "key-unusable": Signer(str(tmp_path / "noise"), pair.certificate),
        "file-unreadable": Signer(str(tmp_path / "nowhere"), pair.certificate),
    }
    for code, who in wrong.items():
        assert code_of(sign.sign, module, "toy.ko", who) == code
    shows(refused(sign.sign, module, "toy.ko", wrong["key-mismatch"]), "key-mismatch")
    shows(refused(sign.sign, module, "toy.ko", wrong["key-unusable"]), "key-unusable")
    for who in (
        Signer(str(tmp_path / "ed"), pair.certificate),
        Signer(str(pair.key), tmp_path / "noise"),
    ):
        assert code_of(sign.sign, module, "toy.ko", who) == "key-unusable"


def test_a_new_key_is_its_owners_alone_and_replaces_none(pair: KeyPair) -> None:
    assert pair.key.stat().st_mode & 0o777 == 0o600
    shows(refused(sign.new_key, pair.key.parent, "suture", "Again"), "key-exists")
    text = subprocess.run(
        ["openssl", "x509", "-in", pair.certificate, "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Code Signing, 1.3.6.1.4.1.2312.16.1.2" in text
    assert "CA:FALSE" in text
    assert sign.describe(pair.der)["subject"] == "CN=Signer of the test"


def test_a_key_with_a_passphrase_asks_for_it_by_the_variable(
    module: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KBUILD_SIGN_PIN", "secret")
    made = sign.new_key(tmp_path, "locked", "Locked")
    assert b"ENCRYPTED" in made.key.read_bytes()
    assert signature.read(sign.sign(module, "toy.ko", signer(made)), "toy.ko") is not None
    monkeypatch.setenv("KBUILD_SIGN_PIN", "another")
    assert code_of(sign.sign, module, "toy.ko", signer(made)) == "key-unusable"
    monkeypatch.delenv("KBUILD_SIGN_PIN")
    with pytest.raises(Refusal, match="passphrase") as refusal:
        sign.sign(module, "toy.ko", signer(made))
    assert "KBUILD_SIGN_PIN" in refusal.value.remedy


def test_a_key_on_a_token_signs_without_leaving_it(
    module: bytes, pair: KeyPair, other: KeyPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    monkeypatch.setenv("PKCS11_MODULE_PATH", "/usr/lib/softhsm/libsofthsm2.so")
    monkeypatch.setenv("KBUILD_SIGN_PIN", "1234")
    util = ["softhsm2-util", "--pin", "1234"]
    subprocess.run(
        [*util, "--init-token", "--free", "--label", "lab", "--so-pin", "5678"], check=True
    )
    put = ["--import", str(pair.key), "--token", "lab", "--label", "signing", "--id", "A1"]
    subprocess.run([*util, *put], check=True)
    key = "pkcs11:token=lab;object=signing"
    made = sign.sign(module, "toy.ko", Signer(key, pair.certificate))
    assert signature.check(made, "toy.ko", [certificate_of(pair)]) == certificate_of(pair)
    assert code_of(sign.sign, module, "toy.ko", Signer(key, other.certificate)) == "key-unusable"
    assert (
        code_of(sign.sign, module, "toy.ko", Signer(f"{key}s", pair.certificate)) == "key-unusable"
    )
    monkeypatch.setenv("KBUILD_SIGN_PIN", "4321")
    assert code_of(sign.sign, module, "toy.ko", Signer(key, pair.certificate)) == "key-unusable"

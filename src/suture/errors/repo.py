# SPDX-License-Identifier: GPL-2.0-or-later
"""Signed repositories, and hosts that follow them."""

from __future__ import annotations

from suture.errors.refusal import Kind

FOLLOW_EXTRA_MISSING = Kind(
    "follow-extra-missing",
    "Signed repositories are read and written with python-tuf, which the base install leaves out.",
    "Install the extra in the environment of this Suture: pip install 'suture[follow]'.",
)
REPOSITORY_MISSING = Kind(
    "repository-missing",
    "A repository is a directory with signed metadata in 'metadata' and files in 'targets'.",
    "Give the directory of a repository, or make one: 'suture repo init DIRECTORY'.",
)
REPOSITORY_EXISTS = Kind(
    "repository-exists",
    "Hosts trust a repository by its first root metadata, so Suture does not make another in its "
    "place.",
    "Choose another directory; 'suture repo propose' changes keys and thresholds of this one.",
)
REPOSITORY_DAMAGED = Kind(
    "repository-damaged",
    "Nothing is signed on top of metadata that hosts would not accept.",
    "Restore the file from a copy: what hosts can download is also at the web server and mirrors.",
)
ROLE_UNKNOWN = Kind(
    "role-unknown",
    "Each role that signs has its keys and its threshold in metadata of the role above it.",
    "'suture repo status' lists the roles; 'suture repo propose DIRECTORY ROLE --add KEY.pub' "
    "makes one: patches-RELEASE for a kernel, ring-NAME for a ring.",
)
ROLE_IMPOSSIBLE = Kind(
    "role-impossible",
    "A role needs as many different keys as its threshold says, or nobody could sign for it.",
    "Give it more keys with --add, or a lower --threshold.",
)
SIGNING_KEY_UNUSABLE = Kind(
    "signing-key-unusable",
    "Metadata is signed with an Ed25519 or ECDSA key in a PEM file, or with an ECDSA key on a "
    "PKCS#11 token.",
    "'suture repo new-key' makes a key; its passphrase, or the token's PIN, is read from "
    "SUTURE_KEY_PIN; PYKCS11LIB names the token's library.",
)
SIGNING_KEY_UNNEEDED = Kind(
    "signing-key-unneeded",
    "Nothing that waits for signatures, and no role that is to be signed now, has this key.",
    "See 'suture repo status': it lists what waits, and whose keys each role has.",
)
SIGNATURES_MISSING = Kind(
    "signatures-missing",
    "Other metadata builds on it, so it is not prepared before enough holders have signed this.",
    "Have them sign: 'suture repo sign DIRECTORY --key KEY'; or drop it: 'suture repo drop'.",
)
STAGED_OUTDATED = Kind(
    "staged-outdated",
    "Each version follows the one before it, so of two that were prepared at the same time only "
    "one can be published.",
    "Drop it with 'suture repo drop DIRECTORY ROLE', and prepare the change again.",
)
SIGNATURES_OF_OTHER = Kind(
    "signatures-of-other",
    "A signature is for one content; those of another version or another change say nothing "
    "about this one.",
    "Give the holder the file that 'suture repo status' names as staged, and collect it again.",
)
PATCH_ALREADY_PUBLISHED = Kind(
    "patch-already-published",
    "Hosts cannot replace a live patch by another one whose module has the same name.",
    "Build it under another name: 'suture build PATCH --name NAME', and publish that.",
)
PATCH_NOT_PUBLISHED = Kind(
    "patch-not-published",
    "A ring chooses among the live patches that the kernel's release role vouches for.",
    "'suture repo status' lists them; publish it first: 'suture repo publish DIRECTORY FILE.ko'.",
)
PATCH_WITHDRAWN = Kind(
    "patch-withdrawn",
    "Hosts take a withdrawn live patch out, and it is never offered again.",
    "Publish a corrected one under another name.",
)
RING_UNKNOWN = Kind(
    "ring-unknown",
    "The repository has no ring of that name, so nothing is chosen for this host.",
    "Correct 'ring' in /etc/suture/follow.toml; 'suture repo status' lists the rings.",
)
FOLLOW_NOT_SET_UP = Kind(
    "follow-not-set-up",
    "A host follows a repository that root has named, with the root metadata that it trusts.",
    "Set it up: 'suture follow setup URL --ring RING --root ROOT.json'.",
)
FOLLOW_SETTINGS_WRONG = Kind(
    "follow-settings-wrong",
    "Nothing is followed with settings that could mean something else than was wanted.",
    "Correct the file; 'suture follow setup' writes it anew.",
)
FOLLOW_STATE_DAMAGED = Kind(
    "follow-state-damaged",
    "The file remembers which metadata this host has seen, so that nobody can serve it older, "
    "and what was set aside.",
    "Find out how it came to be so; 'suture follow reset' begins anew with the root metadata in "
    "/etc/suture.",
)
REPOSITORY_UNREACHABLE = Kind(
    "repository-unreachable",
    "Without fresh metadata nothing new is loaded; what is in force stays, and boots load what is "
    "installed.",
    "Check the address and the proxy in /etc/suture/follow.toml, and the server.",
)
DOWNLOAD_TOO_SLOW = Kind(
    "download-too-slow",
    "A server that hands out a file drop by drop would keep this host from hearing of a "
    "withdrawal, so it is given up.",
    "Find out what is between this host and the server, or follow a mirror: 'suture repo mirror'.",
)
DOWNLOAD_TOO_LONG = Kind(
    "download-too-long",
    "A file that is longer than signed metadata says, or than any metadata, is not what was "
    "published.",
    "Find out who answers for the server's address; follow a mirror meanwhile.",
)
METADATA_UNTRUSTED = Kind(
    "metadata-untrusted",
    "It is not signed by the keys that this host trusts for it, or older than what the host has "
    "seen, or not of one state of the repository. Nothing has changed on this host.",
    "Find out who changed the server's files; if the repository was made anew on purpose, run "
    "'suture follow reset' with its root metadata in place.",
)
METADATA_EXPIRED = Kind(
    "metadata-expired",
    "Old metadata may hide a withdrawal, so nothing new is loaded on its word. What is in force "
    "stays, and boots load what is installed.",
    "Have the repository's online key sign again ('suture repo renew'), or follow a mirror that "
    "is kept up to date; check this host's clock.",
)
CHOICE_NOT_VOUCHED = Kind(
    "choice-not-vouched",
    "A ring may choose only among the live patches that the kernel's release role vouches for.",
    "Find out who used the ring's key: it chose what the release managers never signed.",
)
LOAD_DIED = Kind(
    "load-died",
    "The host went down while this live patch was being loaded, twice.",
    "Look for the reason in the logs of those boots; 'suture follow resume' tries it again.",
)

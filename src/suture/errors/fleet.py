# SPDX-License-Identifier: GPL-2.0-or-later
"""Fleets: rollouts, and reboots in turn."""

from __future__ import annotations

from suture.errors.refusal import Kind

STATE_UNREACHABLE = Kind(
    "state-unreachable",
    "Nothing is decided for a fleet without the state that all of its servers share. What was "
    "asked for may or may not have been written.",
    "See that etcd answers and has a majority ('etcdctl endpoint health --cluster'), or that the "
    "file can be written, and run the same command again: it does nothing twice.",
)
STATE_REFUSED = Kind(
    "state-refused",
    "The shared state was not changed.",
    "Suture speaks to etcd 3.4 and later through its JSON gateway. See its log, and the URL, the "
    "certificates and the free space.",
)
URL_WRONG = Kind(
    "url-wrong",
    "A server is named by its scheme, host and port.",
    "Write it as in http://127.0.0.1:2379 or https://lock.example.com/base.",
)

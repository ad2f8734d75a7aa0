# SPDX-License-Identifier: GPL-2.0-or-later
"""`SharedState` in etcd 3.4 and later, through its JSON gateway.

The gateway (etcd-io/website: ``content/en/docs/v3.5/dev-guide/api_grpc_gateway.md``) offers the
calls of ``etcdserverpb/rpc.proto`` below ``/v3/`` since 3.4; 3.3 had ``/v3beta/``, and is refused.
Keys and values are in base64, and 64-bit numbers come as strings.

Reads are linearizable by default, and a transaction compares the ``mod_revision``, which is 0 for a
key that is not there.  Any member answers for the cluster: one that does not answer, or is cut off
from the majority, is passed over for the next.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from suture.errors import STATE_REFUSED, STATE_UNREACHABLE, Refusal
from suture.fleet.http import Answer, Certificates, Unanswered, WebServer
from suture.fleet.state import Lease, Versioned

TIMEOUT = 3.0
"""Seconds to wait for one member.  A follower that has lost its leader says so after about seven
(``server/etcdserver/v3_server.go: ReqTimeout()``); the next member may know the new one before."""

PASSING = frozenset({1, 4, 14})
"""Codes of gRPC that another member, or a later time, may not answer with: cancelled, deadline
exceeded, unavailable."""

NOT_FOUND = 5

TOO_MANY = "too many requests"
"""Passes as well; it shares its code with a full disk and with too large values
(``api/v3rpc/rpctypes/error.go: ErrGRPCRequestTooManyRequests``)."""

OLDEST = (3, 4)


class Etcd:
    """The cluster of some members.

    :param urls: of its members, such as ``http://127.0.0.1:2379``.
    :raises Refusal: ``url-wrong``, ``file-unreadable``
    """

    def __init__(
        self,
        urls: Sequence[str],
        certificates: Certificates | None = None,
        *,
        timeout: float = TIMEOUT,
    ) -> None:
        self._members = [WebServer(url, certificates, timeout=timeout) for url in urls]
        self._first = 0
        self._is_checked = False

    @property
    def name(self) -> str:
        """The URLs of the members."""
        return ",".join(member.url for member in self._members)

    def get(self, key: str) -> Versioned | None:
        """As `suture.fleet.state.SharedState.get`."""
        return next(iter(self._range({"key": _encoded(key)}).values()), None)

    def under(self, prefix: str) -> Mapping[str, Versioned]:
        """As `suture.fleet.state.SharedState.under`."""
        return self._range({"key": _encoded(prefix), "range_end": _encoded(_after(prefix))})

    def swap(self, key: str, value: bytes, revision: int) -> int | None:
        """As `suture.fleet.state.SharedState.swap`."""
        put = {"request_put": {"key": _encoded(key), "value": _encoded(value)}}
        return self._transaction(key, revision, put)

    def delete(self, key: str, revision: int) -> bool:
        """As `suture.fleet.state.SharedState.delete`."""
        done = {"request_delete_range": {"key": _encoded(key)}}
        return self._transaction(key, revision, done) is not None

    def lead(self, key: str, holder: str, seconds: float) -> Lease | None:
        """As `suture.fleet.state.SharedState.lead`: a key that goes away with its lease."""
        before = time.monotonic()
        granted = self._call("lease/grant", {"TTL": max(1, round(seconds))})
        lease = Lease(key, holder, str(granted["ID"]), before + int(granted["TTL"]))
        put = {"key": _encoded(key), "value": _encoded(holder), "lease": lease.id}
        if self._transaction(key, 0, {"request_put": put}) is None:
            self.resign(lease)
            return None
        return lease

    def renew(self, lease: Lease, seconds: float) -> Lease | None:
        """As `suture.fleet.state.SharedState.renew`; a lease keeps the length that it began
        with."""
        before = time.monotonic()
        left = int(self._call("lease/keepalive", {"ID": lease.id})["result"].get("TTL", 0))
        return Lease(lease.key, lease.holder, lease.id, before + left) if left > 0 else None

    def resign(self, lease: Lease) -> None:
        """As `suture.fleet.state.SharedState.resign`."""
        self._call("lease/revoke", {"ID": lease.id}, may_lack=True)

    def leader(self, key: str) -> str:
        """As `suture.fleet.state.SharedState.leader`."""
        found = self.get(key)
        return found.value.decode(errors="replace") if found else ""

    def _range(self, what: Mapping[str, object]) -> dict[str, Versioned]:
        pairs = self._call("kv/range", {**what, "sort_order": "ASCEND"}).get("kvs", [])
        return {
            b64decode(pair["key"]).decode(errors="replace"): Versioned(
                b64decode(pair.get("value", "")), int(pair["mod_revision"])
            )
            for pair in pairs
        }

    def _transaction(self, key: str, revision: int, then: Mapping[str, object]) -> int | None:
        compare = {
            "key": _encoded(key),
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": str(revision),
        }
        answer = self._call("kv/txn", {"compare": [compare], "success": [then]})
        return int(answer["header"]["revision"]) if answer.get("succeeded") else None

    def _call(self, path: str, what: Mapping[str, object], *, may_lack: bool = False) -> Any:
        """Ask one member after the other.

        :param may_lack: what it is about may be gone.
        :raises Refusal: ``state-unreachable``, ``state-refused``
        """
        content = json.dumps(what).encode()
        first, evidence = self._first, []
        for turn in range(len(self._members)):
            index = (first + turn) % len(self._members)
            member = self._members[index]
            try:
                self._check_version(member)
                answer = member.request("POST", f"/v3/{path}", content)
            except Unanswered as error:
                evidence.append(f"{member.url}: {error}")
                continue
            code, message = _error(answer)
            if message and code not in PASSING and TOO_MANY not in message:
                if may_lack and code == NOT_FOUND:
                    return {}
                raise Refusal(STATE_REFUSED, member.url, message)
            if message:
                evidence.append(f"{member.url}: {message}")
                continue
            self._first = index
            return _document(member, answer)
        raise Refusal(STATE_UNREACHABLE, self.name, "no member of etcd answers", evidence=evidence)

    def _check_version(self, member: WebServer) -> None:
        """Refuse once what is no etcd, or one with other paths.

        :raises Unanswered: it does not answer
        """
        if self._is_checked:
            return
        answer = member.request("GET", "/version")
        try:
            found = str(json.loads(answer.body)["etcdserver"])
            numbers = tuple(int(part) for part in found.split(".")[:2])
        except (ValueError, KeyError, TypeError):
            raise Refusal(STATE_REFUSED, member.url, "is no etcd") from None
        if numbers < OLDEST:
            raise Refusal(STATE_REFUSED, member.url, f"is etcd {found}")
        self._is_checked = True


def _document(member: WebServer, answer: Answer) -> Any:
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refusal(STATE_REFUSED, member.url, "the answer is not etcd's")
    return found


def _error(answer: Answer) -> tuple[int, str]:
    """Return the code of gRPC and the message of an answer; no message for a good one.

    Calls that stream, as ``lease/keepalive`` does, have errors below ``error``.
    """
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = {}
    said: dict[str, Any] = found if isinstance(found, dict) else {}
    inner = said.get("error")
    if isinstance(inner, dict):
        code = inner.get("grpc_code") or inner.get("code") or 2
        return int(code), str(inner.get("message", inner))
    if answer.status == 200:
        return 0, ""
    message = said.get("message") or inner or f"HTTP status {answer.status}"
    return int(said.get("code", 14 if answer.status >= 500 else 2)), str(message)


def _encoded(value: str | bytes) -> str:
    return b64encode(value.encode() if isinstance(value, str) else value).decode()


def _after(prefix: str) -> bytes:
    """Return the first key after all that begin with `prefix` (``clientv3.GetPrefixRangeEnd()``);
    no byte of UTF-8 is 0xff."""
    data = prefix.encode()
    return data[:-1] + bytes((data[-1] + 1,))

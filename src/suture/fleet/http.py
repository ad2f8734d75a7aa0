# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests over HTTP to servers that an operator names: etcd, lock servers, Prometheus.

This is `http.client` with what all of them need: connections that are kept, one for each thread;
certificates; a limit to each wait; and an end to answers that have none.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from suture.errors import FILE_UNREADABLE, URL_WRONG, Refusal

LARGEST = 256 << 20
"""Bytes of an answer."""

PIECE = 1 << 20

NO_URL = "is no URL of a server"

TIMED_OUT = "did not answer in time"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM.

    :ivar authority: who vouches for the other side; None for those that this host trusts.
    :ivar own: our own certificate, with its chain; None for none.
    :ivar key: the key of that; None where it is in the same file.
    """

    authority: Path | None = None
    own: Path | None = None
    key: Path | None = None

    def client_context(self) -> ssl.SSLContext:
        """Return the settings of a client.  :raises Refusal: ``file-unreadable``"""
        try:
            context = ssl.create_default_context(cafile=self.authority)
            if self.own is not None:
                context.load_cert_chain(self.own, self.key)
        except (OSError, ssl.SSLError) as error:
            raise self._unreadable(error) from error
        return context

    def server_context(self) -> ssl.SSLContext | None:
        """Return the settings of a server, which wants certificates of its clients where an
        authority is named; None without a certificate of its own.

        :raises Refusal: ``file-unreadable``
        """
        if self.own is None:
            return None
        try:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority)
            context.load_cert_chain(self.own, self.key)
        except (OSError, ssl.SSLError) as error:
            raise self._unreadable(error) from error
        if self.authority is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _unreadable(self, error: Exception) -> Refusal:
        files = ", ".join(str(path) for path in (self.authority, self.own, self.key) if path)
        return Refusal(
            FILE_UNREADABLE,
            files,
            str(error),
            why="These are to be certificates and a key in PEM that fit together.",
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: the status, and the whole body."""

    status: int
    body: bytes


class Unanswered(Exception):
    """There was no answer; the text says why."""


class WebServer:
    """One server, by its URL.

    :ivar url: without a slash at its end.
    :raises Refusal: ``url-wrong``, ``file-unreadable``
    """

    def __init__(self, url: str, certificates: Certificates | None = None, *, timeout: float = 5.0):
        self.url = url.rstrip("/")
        try:
            parts = urlsplit(self.url)
            self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path
        except ValueError:
            raise Refusal(URL_WRONG, url, NO_URL) from None
        if parts.scheme not in ("http", "https") or not self._host:
            raise Refusal(URL_WRONG, url or "''", NO_URL)
        self._timeout = timeout
        secure = parts.scheme == "https"
        self._context = (certificates or Certificates()).client_context() if secure else None
        self._local = threading.local()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask for `path`, below the URL.  Redirections are not followed.

        A kept connection that the server has closed meanwhile is opened again, and the request sent
        again: all that is asked of these servers may be asked twice.

        :raises Unanswered: there was no whole answer
        """
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if kept is not None:
            try:
                return self._exchange(kept, method, path, body, headers)
            except TimeoutError as error:
                kept.close()
                raise Unanswered(TIMED_OUT) from error
            except (OSError, http.client.HTTPException):
                kept.close()
        fresh = self._connection()
        try:
            return self._exchange(fresh, method, path, body, headers)
        except TimeoutError as error:
            fresh.close()
            raise Unanswered(TIMED_OUT) from error
        except (OSError, http.client.HTTPException) as error:
            fresh.close()
            raise Unanswered(str(error) or type(error).__name__) from error

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout, context=self._context
        )

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        connection.request(method, self._base + path, body, dict(headers or {}))
        response = connection.getresponse()
        pieces, size = [], 0
        while piece := response.read(PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                connection.close()
                raise http.client.HTTPException(f"the answer has more than {LARGEST} bytes")
        if response.will_close:
            connection.close()
        else:
            self._local.connection = connection
        return Answer(response.status, b"".join(pieces))

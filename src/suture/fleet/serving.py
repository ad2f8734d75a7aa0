# SPDX-License-Identifier: GPL-2.0-or-later
"""An HTTP server for few endpoints and many hosts, on asyncio and h11.

However many hosts come, it has a bounded number of connections, each of which has a bounded time
and bounded memory to make its request: those beyond the number wait in the kernel's queue, and are
turned away by the kernel when that is full.  Requests are answered by a function in a few threads,
since stores block.

h11 reads and writes the protocol (RFC 9112); it is part of the extra ``fleet``.
"""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from email.utils import formatdate
from http import HTTPStatus

import h11

from suture import __version__
from suture.errors import ADDRESS_UNUSABLE, Refusal
from suture.fleet.web import Handler, Limits, WebAnswer, WebRequest


class _TooLarge(Exception):
    """The body has more bytes than are allowed."""


class Service:
    """Serves until SIGTERM or SIGINT comes, or `stop` is called.

    :param ready: called with the address when hosts can connect.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        ready: Callable[[str], None] = lambda address: None,
    ) -> None:
        self._handler = handler
        self._tls = tls
        self._limits = limits or Limits()
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, host: str, port: int) -> None:
        """Serve.

        :param port: 0 for any that is free.
        :raises Refusal: ``address-unusable``
        """
        asyncio.run(self._serve(host, port))

    @contextmanager
    def in_background(self, host: str, port: int) -> Iterator[str]:
        """Serve in a thread while the block lasts, and give the address.

        :raises Refusal: ``address-unusable``
        """
        outcome: queue.SimpleQueue[str | Refusal] = queue.SimpleQueue()
        ready, self._ready = self._ready, outcome.put

        def serve() -> None:
            try:
                self.run(host, port)
            except Refusal as refusal:
                outcome.put(refusal)

        thread = threading.Thread(target=serve, name="serving", daemon=True)
        thread.start()
        address = outcome.get()
        if isinstance(address, Refusal):
            raise address
        ready(address)
        try:
            yield address
        finally:
            self.stop()
            thread.join()

    def stop(self) -> None:
        """End it, from any thread."""
        if self._loop is not None and self._stopping is not None:
            with suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self, host: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            with suppress(ValueError, RuntimeError):  # in another thread than the main one
                self._loop.add_signal_handler(number, self._stopping.set)
        listening = _listen(host, port, self._limits.backlog)
        with listening, ThreadPoolExecutor(self._limits.threads, "answering") as self._threads:
            self._ready(_address(listening))
            _tell_systemd()
            accepting = asyncio.create_task(self._accept(listening))
            await self._stopping.wait()
            accepting.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(accepting, *self._tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        """Take in as many connections as there may be at a time."""
        assert self._loop is not None
        free = asyncio.Semaphore(self._limits.connections)
        while True:
            await free.acquire()
            try:
                connection, _ = await self._loop.sock_accept(listening)
            except OSError:  # out of descriptors or memory, or the peer is gone already
                free.release()
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._guarded(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda task: free.release())

    async def _guarded(self, connection: socket.socket) -> None:
        """Serve one connection; nothing that a peer does ends more than that."""
        assert self._loop is not None
        reader = asyncio.StreamReader(limit=1 << 16, loop=self._loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=self._loop)
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=self._limits.seconds if self._tls else None,
            )
        except (OSError, ssl.SSLError):
            connection.close()
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
        try:
            await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, h11.ProtocolError):
            pass
        finally:
            # Not aborted at once: what was written may still be on its way.
            writer.close()
            with suppress(OSError, TimeoutError, ssl.SSLError):
                async with asyncio.timeout(self._limits.seconds):
                    await writer.wait_closed()
            transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=16 << 10)
        wait = self._limits.seconds
        while True:
            try:
                first = await _first_piece(http, reader, wait)
                if first is None:
                    return
                async with asyncio.timeout(self._limits.seconds):
                    request = await self._receive(http, reader, first)
            except h11.RemoteProtocolError as error:
                answer = WebAnswer(error.error_status_hint, b"not understood\n")
            except _TooLarge:
                answer = WebAnswer(413, b"the body is too large\n")
            except TimeoutError:
                answer = WebAnswer(408, b"the request did not come in time\n")
            else:
                assert self._loop is not None
                answer = await self._loop.run_in_executor(self._threads, self._answer, request)
            is_kept = http.their_state is h11.DONE and not self._is_stopping
            if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                return
            async with asyncio.timeout(self._limits.seconds):
                await _send(http, writer, answer, is_kept)
            if not is_kept:
                return
            http.start_next_cycle()
            wait = self._limits.idle

    @property
    def _is_stopping(self) -> bool:
        return self._stopping is None or self._stopping.is_set()

    async def _receive(
        self, http: h11.Connection, reader: asyncio.StreamReader, first: h11.Request
    ) -> WebRequest:
        body = bytearray()
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(1 << 14))
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._limits.body:
                    raise _TooLarge
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise h11.RemoteProtocolError("it ended early")
        return WebRequest(
            first.method.decode("ascii"),
            first.target.decode("ascii", "replace").partition("?")[0],
            {name.decode("ascii"): value.decode("latin-1") for name, value in first.headers},
            bytes(body),
        )

    def _answer(self, request: WebRequest) -> WebAnswer:
        try:
            return self._handler(request)
        except Refusal as refusal:
            return WebAnswer(503, f"{refusal}\n".encode())
        except Exception as error:  # a bug ends one request, and the log says which
            sys.stderr.write(f"{request.method} {request.path!r}: {error!r}\n")
            return WebAnswer(500, b"internal error\n")


async def _first_piece(
    http: h11.Connection, reader: asyncio.StreamReader, wait: float
) -> h11.Request | None:
    """Wait for the head of a request; None where the peer has no more.

    :param wait: seconds for the first byte and the whole head.
    """
    try:
        async with asyncio.timeout(wait):
            while (event := http.next_event()) is h11.NEED_DATA:
                data = await reader.read(1 << 14)
                if not data and http.trailing_data[0] == b"":
                    return None
                http.receive_data(data)
    except TimeoutError:
        return None
    return event if isinstance(event, h11.Request) else None


async def _send(
    http: h11.Connection, writer: asyncio.StreamWriter, answer: WebAnswer, is_kept: bool
) -> None:
    headers = [
        ("Content-Type", answer.kind),
        ("Content-Length", str(len(answer.body))),
        ("X-Content-Type-Options", "nosniff"),
        ("Server", f"suture/{__version__}"),
        ("Date", formatdate(usegmt=True)),
        *answer.headers.items(),
    ]
    if not is_kept:
        headers.append(("Connection", "close"))
    for event in (
        h11.Response(
            status_code=answer.status,
            headers=headers,
            reason=HTTPStatus(answer.status).phrase,
        ),
        h11.Data(data=answer.body),
        h11.EndOfMessage(),
    ):
        if data := http.send(event):
            writer.write(data)
    await writer.drain()


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.create_server(address[:2], family=family, backlog=backlog)
    except (OSError, OverflowError, UnicodeError) as error:
        raise Refusal(ADDRESS_UNUSABLE, f"{host}:{port}", str(error)) from error
    listening.setblocking(False)
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tell_systemd() -> None:
    """Say that the service has started, where a unit of ``Type=notify`` waits for it
    (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if path:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
            telling.sendto(b"READY=1", path.replace("@", "\0", 1) if path[0] == "@" else path)

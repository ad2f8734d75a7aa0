# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads files of a repository: by HTTP and HTTPS, through proxies, and from a directory
(``file:``), such as a USB stick.

ngclient bounds how long a file may be, and urllib3 how long a server may be silent.  A server that
sends a byte now and then would hold a host for ever all the same, so each file also has a time
by which it has to be here: `BASE` seconds, and more for long ones.  Where the main thread
downloads, a timer interrupts whatever waits then, headers too.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import urllib3
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface

from suture import __version__

BASE = 30.0
"""Seconds for a file of any length."""

SLOWEST = 32 << 10
"""Bytes a second."""

SILENCE = 20.0
"""Seconds that a server may send nothing at all."""

PIECE = 1 << 16

NOT_FOUND = 404


class RepositoryFetcher(FetcherInterface):
    """Downloads files.

    :param proxy: an address; "" for what the environment says (``https_proxy``, ``no_proxy``).
    :param base: see `BASE`.
    :param slowest: see `SLOWEST`.
    """

    def __init__(self, proxy: str = "", base: float = BASE, slowest: float = SLOWEST) -> None:
        self._proxy = proxy
        self._base = base
        self._slowest = slowest
        self._until = time.monotonic() + base
        self._pools: dict[str, urllib3.PoolManager] = {}

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[Any]]:
        """Yield the file, if it is no longer than that and arrives in time."""
        seconds = self._base + max_length / self._slowest
        self._until = time.monotonic() + seconds
        with _interrupted_after(seconds) as end, super().download_file(url, max_length) as file:
            end()
            yield file

    def _fetch(self, url: str) -> Iterator[bytes]:
        parts = urlsplit(url)
        if parts.scheme == "file":
            return self._pieces_of_file(Path(unquote(parts.path)))
        return self._pieces(url, parts.scheme, parts.hostname or "")

    def _pieces_of_file(self, path: Path) -> Iterator[bytes]:
        try:
            # A pipe or a device must not hold us.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise DownloadHTTPError(f"{path} does not exist", NOT_FOUND) from error
        except OSError as error:
            raise DownloadError(f"{path}: {error.strerror}") from error
        with open(descriptor, "rb") as file:
            while piece := self._in_time(file.read(PIECE)):
                yield piece

    def _pieces(self, url: str, scheme: str, host: str) -> Iterator[bytes]:
        try:
            # Retrying is the next run's: systemd's timer starts one.
            response = self._pool(scheme, host).request(
                "GET",
                url,
                preload_content=False,
                decode_content=False,
                retries=urllib3.Retry(total=3, connect=0, read=0, redirect=3, other=0),
                timeout=urllib3.Timeout(SILENCE),
            )
        except urllib3.exceptions.MaxRetryError as error:
            # A refused connection counts as one that timed out in some versions of urllib3.
            is_refused = isinstance(error.reason, urllib3.exceptions.NewConnectionError)
            if isinstance(error.reason, urllib3.exceptions.TimeoutError) and not is_refused:
                raise SlowRetrievalError(f"{url}: silent for {SILENCE:g} s") from error
            raise DownloadError(f"{url}: {error.reason}") from error
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(f"{url}: {error}") from error
        try:
            if response.status != 200:
                status = response.status
                raise DownloadHTTPError(f"{url}: HTTP status {status}", status)
            # read1() returns what is there; read() would wait for a whole piece.
            while piece := self._in_time(response.read1(PIECE)):
                yield piece
        except urllib3.exceptions.TimeoutError as error:
            raise SlowRetrievalError(f"{url}: silent for {SILENCE:g} s") from error
        except urllib3.exceptions.HTTPError as error:
            raise DownloadError(f"{url}: {error}") from error
        finally:
            response.close()

    def _in_time(self, piece: bytes) -> bytes:
        if time.monotonic() > self._until:
            raise SlowRetrievalError("the file did not arrive in time")
        return piece

    def _pool(self, scheme: str, host: str) -> urllib3.PoolManager:
        proxy = self._proxy or _proxy_of_environment(scheme, host)
        if proxy not in self._pools:
            headers = {"User-Agent": f"suture/{__version__}"}
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, headers=headers)
                if proxy
                else urllib3.PoolManager(headers=headers)
            )
        return self._pools[proxy]


def _proxy_of_environment(scheme: str, host: str) -> str:
    from urllib.request import proxy_bypass

    proxies = getproxies()
    if proxy_bypass(host):
        return ""
    return proxies.get(scheme) or proxies.get("all") or ""


@contextmanager
def _interrupted_after(seconds: float) -> Iterator[Any]:
    """Interrupt the block if it takes longer, unless it has called what it gets.

    :raises SlowRetrievalError: in the block
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise SlowRetrievalError(f"the file did not arrive within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)

    def end() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield end
    finally:
        end()
        signal.signal(signal.SIGALRM, before)

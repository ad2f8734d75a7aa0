# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory served by nginx on this host."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = "/usr/sbin/nginx"

CONFIGURATION = """\
daemon off;
{user}
pid {work}/pid;
error_log {work}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log {access};
  client_body_temp_path {work}/body;
  proxy_temp_path {work}/proxy;
  fastcgi_temp_path {work}/fastcgi;
  scgi_temp_path {work}/scgi;
  uwsgi_temp_path {work}/uwsgi;
  keepalive_requests 100000;
  server {{
    listen 127.0.0.1:{port};
    root {directory};
    {more}
  }}
}}
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def served_by_nginx(
    directory: Path, work: Path, more: str = "", *, access: bool = True
) -> Iterator[str]:
    """Serve a directory during the block, which gets the address of its root.

    :param more: what else stands in the configuration's ``server``.
    """
    import os

    work.mkdir(parents=True, exist_ok=True)
    port = free_port()
    text = CONFIGURATION.format(
        user="user root;" if os.geteuid() == 0 else "",
        work=work,
        access=f"{work}/access.log" if access else "off",
        port=port,
        directory=directory,
        more=more,
    )
    (work / "nginx.conf").write_text(text)
    server = subprocess.Popen([PROGRAM, "-p", str(work), "-c", str(work / "nginx.conf")])
    try:
        _wait(port, server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise AssertionError(f"nginx ended with {server.returncode}")

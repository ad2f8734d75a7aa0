# SPDX-License-Identifier: GPL-2.0-or-later
"""A real Prometheus and a real Alertmanager, and hosts that they scrape: one web server, which plays
node_exporter on all of them."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from suture.fleet.hosts import HostState
from tests.servers import PATIENCE, free_port, running

PROMETHEUS = """
global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}}
rule_files: [rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]
scrape_configs:
- job_name: hosts
  file_sd_configs: [{{files: [targets.json], refresh_interval: 250ms}}]
"""

RULES = """
groups:
- name: hosts
  rules: [{alert: HostDown, expr: 'up == 0'}]
"""

ALERTMANAGER = """
route: {receiver: nobody, group_wait: 0s}
receivers: [{name: nobody}]
"""


@dataclass
class PlayedHost:
    """What a host writes for node_exporter.

    :ivar state: how far it is with the live patch ``fix``.
    :ivar is_up: it answers.
    """

    ring: str = ""
    group: str = ""
    state: HostState = HostState.WITHOUT
    is_up: bool = True
    ineffective: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    seconds: float = 1.5
    written: float = 0.0

    def metrics(self) -> str:
        """The lines, as `suture.core.metrics` writes them."""
        lines = ["suture_verdict 0"]
        if self.state in (HostState.MOVING, HostState.IN_FORCE):
            moving = int(self.state is HostState.MOVING)
            lines += [
                'suture_livepatch_enabled{patch="fix"} 1',
                f'suture_livepatch_transition{{patch="fix"}} {moving}',
                f'suture_livepatch_functions_ineffective{{patch="fix"}} {self.ineffective}',
                f'suture_livepatch_transition_seconds{{patch="fix"}} {self.seconds}',
            ]
        lines += [f'suture_refusals{{code="{code}"}} {n}' for code, n in self.refusals.items()]
        if self.written:
            lines.append(f'node_textfile_mtime_seconds{{file="/a/suture.prom"}} {self.written}')
        return "".join(f"{line}\n" for line in lines)


@dataclass
class Observatory:
    """The running servers.

    :ivar hosts: by their names; `tell_prometheus` says that there are others.
    """

    prometheus: str
    alertmanager: str
    directory: Path
    port: int
    hosts: dict[str, PlayedHost] = field(default_factory=dict)

    def tell_prometheus(self) -> None:
        """Write the list of targets."""
        targets = [
            {
                "targets": [f"127.0.0.1:{self.port}"],
                "labels": {
                    "instance": name,
                    "__param_host": name,
                    **({"ring": host.ring} if host.ring else {}),
                    **({"group": host.group} if host.group else {}),
                },
            }
            for name, host in self.hosts.items()
        ]
        path = self.directory / "prometheus" / "targets.json"
        path.with_suffix(".new").write_text(json.dumps(targets))
        path.with_suffix(".new").rename(path)


@contextmanager
def observatory(directory: Path) -> Iterator[Observatory]:
    """Run all of it."""
    ports = free_port(), free_port()
    made = Observatory(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", directory, 0)

    class Exporter(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = parse_qs(urlsplit(self.path).query)["host"][0]
            host = made.hosts.get(name)
            is_up = host is not None and host.is_up
            content = host.metrics().encode() if host else b""
            self.send_response(200 if is_up else 500)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: object) -> None:
            pass

    files = {
        "prometheus/prometheus.yml": PROMETHEUS.format(alertmanager=f"127.0.0.1:{ports[1]}"),
        "prometheus/rules.yml": RULES,
        "prometheus/targets.json": "[]",
        "alertmanager/alertmanager.yml": ALERTMANAGER,
    }
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    prometheus = ["/usr/bin/prometheus", "--config.file=prometheus.yml", "--log.level=error"]
    prometheus += [f"--web.listen-address=127.0.0.1:{ports[0]}", "--storage.tsdb.path=data"]
    alerts = ["/usr/bin/prometheus-alertmanager", "--config.file=alertmanager.yml"]
    alerts += [f"--web.listen-address=127.0.0.1:{ports[1]}", "--cluster.listen-address="]
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server,
        running(prometheus, directory / "prometheus"),
        running([*alerts, "--log.level=error"], directory / "alertmanager"),
    ):
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        until(lambda: answers(f"{made.prometheus}/-/ready"))
        until(lambda: answers(f"{made.alertmanager}/-/ready"))
        try:
            yield made
        finally:
            server.shutdown()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)

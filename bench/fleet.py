# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m bench.fleet``: what a fleet of 100,000 hosts costs its servers.

1. One step of the decision code, for several numbers of hosts: time, and whether it grows with
   them; and reading what Prometheus answers for as many.
2. A whole rollout in virtual time, over good hosts and over a mixed fleet.
3. The lock server: as many hosts, each asking for a slot and giving it back, over loopback.

Each runs in a process of its own, whose memory is measured.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import unquote_plus

from bench.fleet_simulation import Behaviour, Simulation, World, ended
from bench.program import ended as program_ended
from suture.fleet.decide import Observed, decide
from suture.fleet.hosts import HostReport, HostState, place_of
from suture.fleet.plan import RolloutGate, RolloutPlan, Wave
from suture.fleet.rollout import RolloutOffer, RolloutState

HOSTS = 100_000
STEP_LIMIT, MEMORY_LIMIT = 1.0, 500.0
"""Seconds of a step, and MB of the process that makes it."""

PLAN = RolloutPlan(
    "fix",
    (
        Wave("canary", ring="canary", soak=3600),
        Wave("5 %", percent=5, soak=3600),
        Wave("50 %", percent=50, soak=3600),
        Wave("100 %", percent=100, soak=3600),
    ),
    RolloutGate(adopted=0.9, failed_share=0.05, failed_number=10_000, silent_after=1200),
)
MIXED = {
    Behaviour.SILENT: 0.01,
    Behaviour.FLAPPING: 0.01,
    Behaviour.LYING: 0.01,
    Behaviour.DEAF: 0.01,
}

Result = dict[str, float | int | str]


def reports(number: int) -> list[HostReport]:
    """What hosts of which one in a hundred is silent, and one in a thousand has failed, report."""
    return [
        HostReport(
            f"host-{i}.example.com",
            place_of(f"host-{i}.example.com", "fix"),
            1e6 if i % 100 == 7 else 30.0,
            HostState.FAILED if i % 1000 == 9 else HostState.IN_FORCE,
            "canary" if i % 200 == 0 else "",
        )
        for i in range(number)
    ]


def steps(number: int) -> Result:
    """One step, the best of five."""
    found = reports(number)
    state = RolloutState(offer=RolloutOffer(4), serial=4, performed=4, clock=1e9)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        decide(PLAN, state, found, Observed(), 1e9 + 10)
        times.append(time.perf_counter() - began)
    return {"hosts": number, "step_seconds": round(min(times), 4)}


def gather(number: int) -> Result:
    """Reading all that is asked of a Prometheus, which is played by canned answers."""
    from suture.fleet.prometheus import PrometheusEvidence

    def vector(value: str, labels: str = "") -> bytes:
        one = '{{"metric":{{"instance":"host-{}.example.com","job":"node"{}}},"value":[1,"{}"]}}'
        results = ",".join(one.format(i, labels, value) for i in range(number))
        return f'{{"data":{{"resultType":"vector","result":[{results}]}}}}'.encode()

    full, empty = vector("1", ',"ring":"canary"'), b'{"data":{"resultType":"vector","result":[]}}'

    class Canned(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = unquote_plus(self.rfile.read(int(self.headers["Content-Length"])).decode())
            rare = ("refusals", "ineffective", "complaints", "crashes", "transition{")
            self.send_response(200)
            self.end_headers()
            now = b'{"data":{"resultType":"scalar","result":[1,"1"]}}'
            found = empty if any(word in query for word in rare) else full
            self.wfile.write(now if query == "query=time()" else found)

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Canned) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        evidence = PrometheusEvidence(f"http://127.0.0.1:{server.server_port}")
        began = time.perf_counter()
        found = evidence.gather(PLAN, 100.0)
        seconds = time.perf_counter() - began
        server.shutdown()
    assert (len(found.reports), found.observed.missing) == (number, ()), found.observed
    return {"hosts": number, "gather_seconds": round(seconds, 2)}


def rollout(number: int, mixed: bool) -> Result:
    """A rollout from its start to its end, and how long that took in virtual time."""
    behaviours = MIXED if mixed else {}
    simulation = Simulation(
        PLAN, World(number, {"canary": 0.005}, behaviours, interval=60.0, seed=1)
    )
    began = time.perf_counter()
    while not ended(simulation) and simulation.now < 48 * 3600:
        simulation.run(600)
    offered = simulation.offers[-1].time
    late = sorted(when for when, _ in simulation.starts)[int(len(simulation.starts) * 0.99) - 1]
    return {
        "hosts": number,
        "fleet": "mixed" if mixed else "good",
        "phase": simulation.state.phase.value,
        "why": simulation.state.why,
        "hours": round(simulation.now / 3600, 2),
        "99_percent_after_last_offer_minutes": round((late - offered) / 60, 1),
        "violations": len(simulation.violations()),
        "seconds": round(time.perf_counter() - began, 1),
    }


def lock_server(number: int) -> Result:
    """Hosts that each ask for a slot and give it back, a few at a time."""
    from suture.fleet.lock_server import LockServer
    from suture.fleet.serving import Service
    from suture.fleet.slots import RebootSlots
    from suture.fleet.sqlite import SqliteState

    with tempfile.TemporaryDirectory() as directory:
        slots = RebootSlots(SqliteState(Path(directory, "state.db")))
        slots.set_slots("default", 4)
        with Service(LockServer(slots).answer).in_background("127.0.0.1", 0) as address:
            before = memory()
            began = time.perf_counter()
            asking = multiprocessing.get_context("spawn").Process(
                target=ask_all, args=(address, number)
            )
            asking.start()
            asking.join()
            seconds = time.perf_counter() - began
        holders = len(slots.groups()["default"].holders)
    return {
        "hosts": number,
        "requests_per_second": round(2 * number / seconds),
        "grew_by_mb": round(memory() - before, 1),
        "holders_left": holders,
        "failed": asking.exitcode or 0,
    }


def ask_all(address: str, number: int) -> None:
    """Be all the hosts."""
    from suture.fleet.http import WebServer

    server = WebServer(f"http://{address}", timeout=60)
    headers = {"fleet-lock-protocol": "true"}

    def ask(host: int) -> None:
        parameters = {"group": "default", "id": f"{host:032x}"}
        body = json.dumps({"client_params": parameters}).encode()
        answer = server.request("POST", "/v1/pre-reboot", body, headers)
        assert answer.status in (200, 423), answer
        answer = server.request("POST", "/v1/steady-state", body, headers)
        assert answer.status == 200, answer

    with ThreadPoolExecutor(6) as threads:
        for _ in threads.map(ask, range(number), chunksize=1):
            pass


def memory() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(work: Callable[..., Result], *arguments: object) -> Result:
    """Do something in a process of its own, and add the most memory that it had."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, work, arguments).result()


def measured(work: Callable[..., Result], arguments: Sequence[object]) -> Result:
    """Do it, with its memory."""
    found = work(*arguments)
    return {**found, "memory_mb": round(memory(), 1)}


def main(words: Sequence[str]) -> int:
    """Print one document a line; 1 if a limit is broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--hosts", type=int, default=HOSTS)
    parser.add_argument("--only", choices=("steps", "rollout", "lock"))
    given = parser.parse_args(words)
    found: list[Result] = []
    if given.only in (None, "steps"):
        numbers = [given.hosts // 10, given.hosts // 3, given.hosts, 3 * given.hosts]
        found += show([alone(steps, number) for number in numbers])
        found += show([alone(gather, number) for number in numbers[:3]])
    if given.only in (None, "rollout"):
        found += show([alone(rollout, given.hosts, mixed) for mixed in (False, True)])
    if given.only in (None, "lock"):
        found += show([alone(lock_server, given.hosts)])
    broken = [one for one in found if is_broken(one, given.hosts)]
    for one in broken:
        print(f"too slow, too large or wrong: {one}", file=sys.stderr)
    return int(bool(broken))


def is_broken(one: Result, hosts: int) -> bool:
    """Whether a result is beyond what is wanted of it."""
    if "step_seconds" in one and one["hosts"] == hosts:
        return float(one["step_seconds"]) > STEP_LIMIT or float(one["memory_mb"]) > MEMORY_LIMIT
    wrong = bool(one.get("violations", 0)) or bool(one.get("failed", 0))
    return wrong or bool(one.get("holders_left", 0)) or one.get("phase", "done") != "done"


def show(found: list[Result]) -> list[Result]:
    """Print results, and return them."""
    for one in found:
        print(json.dumps(one), flush=True)
    return found


if __name__ == "__main__":
    sys.exit(program_ended(lambda: main(sys.argv[1:]), json=False))

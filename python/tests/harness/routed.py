"""A client, a router and a server in network namespaces of their own; run as a program, it plays one scenario.

`play()` starts it in a user namespace, so that no rights are needed, and returns what both ends counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLIENT, SERVER, MOVED_CLIENT, MOVED_SERVER = "10.0.1.1", "10.0.2.1", "10.0.1.9", "10.0.2.9"
NARROW = 1280
GROUP = "239.255.77.9"
SECOND = "10.0.3.1"

_SET_UP = f"""
mount -t tmpfs tmpfs /run
for n in c r s; do ip netns add $n; ip -n $n link set lo up; done
ip -n r link add rc type veth peer name cr netns c
ip -n r link add rs type veth peer name sr netns s
ip -n c addr add {CLIENT}/24 dev cr
ip -n r addr add 10.0.1.2/24 dev rc
ip -n r addr add 10.0.2.2/24 dev rs
ip -n s addr add {SERVER}/24 dev sr
for n in cr:c rc:r rs:r sr:s; do ip -n ${{n#*:}} link set ${{n%:*}} up; done
ip -n c route add default via 10.0.1.2
ip -n s route add default via 10.0.2.2
nsenter --net=/run/netns/r sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
"""

_SERVER_END = """
import json, sys, audiostream
from harness.wait import until
with audiostream.AdvancedAudioServer(output="null", **json.loads(sys.argv[1])) as server:
    server.start()
    print(json.dumps({"port": server.port}), flush=True)
    for line in sys.stdin:
        name, least = json.loads(line)
        until(lambda: getattr(server.stats, name) >= least, f"{name} {least}: {server.stats}", 40)
        print(json.dumps({"received": server.stats.packets_received, "lost": server.stats.packets_lost,
            "duplicated": server.stats.packets_duplicated, "wrong": server.stats.packets_wrong_source}), flush=True)
"""

_CLIENT_END = """
import json, logging, sys, audiostream
from harness.wait import until
logging.basicConfig(stream=sys.stderr, level=logging.INFO)
with audiostream.AudioClient(input="tone", rate=48000, channels=2, size=20, **json.loads(sys.argv[1])) as client:
    client.start()
    for line in sys.stdin:
        more = client.stats.packets_sent + json.loads(line)
        until(lambda: client.stats.packets_sent >= more, f"packets: {client.stats}")
        print(json.dumps({"sent": client.stats.packets_sent, "reconnects": client.stats.reconnects}), flush=True)
    client.stop()
    print(json.dumps({"sent": client.stats.packets_sent, "reconnects": client.stats.reconnects}), flush=True)
"""


def play(scenario: str, **client: object) -> dict[str, Any]:
    """What both ends counted, and what the client logged (`log`)."""
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount", sys.executable, __file__, scenario]
    done = subprocess.run([*command, json.dumps(client)], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"network namespaces (unshare, iproute2) are needed:\n{done.stderr}"
    return {**json.loads(done.stdout), "log": done.stderr}


class _End:
    """A program in a namespace that is told and answers by lines."""

    def __init__(self, name: str, code: str, options: dict[str, object]) -> None:
        command = ["nsenter", f"--net=/run/netns/{name}", sys.executable, "-c", code, json.dumps(options)]
        folder = Path(__file__).parent.parent
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self, question: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _second_way() -> None:
    """Another network between the client and the server, `c1` and `s1`."""
    _run(
        f"""ip -n c link add c1 type veth peer name s1 netns s
        ip -n c addr add {SECOND}/24 dev c1; ip -n c link set c1 up
        ip -n s addr add 10.0.3.2/24 dev s1; ip -n s link set s1 up"""
    )


def _second_way_anew() -> None:
    _run("ip -n c link del c1")
    _second_way()


def _run(script: str) -> None:
    subprocess.run(["bash", "-euc", script], check=True, stdout=sys.stderr)


def _narrow() -> None:
    _run(f"ip -n r link set rs mtu {NARROW}; ip -n s link set sr mtu {NARROW}")


def _move_client() -> None:
    _run(f"ip -n c addr del {CLIENT}/24 dev cr; ip -n c addr add {MOVED_CLIENT}/24 dev cr")
    _run("ip -n c route replace default via 10.0.1.2")


def _move_server() -> None:
    _run(f"ip -n s addr del {SERVER}/24 dev sr; ip -n s addr add {MOVED_SERVER}/24 dev sr")
    _run("ip -n s route replace default via 10.0.2.2")
    _hosts(MOVED_SERVER)


def _hosts(address: str) -> None:
    Path("/run/hosts").write_text(f"127.0.0.1 localhost\n{address} studio\n")


def _scenario(name: str, options: dict[str, object]) -> dict[str, Any]:
    changes: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "narrow": (_narrow, lambda: None),
        "narrowing": (lambda: None, _narrow),
        "client moves": (lambda: None, _move_client),
        "group": (_second_way, _second_way_anew),
        "server moves": (lambda: None, _move_server),
    }
    before, meanwhile = changes[name]
    _run(_SET_UP)
    _hosts(SERVER)
    _run("mount --bind /run/hosts /etc/hosts")
    before()
    listening: dict[str, object] = {"port": 0, **({"key": options["key"]} if "key" in options else {})}
    host = "studio"
    if name == "group":
        listening["bind"] = host = GROUP
    server = _End("s", _SERVER_END, listening)
    client = None
    # Whatever hangs is ended, so that the test fails with what was said.
    guard = threading.Timer(100, lambda: [end.kill() for end in (server, client) if end])
    guard.start()
    try:
        client = _End("c", _CLIENT_END, {"host": host, "port": server.answer()["port"], **options})
        first = client.ask(100)
        result: dict[str, Any] = {"before": server.ask(["packets_received", first["sent"]])}
        meanwhile()
        if name == "client moves":
            result["server"] = server.ask(["packets_wrong_source", 1])
            client.ask(20)
        elif name in ("server moves", "group"):
            result["server"] = server.ask(["packets_received", first["sent"] + 1000])
        else:
            client.ask(200)
        client.end()
        result["client"] = client.answer()
        if "narrow" in name:
            result["server"] = server.ask(["packets_received", result["client"]["sent"]])
        server.end()
        return result
    finally:
        guard.cancel()
        server.kill()
        if client:
            client.kill()


if __name__ == "__main__":
    print(json.dumps(_scenario(sys.argv[1], json.loads(sys.argv[2]))))

"""Networks that change under a UDP client: narrow paths, new addresses of its own, names that lead elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import audiostream
from harness import routed


@pytest.mark.parametrize("scenario", ["narrow", "narrowing"])
@pytest.mark.parametrize(
    "options", [{}, {"redundancy": 2}, {"key": audiostream.generate_key()}], ids=["plain", "copies", "sealed"]
)
def test_a_path_that_is_narrower_than_a_packet_costs_no_packet(scenario: str, options: dict[str, object]) -> None:
    ends = routed.play(scenario, **options)
    assert ends["server"]["received"] == ends["client"]["sent"]
    assert (ends["server"]["lost"], ends["server"]["duplicated"], ends["client"]["reconnects"]) == (0, 0, 0)
    assert ends["log"].count("takes datagrams of 1252 bytes at most") == 1


def test_a_client_goes_on_from_its_new_address() -> None:
    ends = routed.play("client moves")
    # The server is asked for packets of the same source from another address, which it does not believe at once.
    assert ends["server"]["wrong"] >= 1
    assert ends["client"]["reconnects"] >= 1
    assert f"leave from {routed.MOVED_CLIENT}:" in ends["log"]


def test_a_client_goes_where_its_servers_name_leads() -> None:
    ends = routed.play("server moves")
    assert ends["server"]["received"] >= ends["before"]["received"] + 900
    assert ends["client"]["reconnects"] >= 1
    assert f"studio is at {routed.MOVED_SERVER}:" in ends["log"]


@pytest.mark.parametrize("interface", ["c1", routed.SECOND])
def test_a_group_is_reached_by_the_interface_that_is_chosen_also_when_it_is_made_anew(interface: str) -> None:
    ends = routed.play("group", interface=interface)
    assert ends["server"]["received"] >= ends["before"]["received"] + 900


def test_without_a_network_a_group_needs_the_interface_of_this_machine() -> None:
    code = """
import audiostream
group = "239.255.77.9"
def client(**more): return audiostream.AudioClient(host=group, input="tone", **more)
def server(**more): return audiostream.AdvancedAudioServer(bind=group, output="null", **more)
for make in (client, server):
    try:
        make(port=5004).start()
    except audiostream.TransportError as error:
        assert f"no network interface carries the group {group}" in str(error) and "interface=" in str(error), error
    else:
        raise AssertionError(make)
from harness.wait import until
with server(port=0, interface="lo") as there, client(port=there.port, interface="lo") as here:
    there.start(), here.start()
    until(lambda: there.stats.packets_received >= 10, "packets")
"""
    script = ['ip link set lo up && exec "$0" -c "$1"', sys.executable, code]
    command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", *script]
    done = subprocess.run(command, check=False, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr

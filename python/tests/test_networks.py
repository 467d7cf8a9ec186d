"""Networks that change under a UDP client: narrow paths, new addresses of its own, names that lead elsewhere."""

from __future__ import annotations

import pytest

import audiostream
from harness import routed


@pytest.mark.parametrize("scenario", ["narrow", "narrowing"])
@pytest.mark.parametrize("options", [{}, {"redundancy": 2}, {"key": audiostream.generate_key()}], ids=str)
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

"""Statistics: frozen snapshots whose fields are the JSON keys."""

import dataclasses
import json

import pytest

from audiostream.stats import ClientStats, RemoteStats, ServerStats, SourceStats, client_stats, server_stats

RECEIVED = {
    *("packets_expected", "packets_received", "packets_lost", "packets_repaired", "packets_late", "packets_duplicated"),
    *("packets_reordered", "packets_malformed", "packets_dropped_local", "bytes_received", "frames_received"),
    *("frames_played", "frames_concealed", "underruns", "jitter_ms", "jitter_mean_ms", "delay_ms", "delay_target_ms"),
    *("wire", "protocol"),
    *("concealments", "frames_accelerated", "frames_expanded", "resets", "drift_ppm"),
}
SENT = {
    *("packets_sent", "copies_sent", "bytes_sent", "frames_captured", "frames_dropped", "overruns", "reconnects"),
    "remote",
    "packets_unauthentic",
    "pcap_dropped",
    *("packets_unheard", "received"),
}


def names(kind):
    return {field.name for field in dataclasses.fields(kind)}


def test_the_fields_are_the_json_keys():
    assert names(ClientStats) == SENT | {"wire", "protocol"}
    reported = {"round_trip_ms", "cname", "name", "r_factor", "mos"}
    mixed = {"number", "state", "gain", "muted", "level_db"} | {"packets_sent", "packets_withheld"}
    assert names(SourceStats) == RECEIVED | reported | mixed | {"codec", "ssrc", "address"}
    forwarded = {"packets_forwarded", "packets_forward_dropped"}
    turned_away = {"packets_refused", "packets_wrong_source", "packets_unauthentic"}
    own = {"sources", "tier", "pcap_dropped", "events_dropped", "frames_unspoken", "sources_unheard"}
    recorded = {"recordings", "recordings_refused", "recordings_failed"}
    assert names(ServerStats) == RECEIVED | turned_away | forwarded | recorded | own


def test_a_snapshot_takes_its_fields_and_leaves_the_rest():
    source = {"wire": "rtp", "packets_lost": 3, "ssrc": 7, "address": "127.0.0.1:9", "level_db": -3.0}
    stats = server_stats(
        {"protocol": "udp", "wire": "auto", "packets_lost": 3, "sources": [source], "last_sequence": 1}
    )
    assert stats.packets_lost == 3
    [one] = stats.sources
    assert one == SourceStats("udp", "rtp", packets_lost=3, ssrc=7, address="127.0.0.1:9", level_db=-3.0)


def test_json_gives_back_the_dictionary():
    source = SourceStats("udp", "rtp", jitter_ms=0.25)
    stats = ServerStats("udp", "auto", packets_expected=10, packets_lost=1, sources=(source,))
    assert json.loads(stats.to_json()) == stats.to_dict()
    assert stats.to_dict()["sources"] == [source.to_dict()]
    assert source.to_dict()["level_db"] is None, "JSON knows no infinity"
    assert "\n" not in stats.to_json(indent=None)


def test_what_the_other_end_says_is_a_snapshot_in_the_snapshot():
    figures = {"round_trip_ms": 12.5, "fraction_lost": 0.25, "packets_lost": -1, "reports": 3, "voice": "passed over"}
    stats = client_stats({"protocol": "udp", "wire": "rtp", "remote": figures})
    assert stats.remote == RemoteStats(round_trip_ms=12.5, fraction_lost=0.25, packets_lost=-1, reports=3)
    assert json.loads(stats.to_json())["remote"]["round_trip_ms"] == 12.5
    assert client_stats({"protocol": "udp", "wire": "classic", "remote": None}).remote is None


def test_a_snapshot_cannot_be_changed():
    stats = client_stats({"protocol": "udp", "wire": "rtp", "packets_sent": 1})
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.packets_sent = 2  # pyright: ignore[reportAttributeAccessIssue]


def test_the_loss_rate_is_a_part_of_what_was_expected():
    assert ServerStats("udp", "rtp").loss_rate == 0
    assert ServerStats("udp", "rtp", packets_expected=10, packets_lost=1).loss_rate == pytest.approx(0.1)

"""Statistics over time, and packet logs: rows for programs, pandas and CSV."""

from __future__ import annotations

import csv
import gc
import pickle
import sys
import threading

import pytest

import audiostream
from audiostream import history
from audiostream.tables import Table, read_packet_log
from harness.streams import quiet_server
from harness.wait import until


@pytest.fixture
def often(monkeypatch):
    """Rows come each 20 ms."""
    monkeypatch.setattr(history, "EVERY", 0.02)


@pytest.mark.usefixtures("often")
def test_both_ends_write_their_figures_down_while_they_stream(tmp_path):
    with quiet_server() as server, audiostream.AudioClient(port=server.port, input="tone") as client:
        until(lambda: len(server.stats.history) > 3 and len(client.stats.history) > 3, "rows")
        until(lambda: server.stats.packets_received > 20, "packets")
        server.stop()
        past = server.stats.history
        assert past.column("time") == sorted(past.column("time"))
        counts = past.column("packets_received")
        assert counts == sorted(counts)
        assert counts[-1] == server.stats.packets_received, "the last row is of the end"
        assert {"level_db", "jitter_ms", "delay_ms", "packets_lost"} <= set(past.columns)
        assert "remote_round_trip_ms" in client.stats.history.columns
    path = past.to_csv(tmp_path / "past.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["packets_received"]) for row in rows] == counts


@pytest.mark.usefixtures("often")
def test_history_is_bounded_and_no_part_of_the_figures(monkeypatch):
    monkeypatch.setattr(history, "ROWS", 3)
    with quiet_server() as server:
        until(lambda: len(server.stats.history) == 3, "rows")
        first = server.stats.history[0]["time"]
        until(lambda: server.stats.history[0]["time"] > first, "the oldest to go")
        stats = server.stats
    assert len(stats.history) == 3
    assert "history" not in stats.to_dict()
    assert pickle.loads(pickle.dumps(stats)) == stats


@pytest.mark.usefixtures("often")
def test_no_thread_is_left_behind():
    # Those of earlier tests may be just about to end.
    before = set(threading.enumerate())

    def ours() -> set[threading.Thread]:
        return set(threading.enumerate()) - before

    server = quiet_server()
    server.start()
    until(ours, "the historian")
    server.stop()
    until(lambda: not ours(), "its end")
    forgotten = quiet_server()
    forgotten.start()
    until(ours, "the historian of one that nobody stops")
    del forgotten
    gc.collect()
    until(lambda: not ours(), "its end")


def test_a_packet_log_is_read_with_its_older_files(tmp_path):
    log = tmp_path / "packets.csv"
    with quiet_server(packet_log=log) as server:
        with audiostream.AudioClient(port=server.port, input="tone", duration=0.3) as client:
            client.run()
        until(lambda: server.stats.packets_received >= 20, "packets")
        server.stop()
        received = server.stats.packets_received
    table = read_packet_log(log)
    assert sum(verdict not in {"malformed", ""} for verdict in table.column("verdict")) == received
    assert all(isinstance(row["sequence"], int) and row["bytes"] == 894 for row in table)
    (tmp_path / "packets.csv.1").write_text(log.read_text())
    (tmp_path / "packets.csv.2").write_text(
        "time_us,direction,source,sequence,timestamp,bytes,verdict\n7,out,a:1,,,9,sent\n"
    )
    whole = read_packet_log(log)
    assert len(whole) == 2 * len(table) + 1
    assert whole[0] == {
        **dict.fromkeys(whole.columns),
        "time_us": 7,
        "direction": "out",
        "source": "a:1",
        "bytes": 9,
        "verdict": "sent",
    }
    log.write_text("no,log\n")
    with pytest.raises(audiostream.ConfigError, match="is no packet log"):
        read_packet_log(log)


def test_tables_are_sequences_and_go_to_pandas_where_it_is(monkeypatch):
    table = Table(("a", "b"), [(1, "x"), (2, None)])
    assert list(table) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert list(table[1:]) == [{"a": 2, "b": None}]
    assert table.column("a") == [1, 2]
    with pytest.raises(KeyError):
        table.column("c")
    frame = table.to_pandas()
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].tolist() == [1, 2]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(audiostream.ConfigError, match="pip install pandas"):
        table.to_pandas()

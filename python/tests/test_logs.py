"""Logging: silent by default, the original's handlers on request."""

import contextlib
import logging
import re
from logging.handlers import RotatingFileHandler

import pytest

import audiostream
from audiostream import logs
from audiostream.log_file import LogFile


@pytest.fixture(autouse=True)
def own_handlers():
    """Takes back what a test did to the root logger."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    logs.install([], level)
    root.handlers[:] = handlers


def test_set_up_gives_the_original_handlers_and_format(tmp_path, capsys):
    audiostream.setup_logging()
    root = logging.getLogger()
    assert root.level == logging.DEBUG
    (file,) = [one for one in root.handlers if isinstance(one, RotatingFileHandler)]
    assert (file.maxBytes, file.backupCount) == (5 * 1024 * 1024, 3)
    logging.getLogger("audiostream.server").debug("a packet")
    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - DEBUG - a packet\n"
    assert re.fullmatch(line, (tmp_path / "audio_stream.log").read_text())
    assert re.fullmatch(line, capsys.readouterr().err)


def test_a_second_set_up_replaces_the_first():
    audiostream.setup_logging()
    before = len(logging.getLogger().handlers)
    audiostream.setup_logging(log_file=None)
    assert len(logging.getLogger().handlers) == before - 1


def test_the_file_rotates_and_three_older_ones_are_kept(tmp_path):
    audiostream.setup_logging(console=False, max_bytes=1000)
    for number in range(200):
        logging.getLogger("audiostream").info("line %d", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "audio_stream.log",
        *(f"audio_stream.log.{number}" for number in (1, 2, 3)),
    ]


def test_the_engine_is_told_what_somebody_wants_to_hear(monkeypatch):
    told = []
    monkeypatch.setattr(logs._engine, "set_log_level", told.append)
    monkeypatch.setattr(logs, "_CHILDREN", (logging.getLogger("a"), logging.getLogger("a.b")))
    logging.getLogger("a").setLevel(logging.ERROR)
    logging.getLogger("a.b").setLevel(logging.DEBUG)
    logs.sync_level()
    assert told == [logging.DEBUG]


def test_a_full_disk_costs_one_line_and_not_a_traceback_a_record(tmp_path, capsys):
    handler = LogFile("/dev/full", max_bytes=0, backups=0)
    lines = logging.getLogger("test_logs.full")
    lines.propagate = False
    lines.addHandler(handler)
    try:
        for number in range(100):
            lines.error("line %d", number)
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "/dev/full cannot be written: No space left on device" in said
        # The disk has room again.
        with contextlib.suppress(OSError):
            handler.stream.close()
        handler.baseFilename = str(tmp_path / "log")
        handler.stream = (tmp_path / "log").open("a")
        lines.error("after")
        assert "is written again; 100 records are missing" in capsys.readouterr().err
    finally:
        lines.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()
    assert (tmp_path / "log").read_text().endswith("after\n")

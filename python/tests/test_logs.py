"""Logging: silent by default, the original's handlers on request."""

import logging
import re
from logging.handlers import RotatingFileHandler

import audiostream
from audiostream import logs
from conftest import run_python


def test_the_library_leaves_the_root_logger_alone():
    result = run_python("-c", "import audiostream, logging; print(logging.getLogger().handlers)")
    assert result.stdout == "[]\n"
    assert result.stderr == ""


def test_set_up_gives_the_original_handlers_and_format(folder, capsys):
    audiostream.setup_logging()
    root = logging.getLogger()
    assert root.level == logging.DEBUG
    (file,) = [one for one in root.handlers if isinstance(one, RotatingFileHandler)]
    assert (file.maxBytes, file.backupCount) == (5 * 1024 * 1024, 3)
    logging.getLogger("audiostream.server").debug("a packet")
    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - DEBUG - a packet\n"
    assert re.fullmatch(line, (folder / "audio_stream.log").read_text())
    assert re.fullmatch(line, capsys.readouterr().err)


def test_a_second_set_up_replaces_the_first():
    audiostream.setup_logging()
    before = len(logging.getLogger().handlers)
    audiostream.setup_logging(log_file=None)
    assert len(logging.getLogger().handlers) == before - 1


def test_the_file_rotates_and_three_older_ones_are_kept(folder):
    audiostream.setup_logging(console=False, max_bytes=1000)
    for number in range(200):
        logging.getLogger("audiostream").info("line %d", number)
    assert sorted(path.name for path in folder.iterdir()) == [
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

"""The parsers: every option there, every option a keyword of its class."""

import inspect
import os
from pathlib import Path

import pytest

import audiostream
from audiostream import cli
from harness.scripts import EXAMPLES, Script


def test_every_option_is_a_keyword_of_the_class_and_has_its_default():
    for parse, pick, kind in (
        (cli.client_parser, cli.client_options, audiostream.AudioClient),
        (cli.server_parser, cli.server_options, audiostream.AdvancedAudioServer),
    ):
        # A command line can be read by others: a key is named by its file there.
        given = {**pick(parse().parse_args([])), "key": None}
        defaults = {name: one.default for name, one in inspect.signature(kind).parameters.items()}
        assert given == defaults


def test_udp_and_tcp_are_short_for_the_protocol():
    parse = cli.client_parser().parse_args
    assert parse([]).protocol == "udp"
    assert parse(["--tcp"]).protocol == parse(["--protocol", "tcp"]).protocol == "tcp"
    assert parse(["--tcp", "--udp"]).protocol == "udp"


def test_record_takes_an_optional_value():
    assert cli.client_parser().parse_args(["--record"]).record is True
    assert cli.client_parser().parse_args(["--record", "2.5"]).record == 2.5
    assert cli.server_parser().parse_args(["--record"]).record is True
    assert cli.server_parser().parse_args(["--record", "take1"]).record == "take1"


def test_sizes_are_numbers():
    parse = cli.client_parser().parse_args
    assert repr(parse(["--size", "20"]).size) == "20"
    assert parse(["--size", "2.5"]).size == 2.5


def command(*arguments: str | Path, folder: Path) -> str:
    """What a command prints."""
    with Script(*map(str, arguments), folder=folder) as script:
        script.succeeds()
    assert script.errors == ""
    return script.output


@pytest.mark.parametrize("name", ["", "client", "server", "devices", "demo", "hop", "probe"])
def test_help_teaches_and_ends_well(name: str, tmp_path: Path) -> None:
    text = command("-m", "audiostream", *name.split(), "--help", folder=tmp_path)
    assert "%(" not in text
    assert "examples:" in text or name in {"", "devices"}


def test_the_demo_offers_its_options(tmp_path: Path) -> None:
    text = command("-m", "audiostream", "demo", "--help", folder=tmp_path)
    for option in ("--duration", "--protocol", "--wire", "--size", "--input", "--output", "--port"):
        assert option in text


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    assert command("-m", "audiostream", "--version", folder=tmp_path) == f"audiostream {audiostream.__version__}\n"


def test_the_examples_can_be_started() -> None:
    assert all(os.access(EXAMPLES / f"{name}.py", os.X_OK) for name in ("client", "server"))

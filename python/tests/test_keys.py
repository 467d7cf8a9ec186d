"""Keys: how they are made, where they are found, and that nobody is told them by accident."""

from __future__ import annotations

import base64
import os
import re
import stat
from pathlib import Path

import pytest

import audiostream
from audiostream.cli import client_options, client_parser, server_options, server_parser
from harness.scripts import Script
from harness.wait import until

KEY = audiostream.generate_key()
FOREIGN = audiostream.generate_key("AES_CM_128_HMAC_SHA1_80")


def client(**options: object) -> audiostream.AudioClient:
    return audiostream.AudioClient(host="127.0.0.1", input="tone", **options)  # pyright: ignore[reportArgumentType]


def server(**options: object) -> audiostream.AdvancedAudioServer:
    options = {"port": 0, "bind": "127.0.0.1", "output": "null", **options}
    return audiostream.AdvancedAudioServer(**options)  # pyright: ignore[reportArgumentType]


def told_key(**options: object) -> str | None:
    """The key that a client has, as its description tells it."""
    with client(**options) as sender:
        try:
            text = sender.sdp(key=True)
        except audiostream.ConfigError:
            return None
    found = re.search(r"^a=crypto:1 \S+ (?:inline:)?(\S+)\r$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def key_file(text: str, path: Path, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_keys_are_random_and_of_their_suite() -> None:
    assert audiostream.generate_key() != KEY
    ours = re.fullmatch(r"audiostream1:(\S+)", KEY)
    assert ours is not None
    assert len(base64.b64decode(ours[1], validate=True)) == 32
    assert len(base64.b64decode(FOREIGN, validate=True)) == 30
    assert len(base64.b64decode(audiostream.generate_key("AEAD_AES_128_GCM"), validate=True)) == 28
    with pytest.raises(audiostream.ConfigError, match="AES_CM_128_HMAC_SHA1_80, AEAD_AES_128_GCM, not 'rot13'"):
        audiostream.generate_key("rot13")


@pytest.mark.parametrize("key", [KEY, FOREIGN], ids=["ours", "AES-CM"])
def test_a_key_is_an_argument_a_file_or_in_the_environment(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = audiostream.generate_key()
    assert told_key() is None
    assert told_key(key=key) == key
    path = key_file(f"{key}\n", tmp_path / "a.key")
    assert told_key(key_file=path) == key
    assert told_key(key_file=str(path)) == key
    monkeypatch.setenv("AUDIOSTREAM_KEY", key)
    assert told_key() == key
    assert told_key(key=other) == other
    monkeypatch.setenv("AUDIOSTREAM_KEY", other)
    assert told_key(key_file=path) == key


@pytest.mark.parametrize("make", [client, server])
def test_what_is_no_key_is_an_error_that_says_where_and_not_what(
    make: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*words: str, **options: object) -> None:
        with pytest.raises(audiostream.ConfigError) as caught:
            make(**options)
        message = str(caught.value)
        assert all(word in message for word in words), message
        assert "sesame" not in message
        assert KEY not in message

    refused("audiostream keygen", key="sesame")
    refused("audiostream keygen", key="")
    refused("give one of them", key=KEY, key_file="a.key")
    refused("cannot read key_file", "missing.key", "No such file", key_file="missing.key")
    refused("cannot read key_file", "directory", key_file=tmp_path)
    refused("not the key", key_file=KEY)
    refused("a.key", "audiostream keygen", key_file=key_file("sesame", tmp_path / "a.key"))
    refused("b.key", "more than a key", key_file=key_file(f"{KEY}\n" * 100, tmp_path / "b.key"))
    refused("c.key", "audiostream keygen", key_file=key_file("", tmp_path / "c.key"))
    monkeypatch.setenv("AUDIOSTREAM_KEY", "sesame")
    refused("AUDIOSTREAM_KEY: key", "audiostream keygen")
    # As `AUDIOSTREAM_KEY=$(cat missing)` leaves it.
    monkeypatch.setenv("AUDIOSTREAM_KEY", " ")
    refused("AUDIOSTREAM_KEY", "empty")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o666])
def test_a_key_that_others_can_open_is_refused(mode: int, tmp_path: Path) -> None:
    path = key_file(KEY, tmp_path / "my studio.key", mode)
    with pytest.raises(audiostream.ConfigError) as caught:
        server(key_file=path)
    assert f"chmod 600 '{path}'" in str(caught.value)
    path.chmod(0o400)
    server(key_file=path).close()


@pytest.mark.parametrize("make", [client, server])
def test_the_classic_wire_has_no_key(make: type, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(audiostream.ConfigError, match="wire='rtp'"):
        make(wire="classic", key=KEY)
    monkeypatch.setenv("AUDIOSTREAM_KEY", KEY)
    with pytest.raises(audiostream.ConfigError, match="AUDIOSTREAM_KEY"):
        make(wire="classic")


@pytest.mark.parametrize("key", [KEY, FOREIGN], ids=["ours", "AES-CM"])
def test_a_description_tells_its_key_only_when_asked(key: str) -> None:
    with client(key=key) as sender:
        plain, secret = sender.sdp(), sender.sdp(key=True)
    for text in (plain, secret):
        assert "m=audio 12345 RTP/SAVP 11\r\n" in text
    assert key not in plain
    assert "crypto" not in plain
    assert key in secret
    with client() as sender, pytest.raises(audiostream.ConfigError, match="no key"):
        sender.sdp(key=True)


def test_keygen_makes_a_file_for_one_and_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "studio.key"
    umask = os.umask(0)
    try:
        with Script("-m", "audiostream", "keygen", path, folder=tmp_path) as script:
            script.succeeds()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = path.read_text()
    assert told_key(key_file=path) == made.strip()
    assert script.output == ""
    assert made.strip() not in script.errors
    with Script("-m", "audiostream", "keygen", path, folder=tmp_path) as script:
        assert script.wait() == 1
    assert str(path) in script.errors
    assert "never overwritten" in script.errors
    assert path.read_text() == made
    link = tmp_path / "link.key"
    link.symlink_to(tmp_path / "elsewhere")
    with Script("-m", "audiostream", "keygen", link, folder=tmp_path) as script:
        assert script.wait() == 1
    assert not (tmp_path / "elsewhere").exists()


def test_keygen_prints_a_key_where_no_file_is_named(tmp_path: Path) -> None:
    for arguments, bytes_of_key in (([], 32), (["--suite", "AES_CM_128_HMAC_SHA1_80"], 30)):
        with Script("-m", "audiostream", "keygen", *arguments, folder=tmp_path) as script:
            script.succeeds()
        (line,) = script.output.splitlines()
        assert len(base64.b64decode(line.removeprefix("audiostream1:"), validate=True)) == bytes_of_key


def test_the_scripts_take_files_and_the_environment(tmp_path: Path) -> None:
    key_file(KEY, tmp_path / "a.key")
    for options, env in ((["--key-file", "a.key"], None), ([], {"AUDIOSTREAM_KEY": KEY})):
        running = ["--input", "tone", "--duration", "0.2", "--quiet", "--sdp", "-", "--sdp-key"]
        with Script("client", *running, *options, folder=tmp_path, env=env) as script:
            script.succeeds()
        assert f"AEAD_AES_128_GCM {KEY}\n" in script.output
    key_file(KEY, tmp_path / "a.key", 0o644)
    with Script("server", "--key-file", "a.key", "--output", "null", folder=tmp_path) as script:
        assert script.wait() == 1
    assert "chmod 600 a.key" in script.errors
    assert client_options(client_parser().parse_args(["--key-file", "a"]))["key_file"] == "a"
    assert server_options(server_parser().parse_args(["--key-file", "a"]))["key_file"] == "a"


@pytest.mark.parametrize("script", ["client", "server"])
@pytest.mark.parametrize("arguments", [["--key", KEY], [f"--key={KEY}"], ["--key"]], ids=["apart", "joined", "none"])
def test_no_key_stands_on_a_command_line(script: str, arguments: list[str], tmp_path: Path) -> None:
    with Script(script, *arguments, folder=tmp_path) as run:
        assert run.wait() == 2
    assert "--key-file" in run.errors
    assert "list of processes" in run.errors
    assert KEY not in run.errors + run.output
    with Script(script, "--help", folder=tmp_path) as run:
        run.succeeds()
    assert "--key-file" in run.output
    assert "--key " not in run.output


def test_a_description_with_a_key_is_for_its_owner(tmp_path: Path) -> None:
    key_file(KEY, tmp_path / "a.key")
    sdp = tmp_path / "stream.sdp"
    sdp.write_text("old")
    sdp.chmod(0o666)
    options = ["--input", "tone", "--quiet", "--key-file", "a.key", "--sdp", sdp]
    with Script("client", *options, "--sdp-key", folder=tmp_path) as script:
        until(lambda: KEY in sdp.read_text(), "the description")
        assert stat.S_IMODE(sdp.stat().st_mode) == 0o600
        assert script.interrupt() == 0
    with Script("client", "--sdp-key", "--input", "tone", folder=tmp_path) as script:
        assert script.wait() == 1
    assert "--sdp FILE" in script.errors

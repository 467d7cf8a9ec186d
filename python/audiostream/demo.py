"""The demonstration: client and server over loopback in one process, with whatever ends the machine has."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .client import AudioClient
from .devices import list_devices
from .errors import AudioStreamError, DeviceError
from .recording import make_folder
from .script import Script
from .server import AdvancedAudioServer

if TYPE_CHECKING:
    import argparse

SHARED = ("protocol", "size", "rate", "channels", "host_api", "latency", "recordings")


def run(args: argparse.Namespace) -> int:
    """Streams for `args.duration` seconds, shows figures meanwhile and a table at the end; returns the exit status."""
    if args.list_devices:
        from .cli import run_devices

        return run_devices(args)
    heard: Path | None = None
    with Script(args, for_show=True) as script:
        options = {name: getattr(args, name) for name in SHARED}
        with (
            _server(args, options, script) as server,
            _client(args, {**options, "port": server.port}, script) as client,
        ):
            script.say(f"Streaming {client.input_name} → {args.protocol} port {server.port} → {server.output_name}")
            heard = Path(server.output_name)
            client.start_recording()
            script.follow(client, server)
    if script.status == 0 and heard is not None and heard.is_file():
        script.say(f"What the server played: {heard}")
    return script.status


def _server(args: argparse.Namespace, options: dict[str, Any], script: Script) -> AdvancedAudioServer:
    """A server that plays to what was asked for, else to a speaker, else to a file."""
    options = {**options, "port": args.port, "bind": "127.0.0.1"}
    if args.output is not None:
        return AdvancedAudioServer(**options, output=args.output)
    if _has(args, "output"):
        try:
            return AdvancedAudioServer(**options)
        except DeviceError as error:
            script.say(f"The speaker does not open: {error}")
    folder = Path(args.recordings)
    make_folder(folder)
    path = folder / f"demo_{time.strftime('%Y%m%d_%H%M%S')}.wav"
    script.say(f"No speaker here: what the server plays goes to {path}")
    return AdvancedAudioServer(**options, output=f"file:{path}")


def _client(args: argparse.Namespace, options: dict[str, Any], script: Script) -> AudioClient:
    """A client that hears what was asked for, else a microphone, else the built-in voice."""
    options = {
        **options,
        "host": "127.0.0.1",
        "wire": args.wire,
        "duration": args.duration,
        "pcap": args.pcap,
        "packet_log": args.packet_log,
    }
    if args.input is not None:
        return AudioClient(**options, input=args.input)
    if _has(args, "input"):
        try:
            return AudioClient(**options)
        except DeviceError as error:
            script.say(f"The microphone does not open: {error}")
    script.say("No microphone here: streaming the built-in voice")
    return AudioClient(**options, input="voice")


def _has(args: argparse.Namespace, way: str) -> bool:
    try:
        return any(getattr(device, f"is_default_{way}") for device in list_devices(args.host_api))
    except AudioStreamError:
        return False

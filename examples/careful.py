#!/usr/bin/env python3
"""Stream with care: a device if there is one, a key, and an answer to everything that may go wrong.

    python examples/careful.py 192.168.1.20             # makes studio.key, to be carried to the server by hand
    python examples/careful.py 192.168.1.20 --input voice --seconds 3

All errors are `AudioStreamError`, and each is also the builtin that it is: `except OSError` catches a missing device.
"""

import argparse
import sys
from pathlib import Path

from audiostream import (
    AudioClient,
    AudioStreamError,
    ConfigError,
    Device,
    DeviceError,
    RecordedFrames,
    RecordingError,
    StateError,
    TransportError,
    generate_key,
    host_apis,
    list_devices,
)


def microphone() -> Device | str:
    """The default microphone, or the built-in voice on a machine that has none."""
    try:
        devices = list_devices()
    except DeviceError:  # no sound system answers
        return "voice"
    return next((device for device in devices if device.is_default_input), "voice")


def key_file(path: Path) -> Path:
    """The key, made where there is none, for its owner's eyes only."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(generate_key() + "\n")
    return path


def stream(args: argparse.Namespace) -> str:
    """Streams and records for so many seconds; a line that says what came of it."""
    source = args.input or microphone()
    key = key_file(args.key_file)
    with AudioClient(host=args.host, port=args.port, input=source, key_file=key) as client:
        client.start_recording(args.seconds)
        client.wait(args.seconds + 0.5)
        frames: RecordedFrames = client.recorded_frames
        said = f"{len(frames)} chunks of 10 ms recorded, {client.stats.packets_sent} packets sent"
    try:
        client.start()
    except StateError:  # what is closed stays closed
        return said
    return "it should have been closed"


def main() -> int:
    """Streams; returns the exit status."""
    parser = argparse.ArgumentParser(description="Stream with care.")
    parser.add_argument("host")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--input", help=f"the microphone of one of {', '.join(host_apis())}, unless given")
    parser.add_argument("--key-file", type=Path, default=Path("studio.key"))
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args()
    try:
        print(stream(args))
    except ConfigError as error:  # a ValueError
        print(f"change an argument: {error}", file=sys.stderr)
    except (DeviceError, RecordingError) as error:  # OSErrors
        print(f"look at the sound card or the disk: {error}", file=sys.stderr)
    except TransportError as error:  # an OSError
        print(f"look at the network: {error}", file=sys.stderr)
    except AudioStreamError as error:  # whatever else there may be
        print(f"something else: {error}", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""`audiostream devices`: lists the sound devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..devices import list_devices
from ..script import Script

if TYPE_CHECKING:
    import argparse


TEXT = "List the sound devices of this machine."


def run_devices(args: argparse.Namespace) -> int:
    """Prints the sound devices; returns the exit status."""
    with Script(args) as script:
        devices = list_devices(args.host_api)
        if not devices:
            print("No sound device here. Built-in ends: --input tone, voice, silence; --output null, file:PATH.")
        for device in devices:
            ways = f"{device.max_input_channels} in, {device.max_output_channels} out"
            marks = [name for name in ("input", "output") if getattr(device, f"is_default_{name}")]
            default = f"  (default {' and '.join(marks)})" if marks else ""
            print(f"{device.index:3}  {device.name}  [{device.host_api}, {ways}, {device.default_rate} Hz]{default}")
    return script.status


def add_devices(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the options."""
    parser.set_defaults(main=run_devices, prog=parser.prog)
    parser.add_argument(
        "--host-api", metavar="NAME", help="sound system to ask: pulseaudio, alsa, … (the first that answers)"
    )
    return parser

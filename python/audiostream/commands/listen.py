"""`audiostream listen`: plays a stream that somebody sends here, and little else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..script import Script
from ..server import AdvancedAudioServer
from .devices import run_devices
from .options import add_common, add_key, add_recording, milliseconds

if TYPE_CHECKING:
    import argparse

TEXT = "Play an RTP stream that is sent here: what a server forwards, or any other program sends."

EXAMPLES = """\
examples:
  %(prog)s
      what comes to UDP port 12345, where a server was started with --forward THIS-MACHINE:12345
  %(prog)s rtp://@:5004
      another port
  %(prog)s rtp://@239.1.2.3:5004
      a multicast group
  %(prog)s stream.sdp
      what a session description says
  %(prog)s --output file:heard.wav --duration 60
      into a file, for a minute

Ctrl-C ends it. 'audiostream server' has more options.
"""


def run_listen(args: argparse.Namespace) -> int:
    """Plays as parsed options say; returns the exit status."""
    if args.list_devices:
        return run_devices(args)
    url = "://" in args.stream
    with (
        Script(args) as script,
        AdvancedAudioServer(
            bind=args.stream if url else None,
            sdp=None if url else Path(args.stream),
            wire="rtp",
            rate=args.rate,
            channels=args.channels,
            output=args.output,
            host_api=args.host_api,
            delay=args.delay,
            key_file=args.key_file,
            keep_listening=True,
            record=args.record,
            recordings=args.recordings,
            duration=args.duration,
            packet_log=args.packet_log,
        ) as server,
    ):
        script.follow(server)
    return script.status


def add_listen(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Gives a parser the listener's options."""
    parser.set_defaults(main=run_listen, prog=parser.prog, log_file=None)
    parser.add_argument(
        "stream",
        nargs="?",
        default="rtp://@:12345",
        metavar="rtp://@[ADDRESS]:PORT|FILE",
        help="where to listen, or the session description that says it (%(default)s)",
    )
    add_key(parser)
    sound = parser.add_argument_group("sound")
    sound.add_argument(
        "--output",
        metavar="{DEVICE,null,-,file:PATH}",
        help="a device by name, part of it or index; null for nowhere; - for PCM on standard output; a WAV file "
        "(the default speaker)",
    )
    sound.add_argument(
        "--delay",
        type=milliseconds,
        metavar="MS",
        help="how long a packet is kept before it is played (follows the network)",
    )
    sound.add_argument("--rate", type=int, metavar="HZ", help="frames a second of the output (the sdp's, or 44100)")
    sound.add_argument("--channels", type=int, help="1 or 2 (the sdp's, or 1)")
    sound.add_argument("--host-api", metavar="NAME", help="sound system: pulseaudio, alsa, … (the first that answers)")
    sound.add_argument("--list-devices", action="store_true", help="list the sound devices and exit")
    add_recording(parser, "--record", metavar="NAME", help="record what arrives, under this name if given")
    add_common(parser)
    return parser

"""Live sound over a network, measured.

A client captures sound in blocks of 10 ms and streams it by UDP or TCP, as RTP (L16, RFC 3551) or in the classic
2-byte format; a server plays it, counts what was lost, and records.

    import audiostream

    with audiostream.AdvancedAudioServer(output="null") as server:
        with audiostream.AudioClient(input="voice") as client:
            client.start_recording(5)
            ...
        print(server.stats)

The engine is native and runs without the GIL; the classes here hold the handles.
"""

from __future__ import annotations

import atexit
import logging

from .errors import (
    AudioStreamError,
    ConfigError,
    DeviceError,
    RecordingError,
    StateError,
    TransportError,
    explain_import_error,
)

# Before the engine can speak: a library that nobody listens to says nothing.
logging.getLogger(__name__).addHandler(logging.NullHandler())

try:
    from . import _engine
except ImportError as error:
    raise explain_import_error(error) from None

from .client import AudioClient
from .devices import Device, host_apis, list_devices
from .events import Event
from .frames import Frame, Frames
from .keys import generate_key
from .logs import setup_logging
from .recording import RecordedFrames, Recording
from .server import AdvancedAudioServer
from .source import Source
from .stats import ClientStats, RemoteStats, ServerStats, SourceStats
from .tables import Table, read_packet_log

__version__ = _engine.__version__

# Native threads must not log into an interpreter that is ending.
atexit.register(_engine.shutdown)

__all__ = [
    "AdvancedAudioServer",
    "AudioClient",
    "AudioStreamError",
    "ClientStats",
    "ConfigError",
    "Device",
    "DeviceError",
    "Event",
    "Frame",
    "Frames",
    "RecordedFrames",
    "Recording",
    "RecordingError",
    "RemoteStats",
    "ServerStats",
    "Source",
    "SourceStats",
    "StateError",
    "Table",
    "TransportError",
    "__version__",
    "generate_key",
    "host_apis",
    "list_devices",
    "read_packet_log",
    "setup_logging",
]

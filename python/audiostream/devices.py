"""The sound devices of this machine."""

from __future__ import annotations

from dataclasses import dataclass

from . import _engine

__all__ = ["Device", "host_apis", "list_devices"]


@dataclass(frozen=True)
class Device:
    """A sound device, as `input=` and `output=` take it.

    Attributes:
        index: Its place in the list; changes when devices come and go.
        name: Its name; a part that fits no other device chooses it as well.
        id: Its name in the sound system's own words.
        host_api: The sound system: `'pulseaudio'`, `'alsa'`, …
        max_input_channels: Channels it can capture; 0 for a mere output.
        max_output_channels: Channels it can play; 0 for a mere input.
        default_rate: Frames a second that it prefers.
        is_default_input: Whether `input=None` chooses it.
        is_default_output: Whether `output=None` chooses it.
    """

    index: int
    name: str
    id: str
    host_api: str
    max_input_channels: int
    max_output_channels: int
    default_rate: int
    is_default_input: bool
    is_default_output: bool


def list_devices(host_api: str | None = None) -> list[Device]:
    """Lists the sound devices that are there now; asked afresh at every call.

    Args:
        host_api: The sound system to ask (see `host_apis`); None asks the one that streams would use.

    Returns:
        The devices, in the order of their index. A machine without a sound card has none.

    Raises:
        ConfigError: There is no such sound system here.
        DeviceError: The sound system does not answer.
    """
    return [Device(**device) for device in _engine.list_devices(host_api)]


def host_apis() -> list[str]:
    """Lists the sound systems that can be asked for here, the one tried first at the head."""
    return _engine.host_apis()


def end_name(end: str | int | Device | None) -> str:
    """An `input=` or `output=` in the words of the engine."""
    match end:
        case None:
            return "default"
        case Device():
            return str(end.index)
        case _:
            return str(end)

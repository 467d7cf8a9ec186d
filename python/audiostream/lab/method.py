"""Ways of sending sound, by name: `udp`, `udp+redundancy`, `opus+fec`, `tcp-cubic`, `opus over tcp`, `classic`, …"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError

__all__ = ["Method"]

WORDS = "udp, tcp, tcp-reno, tcp-cubic, classic, l16, opus, pcmu, pcma, fec, redundancy or redundancy-N"


@dataclass(frozen=True)
class Method:
    """One way of sending.

    A name is words joined by `+` or `over`: `opus over tcp-reno`. Without a transport it is UDP, without a codec 16-bit
    PCM (`l16`); `tcp` is `tcp-cubic`, Linux' default.

    Attributes:
        name: What it is called, in one spelling.
        transport: `'udp'` or `'tcp'`.
        congestion: TCP's congestion control, `'cubic'` or `'reno'`; empty over UDP.
        wire: `'rtp'`, or `'classic'`: the original's packets.
        codec: `'l16'`, `'opus'`, `'pcmu'` or `'pcma'`.
        fec: Opus packets hold a coarse copy of the one before.
        redundancy: Copies of each packet besides itself, or `'opus'`: low-rate Opus beside PCM.
        spacing: How many packets later a copy goes.
    """

    name: str
    transport: str = "udp"
    congestion: str = ""
    wire: str = "rtp"
    codec: str = "l16"
    fec: bool = False
    redundancy: int | str = 0
    spacing: int = 1

    @classmethod
    def parse(cls, name: str | Method) -> Method:
        """The method of a name.

        Raises:
            ConfigError: A word of it is unknown, or two contradict each other.
        """
        if isinstance(name, Method):
            return name
        words = [word for word in re.split(r"\s*\+\s*|\s+over\s+|\s+", name.strip().lower()) if word]
        settings: dict[str, Any] = {}
        for word in words:
            for key, value in _meaning(name, word).items():
                if settings.get(key, value) != value:
                    raise ConfigError(f"method {name!r}: {word!r} contradicts what stands before it")
                settings[key] = value
        if not settings:
            raise ConfigError(f"a method is made of words: {WORDS}")
        method = cls("", **settings)
        if method.transport == "tcp" and method.redundancy:
            raise ConfigError(f"method {name!r}: TCP repairs by itself, redundancy is UDP's")
        return cls(method.spelling, **settings)

    @property
    def spelling(self) -> str:
        """Its name, in the one order of words."""
        words = [self.wire if self.wire != "rtp" else "", self.codec if self.codec != "l16" else ""]
        words.append("fec" if self.fec else "")
        if self.redundancy:
            words.append(
                {1: "redundancy", "opus": "redundancy-opus"}.get(self.redundancy, f"redundancy-{self.redundancy}")
            )
        words = [word for word in words if word]
        transport = f"tcp-{self.congestion}" if self.transport == "tcp" else "udp"
        if self.transport == "tcp":
            return "+".join(words) + " over " + transport if words else transport
        if not words or (self.codec == "l16" and self.wire == "rtp"):
            words.insert(0, "udp")
        return "+".join(words)


def _meaning(name: str, word: str) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {
        "udp": {"transport": "udp"},
        "tcp": {"transport": "tcp", "congestion": "cubic"},
        "tcp-cubic": {"transport": "tcp", "congestion": "cubic"},
        "tcp-reno": {"transport": "tcp", "congestion": "reno"},
        "classic": {"wire": "classic"},
        "rtp": {"wire": "rtp"},
        "l16": {"codec": "l16"},
        "pcm": {"codec": "l16"},
        "opus": {"codec": "opus"},
        "pcmu": {"codec": "pcmu"},
        "pcma": {"codec": "pcma"},
        "g711": {"codec": "pcma"},
        "fec": {"fec": True, "codec": "opus"},
        "redundancy": {"redundancy": 1},
        "redundancy-opus": {"redundancy": "opus"},
        **{f"redundancy-{copies}": {"redundancy": copies} for copies in range(1, 5)},
    }
    if word not in known:
        raise ConfigError(f"method {name!r}: no word {word!r}; there are {WORDS}")
    return known[word]

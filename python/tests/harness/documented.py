"""The command lines of docs/interop.md, to be run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from .programs import Program
from .scripts import ROOT

PAGE = ROOT / "docs" / "interop.md"
ADDRESS, PORT = "192.168.1.20", "12345"
TWO_CHANNELS = {
    "audiostream server": "audiostream server --channels 2",
    "audiostream client": "audiostream client --channels 2",
    "AVP 11": "AVP 10",
    "pt=11": "pt=10",
    "channels=1,payload=11": "channels=2,payload=10",
}


@dataclass(frozen=True)
class Block:
    """One heading's lines."""

    title: str
    lines: tuple[str, ...]
    description: str | None
    """`stream.sdp`, where the page gives one."""

    @property
    def is_tcp(self) -> bool:
        """Whether they speak TCP."""
        return "over TCP" in self.title

    def with_two_channels(self) -> Block:
        """The same for two channels, of payload type 10."""

        def both(text: str) -> str:
            for one, two in TWO_CHANNELS.items():
                text = text.replace(one, two)
            return text

        description = self.description and both(self.description)
        return Block(self.title, tuple(map(both, self.lines)), description)

    def write_description(self, folder: Path, port: int) -> None:
        """Writes what the programs are to find."""
        if self.description is not None:
            (folder / "stream.sdp").write_text(here(self.description, port))

    def start(self, line: int, *, folder: Path, port: int, extra: str = "") -> Program:
        """Starts one of the lines in `folder`, its receiver being here on `port`; `extra` is added to it."""
        command = shlex.split(here(self.lines[line], port) + extra)
        name = command[0]
        return Program(launched(command), folder=folder, name=name, env={"HOME": str(folder)})


def blocks() -> dict[str, Block]:
    """All blocks of the page by their headings."""
    found: dict[str, Block] = {}
    for section in re.split(r"^#{2,3} ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        fences = dict(re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))
        if "sh" in fences:
            found[title] = Block(title, tuple(fences["sh"].splitlines()), fences.get("sdp"))
    return found


def here(text: str, port: int) -> str:
    """The page's address and port, replaced by this machine's."""
    return re.sub(rf"\b{PORT}\b", str(port), text.replace(ADDRESS, "127.0.0.1"))


def launched(command: list[str]) -> list[str]:
    """The command as it must be called here."""
    if command[0] == "audiostream":
        return [sys.executable, "-m", *command]
    if command[0] == "cvlc" and os.geteuid() == 0:
        # VLC refuses to run as root.
        return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    return command

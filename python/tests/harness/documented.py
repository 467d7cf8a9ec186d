"""The command lines of docs/interop.md, to be run as they stand there."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .programs import Program
from .scripts import ROOT

PAGE = ROOT / "docs" / "interop.md"
RECEIVER, SENDER = "192.168.1.20", "192.168.1.30"
PORT = 12_345
KEYGEN, KEY_FILE = "Sealed streams", "theirs.key"
"""The block that makes a key, and the file that it is in."""
TWO_CHANNELS = {
    "audiostream server": "audiostream server --channels 2",
    "audiostream client": "audiostream client --channels 2",
    "AVP 11": "AVP 10",
    "pt=11": "pt=10",
    "channels=1,payload=11": "channels=2,payload=10",
}
A_LAW = {
    "pcm_mulaw": "pcm_alaw",
    "pcmu": "pcma",
    "PCMU": "PCMA",
    "mulaw": "alaw",
    "acodec=mlaw": "acodec=alaw",
    "AVP 0": "AVP 8",
    "payload=0": "payload=8",
}
GCM = {"AES_CM_128_HMAC_SHA1_80": "AEAD_AES_128_GCM", "aes-128-icm": "aes-128-gcm", "hmac-sha1-80": "null"}
OPUS_OF_TWO = {"--rate 48000": "--rate 48000 --channels 2", "-ac 1": "-ac 2", "channels=1": "channels=2"}


@dataclass(frozen=True)
class Block:
    """One heading's lines."""

    title: str
    lines: tuple[str, ...]
    description: str | None
    """`stream.sdp`, where the page gives one."""
    words: Mapping[str, str] = field(default_factory=dict[str, str])
    """What has been changed."""

    @property
    def is_tcp(self) -> bool:
        """Whether they speak TCP."""
        return "over TCP" in self.title

    def changed(self, words: Mapping[str, str]) -> Block:
        """The same with other words: for two channels of payload type 10, for the other law."""

        def changed(text: str) -> str:
            for one, other in words.items():
                text = text.replace(one, other)
            return text

        description = self.description and changed(self.description)
        return Block(self.title, tuple(map(changed, self.lines)), description, words)

    def prepare(self, folder: Path, port: int) -> None:
        """Writes what the programs are to find: `stream.sdp`, and a key, as the page has it made."""
        if self.description is not None:
            (folder / "stream.sdp").write_text(here(self.description, port))
        if any(KEY_FILE in line for line in self.lines):
            with blocks()[KEYGEN].changed(self.words).start(0, folder=folder, port=port) as keygen:
                keygen.succeeds()

    def start(
        self, line: int, *, folder: Path, port: int, env: Mapping[str, str] | None = None, figures: str | None = None
    ) -> Program:
        """Starts one of the lines in `folder`, its receiver being here on `port`. `figures`: where ours writes them."""
        text = here(self.lines[line], port)
        command = ["sh", "-c", f"exec {text}"] if "$(" in text else shlex.split(text)
        if figures is not None and command[0] == "audiostream":
            command += ["--stats-json", figures]
        # VLC wants a home that it may write to.
        home = {"HOME": str(folder), **(env or {})}
        return Program(launched(command), folder=folder, name=text.split()[0], env=home)


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
    """The page's addresses and ports (the ten from the decade of `PORT`), replaced by this machine's."""
    text = text.replace(RECEIVER, "127.0.0.1").replace(SENDER, "127.0.0.1")
    return re.sub(rf"\b{PORT // 10}\d\b", lambda found: str(port + int(found[0]) - PORT), text)


def launched(command: list[str]) -> list[str]:
    """The command as it must be called here."""
    if command[0] == "audiostream":
        return [sys.executable, "-m", *command]
    if command[0] == "cvlc" and os.geteuid() == 0:
        # VLC refuses to run as root.
        return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    return command

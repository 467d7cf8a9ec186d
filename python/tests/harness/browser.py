"""A headless Chromium that opens one page: what it says on its console, what it asks the network for, what it plays."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome")

AUDIO = """
Promise.all([...document.querySelectorAll("audio")].map(audio => new Promise(done => {
    const tell = () => done({ready: audio.readyState, seconds: audio.duration, error: audio.error?.message ?? null});
    audio.addEventListener("canplaythrough", tell, {once: true});
    audio.addEventListener("error", tell, {once: true});
    audio.preload = "auto";
    audio.load();
})))
"""


@dataclass
class Page:
    """What came of opening it."""

    console: list[str] = field(default_factory=list)
    """Errors and warnings on the console, as `error: …`, `warning: …`."""
    requests: list[str] = field(default_factory=list)
    """URLs that were asked for, those inside the page left out."""
    sounds: list[dict[str, Any]] = field(default_factory=list)
    """Of each player: `ready` (4 is HAVE_ENOUGH_DATA), `seconds`, `error`."""
    title: str = ""
    picture: bytes = b""


def open_page(path: Path, folder: Path) -> Page:
    """Opens a local page without a network, and tells what happened; `folder` is for the browser's own files."""
    with browser(folder) as url:
        return asyncio.run(_look(url, path))


@contextmanager
def browser(folder: Path) -> Iterator[str]:
    """A browser that reaches this machine and no other; `folder` is for its own files. The address to talk to it."""
    name = next(found for found in map(shutil.which, NAMES) if found)
    process = subprocess.Popen(
        [
            *(name, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"),
            *("--remote-debugging-port=0", f"--user-data-dir={folder}"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *("--disable-background-networking", "--no-first-run", "--window-size=1200,1600", "about:blank"),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"listening on (ws://\S+)", line):
                yield found[1]
                return
        raise AssertionError("the browser did not start")
    finally:
        process.kill()
        process.communicate()


async def _look(url: str, path: Path) -> Page:
    talk = await Talk.open(url, path.as_uri())
    page = talk.page
    page.sounds = await talk.evaluate(AUDIO)
    page.title = await talk.evaluate("document.title")
    page.picture = await talk.picture()
    await talk.close()
    inside = ("data:", path.as_uri()[:80])
    page.requests = [asked for asked in page.requests if not asked.startswith(inside)]
    return page


class Talk:
    """The browser's debugging protocol: calls, and what it tells meanwhile."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        self.page = Page()
        self.session: str | None = None
        self.loaded = False
        self._number = 0

    @classmethod
    async def open(cls, browser: str, page: str) -> Talk:
        """Opens a page in a tab of its own and waits until it is loaded."""
        talk = cls(await websocket_connect(browser, max_message_size=1 << 28))
        target = (await talk.call("Target.createTarget", url="about:blank"))["targetId"]
        talk.session = (await talk.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            await talk.call(f"{domain}.enable")
        await talk.call("Page.navigate", url=page)
        while not talk.loaded:
            await talk.hear()
        return talk

    async def close(self) -> None:
        """Says goodbye, and waits until the connection is closed."""
        self.connection.close()
        while await asyncio.wait_for(self.connection.read_message(), 60) is not None:
            pass

    async def evaluate(self, expression: str) -> Any:
        """What an expression is in the page, once it has come about."""
        asked = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        told = await self.call("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str, what: str, timeout: float = 60.0) -> Any:
        """Waits until an expression is true in the page; its value."""
        deadline = time.monotonic() + timeout
        while not (value := await self.evaluate(expression)):
            assert time.monotonic() < deadline, f"waited {timeout:g} s for {what}: {self.page.console}"
            await asyncio.sleep(0.1)
        return value

    async def picture(self, **options: Any) -> bytes:
        """What the page looks like, as PNG."""
        taken = await self.call("Page.captureScreenshot", captureBeyondViewport=True, **options)
        return base64.b64decode(taken["data"])

    async def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        await self.connection.write_message(json.dumps(message))
        while (heard := await self.hear()).get("id") != self._number:
            pass
        assert "error" not in heard, heard
        return heard["result"]

    async def hear(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.connection.read_message(), 60)
        assert text is not None, "the browser has gone"
        heard = json.loads(text)
        told = heard.get("params", {})
        match heard.get("method"):
            case "Page.loadEventFired":
                self.loaded = True
            case "Network.requestWillBeSent":
                self.page.requests.append(told["request"]["url"][:80])
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.page.console.append(f"{told['entry']['level']}: {told['entry']['text']}")
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning"):
                self.page.console.append(f"{told['type']}: {told['args']}")
            case "Runtime.exceptionThrown":
                self.page.console.append(f"error: {told['exceptionDetails']}")
        return heard

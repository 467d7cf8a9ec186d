"""`server.watch()`: charts in a real JupyterLab, text where there are none."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import weakref
from pathlib import Path

import nbclient
import nbformat
import pytest

import audiostream
from audiostream.sampler import Sampler
from harness.browser import Talk, browser
from harness.jupyter import jupyter_lab
from harness.streams import quiet_server
from harness.wait import until

BEGIN = """
import audiostream, threading
server = audiostream.AdvancedAudioServer(port=0, output="null", bind="127.0.0.1", keep_listening=True)
client = audiostream.AudioClient(host="127.0.0.1", port=server.port, input="voice", network="loss=15,seed=2")
server.start()
client.start()
"""
KERNEL = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
WATCH = "document.querySelector('.audiostream-watch')"


def notebook(*cells: str) -> nbformat.NotebookNode:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return made


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "audiostream-watch"]


@pytest.mark.timeout(240)
def test_in_jupyterlab_the_charts_move_and_the_slider_sets_the_delay(tmp_path: Path) -> None:
    nbformat.write(notebook(BEGIN, "server.watch()"), tmp_path / "watch.ipynb")
    with jupyter_lab(tmp_path) as lab, browser(tmp_path / "browser") as address:
        asyncio.run(_open(address, f"{lab}lab/tree/watch.ipynb?reset"))


async def _open(address: str, page: str) -> None:
    talk = await Talk.open(address, page)
    try:
        await _use(talk, page)
    finally:
        await talk.close()


async def _use(talk: Talk, page: str) -> None:
    await talk.until(f"window.jupyterapp && {KERNEL}?.status === 'idle'", "the kernel")

    async def ask(expression: str) -> str:
        code = {"code": "", "user_expressions": {"asked": expression}}
        asked = await talk.evaluate(f"{KERNEL}.requestExecute({json.dumps(code)}).done.then(told => told.content)")
        return asked["user_expressions"]["asked"]["data"]["text/plain"]

    async def chart(title: str, *, above: float, of: str) -> None:
        figure = f"[...{WATCH}.querySelectorAll('svg')].map(chart => chart.getAttribute('aria-label'))"
        found = f"{figure}.map(label => label.match(/^{title}: .*?{of} ([-0-9.]+)/)?.[1]).find(value => value)"
        await talk.until(f"Number({found}) > {above}", f"{title}, {of}")

    await talk.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
    await talk.until(f"{WATCH} !== null", "the charts")
    await chart("Level", above=-40, of="loudest")
    await chart("Loss", above=1, of="lost")
    await chart("Jitter", above=0, of="RFC 3550")
    drawn = f"{WATCH}.querySelector('path.line').getAttribute('d')"
    first = json.dumps(await talk.evaluate(drawn))
    await talk.until(f"{drawn} !== {first}", "the charts to move")

    # A click of the mouse at two thirds of the slider, 500 ms long.
    place = "const {x, y, width, height} = range.getBoundingClientRect(); return [x + width * 2 / 3, y + height / 2];"
    x, y = await talk.evaluate(
        f"(range => {{ range.scrollIntoView(); {place} }})({WATCH}.querySelector('[type=range]'))"
    )
    for kind in ("mousePressed", "mouseReleased"):
        await talk.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    await chart("Buffer delay", above=280, of="aim")
    await chart("Buffer delay", above=250, of="now")
    fixed = float(await ask("server.fixed_delay"))
    assert 300 <= fixed <= 360
    assert abs(float(await ask("server.stats.delay_target_ms")) - fixed) < 20
    assert await talk.evaluate(f"{WATCH}.querySelector('[type=checkbox]').checked") is False
    await talk.evaluate(f"{WATCH}.querySelector('[type=checkbox]').click()")
    await talk.until(f"{WATCH}.querySelector('[type=range]').value < 250", "the delay to follow the network again")
    assert await ask("server.fixed_delay") == "None"

    # Dark or light, as the page is.
    assert await talk.evaluate(f"{WATCH}.dataset.theme") == "light"
    await talk.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    await talk.until(f"{WATCH}.dataset.theme === 'dark'", "dark colours")

    await ask("server.stop()")
    await talk.until(f"{WATCH}.dataset.live === 'false'", "the end")
    await talk.until(f"{WATCH}.querySelector('[type=range]').disabled", "the slider to rest")
    assert "audiostream-watch" not in await ask("[thread.name for thread in threading.enumerate()]")
    assert [told for told in talk.page.console if not told.startswith("warning")] == []
    assert [asked for asked in talk.page.requests if not asked.startswith((page[:17], "data:", "blob:"))] == []


@pytest.mark.timeout(60)
def test_without_anywidget_a_notebook_has_a_line_of_text_that_changes(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['anywidget'] = None"
    end = "import time\nwhile server.stats.packets_received < 200: time.sleep(0.05)\nclient.close(); server.stop()"
    wait = "while any(thread.name == 'audiostream-watch' for thread in threading.enumerate()): time.sleep(0.05)"
    ran = notebook(hide + BEGIN, "server.watch()", end, wait)
    nbclient.NotebookClient(ran, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    (shown,) = ran.cells[1].outputs
    text = shown["data"]["text/plain"]
    # nbclient shows what an output has become: the last sample, taken after the cell had long ended.
    assert "level -" in text
    assert "stopped" in text
    assert int(text.split(" packets,")[0].rpartition("\n")[2].replace(",", "")) >= 200
    assert 'pip install "audiostream[notebook]"' in text


def test_outside_of_jupyter_it_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet_server() as server, audiostream.AudioClient(port=server.port, input="tone") as client:
        until(lambda: server.stats.packets_received > 5, "packets")
        watch = server.watch()
        assert repr(watch).startswith(f"<Watch of AdvancedAudioServer udp://127.0.0.1:{server.port}")
        assert "jitter" in repr(watch)
        watch._ipython_display_()
        assert 'pip install "audiostream[notebook]"' in capsys.readouterr().out
        until(lambda: "round trip" in repr(client.watch()), "a report of the server", timeout=30)
        assert threads() == []


def test_without_anywidget_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with quiet_server() as server, pytest.raises(ImportError, match=r'pip install "audiostream\[notebook\]"'):
        _ = server.watch().widget


def test_it_ends_with_the_server_and_when_closed_and_keeps_no_server_alive() -> None:
    with quiet_server() as server:
        by_server, by_widget, by_hand = (server.watch() for _ in range(3))
        assert by_server.widget.setup["longest"] == server.delay_limit == 500
        assert by_widget.widget is by_widget.widget
        assert by_hand.widget is not by_server.widget
        until(lambda: len(threads()) == 3, "three of them")
        by_hand.close()
        by_widget.widget.close()
        until(lambda: len(threads()) == 1, "two to end")
    until(lambda: threads() == [], "the last one to end")
    assert by_server.widget.state["live"] is False
    assert len(by_server.widget.samples) > 0

    server = quiet_server()
    watch = server.watch()
    assert watch.widget.state["live"]
    gone = weakref.ref(server)
    del server
    until(lambda: gc.collect() >= 0 and gone() is None, "the server to go")
    until(lambda: threads() == [], "its watch to end")


def test_a_slider_beyond_the_limit_is_told_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with quiet_server(max_delay=200) as server:
        widget = server.watch().widget
        told: list[dict[str, str]] = []
        monkeypatch.setattr(widget, "send", told.append)
        widget._handle_custom_msg({"delay": 120}, [])
        assert server.fixed_delay == 120
        widget._handle_custom_msg({"delay": 900}, [])
        widget._handle_custom_msg({"delay": "much"}, [])
        assert server.fixed_delay == 120
        assert "0 to 200 ms" in next(content["error"] for content in told if content.get("error"))
        widget._handle_custom_msg({"delay": None}, [])
        assert server.fixed_delay is None


def test_what_a_client_knows_of_the_server_is_sampled_once_it_has_said_something() -> None:
    with quiet_server() as server, audiostream.AudioClient(port=server.port, input="tone") as client:
        sampler = Sampler(client)
        sampler.take()
        assert set(sampler.latest()) >= {"level"}
        until(lambda: sampler.take() and "jitter" in sampler.latest(), "a report", timeout=30)
        assert sampler.title.endswith(f"to udp://localhost:{server.port}")

"""Every public name is documented, and shown in an example that is run here or in another test."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import audiostream
import audiostream.lab
from audiostream import AudioClient
from harness.packets import goodbye, packets, send_udp
from harness.ports import free_port, wait_open
from harness.scripts import EXAMPLES, Script
from harness.signals import noise, read_wav
from harness.wait import until

MODULES = (audiostream, audiostream.lab)
PUBLIC = [(module, name) for module in MODULES for name in module.__all__]
TESTS = Path(__file__).parent
# How a test starts one.
STARTED = re.compile(r"(?:Script\(\s*\"|(?:EXAMPLES|\"examples\") / \")(\w+)")


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_every_public_name_is_documented(module: ModuleType, name: str) -> None:
    value = getattr(module, name)
    if not (inspect.isclass(value) or callable(value)):
        # A plain value: its words stand below it in the file, or, of the version, everywhere.
        assert name == "__version__" or f"{name} = " in documented_values(module), name
        return
    assert inspect.getdoc(value), name
    if not inspect.isclass(value):
        return
    for part, member in vars(value).items():
        if not part.startswith("_") and (callable(member) or isinstance(member, (property, classmethod))):
            assert inspect.getdoc(member), f"{name}.{part}"


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=[name for _, name in PUBLIC])
def test_every_public_name_is_shown_in_an_example(module: ModuleType, name: str) -> None:
    assert (module.__name__, name) in set(shown())


def test_every_example_is_run_by_a_test() -> None:
    told = " ".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    started = set(STARTED.findall(told))
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= started
    notebooks = (TESTS / "test_notebook.py").read_text()
    assert all(f'"{path.stem}"' in notebooks for path in EXAMPLES.glob("*.ipynb"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_explains_itself(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 100, "short enough to be read"
    doc = ast.get_docstring(ast.parse(text))
    assert doc
    assert f"python examples/{path.name}" in doc, "how it is called"
    done = subprocess.run(
        [sys.executable, path, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert "usage:" in done.stdout


def documented_values(module: ModuleType) -> str:
    """The plain values of a package that have words below them."""
    folder = Path(inspect.getfile(module)).parent
    found: list[str] = []
    for path in folder.glob("*.py"):
        body = ast.parse(path.read_text()).body
        for node, after in itertools.pairwise(body):
            if (
                isinstance(node, ast.Assign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found += [f"{target.id} = " for target in node.targets if isinstance(target, ast.Name)]
    return "\n".join(found)


def shown() -> Iterator[tuple[str, str]]:
    """What the examples import: module and name."""
    for path in EXAMPLES.glob("*.py"):
        tree = ast.parse(path.read_text())
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in {module.__name__ for module in MODULES}:
                # Imported and used: an import alone shows nothing.
                yield from ((node.module, alias.name) for alias in node.names if alias.name in used)


# The examples that have no test elsewhere.


def test_recordings_of_each_speaker_are_told_of_with_what_was_lost(tmp_path: Path) -> None:
    port = free_port()
    options = ("--port", port, "--recordings", "kept", "--quiet-for", 1)
    sound = noise(30 * 441)
    with Script("record_each", *options, folder=tmp_path) as script:
        until(lambda: "listening" in script.output, "the server")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            sent = packets("rtp", sound.tobytes(), sequence=1, ssrc=9)
            send_udp(port, [*sent[:7], *sent[8:], goodbye(9)], source=peer)
            script.succeeds()
    assert "joined" in script.output
    assert "it said goodbye" in script.output
    assert script.output.rstrip().endswith("1 packets lost")
    [path] = (tmp_path / "kept").glob("*.wav")
    sound[7 * 441 : 8 * 441] = 0
    assert (read_wav(path) == sound).all()


def test_one_speaker_is_followed_while_another_is_turned_down(speech_wav: Path, tmp_path: Path) -> None:
    port = free_port()
    with Script("one_speaker", "Ada", "--port", port, "--seconds", 1, folder=tmp_path) as script:
        wait_open("udp", port)
        with (
            AudioClient(host="127.0.0.1", port=port, input="tone", name="Bob"),
            AudioClient(host="127.0.0.1", port=port, input=f"file:{speech_wav}", name="Ada"),
        ):
            script.succeeds()
    assert script.output.startswith("Ada spoke for ")
    [path] = (tmp_path / "Recording").glob("Ada_*.wav")
    assert abs(read_wav(path).astype(int)).max() > 1000


def test_a_relay_sends_on_what_it_hears(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        port, to = free_port(), f"127.0.0.1:{listener.getsockname()[1]}"
        with Script("relay", to, "--port", port, "--seconds", 2, folder=tmp_path) as script:
            wait_open("udp", port)
            sent = packets("rtp", noise(20 * 441).tobytes(), sequence=1)
            send_udp(port, sent)
            assert [listener.recv(2048) for _ in sent] == sent
            script.succeeds()
    assert script.output.splitlines()[-1] == "20 packets in, 20 out, 0 dropped; 1 speakers, 0.0% lost at worst"


def test_a_measurement_leaves_figures_by_the_second_and_by_the_packet(tmp_path: Path) -> None:
    options = ("--network", "loss=10,delay=5,jitter=2,seed=3", "--seconds", 2, "--folder", tmp_path)
    with Script("measure", *options, folder=tmp_path) as script:
        script.succeeds()
    assert "packets sent" in script.output
    assert "there and back" in script.output
    assert len((tmp_path / "history.csv").read_text().splitlines()) >= 3
    assert len((tmp_path / "packets.csv").read_text().splitlines()) > 150


def test_who_is_careful_streams_sealed_and_is_told_what_is_wrong(tmp_path: Path, no_sound_server: None) -> None:
    port = free_port()
    call = ("127.0.0.1", "--port", port, "--input", "voice", "--seconds", 0.5)
    with Script("careful", *call, folder=tmp_path) as script:
        script.succeeds()
    assert "50 chunks of 10 ms recorded" in script.output
    assert (tmp_path / "studio.key").stat().st_mode & 0o077 == 0
    for wrong, advice in (("nosuchfile", "look at the sound card"), ("file:", "change an argument")):
        with Script("careful", *call[:-3], wrong, *call[-2:], folder=tmp_path) as script:
            assert script.wait() == 1
            assert script.errors.startswith((advice, "look at the sound card"))


def test_the_lab_compares_and_lets_one_listen(tmp_path: Path) -> None:
    with Script("lab_losses", "--seconds", 2, "--folder", tmp_path, folder=tmp_path) as script:
        script.succeeds()
    assert "tcp-cubic" in script.output
    assert len((tmp_path / "losses.csv").read_text().splitlines()) == 9
    for name in ("plain", "helped"):
        assert len(read_wav(tmp_path / f"{name}.wav")) > 44_100


def test_a_path_behind_a_bad_hop_is_measured(tmp_path: Path) -> None:
    with Script("path", "--bad", "loss=20,delay=10,seed=1", "--seconds", 2, folder=tmp_path) as script:
        script.succeeds()
    lost = int(script.output.split("(")[1].split(" of ")[0])
    assert lost > 10
    # Of the hop's, some were reports.
    assert lost <= int(script.output.split("the hop lost ")[1].split()[0]) <= lost + 10
    trip = float(script.output.split("round trip")[1].split()[0])
    assert trip >= 20

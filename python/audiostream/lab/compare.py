"""The comparison: every way of sending on every network with every packet time, in virtual time."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError
from .experiment import run
from .method import Method
from .network import Network
from .results import Results
from .sound import Sound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .outcome import Outcome

__all__ = ["LOSSES", "METHODS", "compare"]

METHODS = ("udp", "udp+redundancy", "opus+fec", "tcp-reno", "tcp-cubic", "opus over tcp-cubic")
"""What is compared by default."""

LOSSES = (0.0, 1.0, 2.0, 5.0, 10.0)
"""Losses compared by default, percent."""

PATH = Network(delay=40, jitter=5)
"""The path that they are tried on by default: 80 ms there and back, as between two countries."""


def compare(
    methods: Sequence[str | Method] = METHODS,
    losses: Sequence[float] | None = None,
    *,
    networks: Sequence[Network | str] | None = None,
    network: Network | str = PATH,
    ptimes: Sequence[float | None] = (None,),
    sound: Sound | str | os.PathLike[str] | None = None,
    seconds: float | None = None,
    seed: int = 1,
    bitrate: int = 64_000,
    delay: float | None = None,
    judge: bool = True,
    captures: str | os.PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Results:
    """Tries every way of sending on every network with every packet time.

    Args:
        methods: Ways of sending, by name.
        losses: Losses of `network`, percent; by default 0, 1, 2, 5, 10, unless `networks` are given.
        networks: Networks to compare instead, as presets: `['lan', 'wifi', 'cellular']`.
        network: The path that gets the losses.
        ptimes: Packet times, ms; None is 10 for PCM and 20 for Opus.
        sound: A `Sound`, a 16-bit WAV file, or None for the built-in voice.
        seconds: How much of it; None is all of a file, 30 s of the voice.
        seed: What chance is drawn from, for networks that have no seed of their own.
        bitrate: What Opus may spend, bits a second.
        delay: How long playout keeps a packet, ms; None follows the network.
        judge: Let PESQ judge what is heard, where the package `pesq` is installed.
        captures: A folder that gets a capture of each experiment, for Wireshark: `001_udp.pcapng` is the first row's.
            It is made if it is not there. Each takes about as much as the sound that is sent.
        progress: Called with how many experiments are done, and of how many.

    Raises:
        ConfigError: An argument is out of range; the message names it.
        RecordingError: The sound file cannot be read.
        OSError: A capture cannot be written.
    """
    if networks is not None and losses is not None:
        raise ConfigError("losses and networks are two ways to say the same: give one of them")
    parsed = [Method.parse(method) for method in methods]
    base = _network(network)
    if networks is None:
        chosen = [base.changed(loss=_plain(loss)) for loss in (LOSSES if losses is None else losses)]
    else:
        chosen = [_network(each) for each in networks]
    seeded = [each if each.seed is not None else each.changed(seed=seed) for each in chosen]
    if not (parsed and seeded and ptimes):
        raise ConfigError("nothing to compare: give a method, a network and a packet time at least")
    sent = Sound.of(sound, seconds)
    jobs = [(method, each, ptime) for each in seeded for ptime in ptimes for method in parsed]
    done: dict[int, Outcome] = {}
    folder = None if captures is None else Path(captures)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)

    def experiment(number: int) -> tuple[int, Outcome]:
        method, each, ptime = jobs[number]
        pcap = None if folder is None else folder / f"{number + 1:03}_{_stem(method)}.pcapng"
        outcome = run(method, each, sound=sent, ptime=ptime, bitrate=bitrate, delay=delay, pcap=pcap)
        if judge:
            from .judges import judged

            outcome = judged(outcome)
        return number, outcome

    # The engine runs without the GIL: every core of the machine takes part.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(experiment, number) for number in range(len(jobs))]
        try:
            for future in as_completed(futures):
                number, outcome = future.result()
                done[number] = outcome
                if progress is not None:
                    progress(len(done), len(jobs))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return Results([done[number] for number in range(len(jobs))], by="loss" if networks is None else "network")


def _network(network: Network | str) -> Network:
    return Network.parse(network) if isinstance(network, str) else network


def _stem(method: Method) -> str:
    return method.name.replace(" over ", "_over_").replace("+", "_")


def _plain(loss: float) -> float:
    return int(loss) if float(loss).is_integer() else loss

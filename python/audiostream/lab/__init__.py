"""The networking lab: what a bad network does to sound, over UDP and over TCP, in virtual time.

    from audiostream import lab

    outcome = lab.run("udp", network=lab.Network(loss=5, burst=3, delay=40, jitter=15, seed=1))
    print(outcome.packets_lost, outcome.injected_lost, outcome.mouth_to_ear_p95_ms)

    results = lab.compare()          # UDP against TCP, at 0 to 10 % loss
    results.to_csv("results.csv")
    results.to_pandas()              # with pandas
    results.report("lab")            # report.html, plots, sounds; needs pip install 'audiostream[lab]'

    with lab.Hop(5004, "127.0.0.1:12345", network="loss=5,seed=1") as hop:
        ...                          # any two programs, live: one speaks to port 5004, the other listens on 12345
    print(hop.stats.up.packets_lost)

Sender, link, receiver and playout are those of a live session; a live client with the same `network=` loses the same
packets. The same seed gives the same figures on every machine.
"""

from __future__ import annotations

from .acoustic import MouthToEar, mouth_to_ear
from .compare import LOSSES, METHODS, compare
from .experiment import run
from .figures import Figure
from .hop import Hop
from .method import Method
from .network import PRESETS, Network
from .outcome import Outcome
from .path import PathFigures
from .probe import probe
from .results import Results
from .sound import Sound

__all__ = [
    "LOSSES",
    "METHODS",
    "PRESETS",
    "Figure",
    "Hop",
    "Method",
    "MouthToEar",
    "Network",
    "Outcome",
    "PathFigures",
    "Results",
    "Sound",
    "compare",
    "mouth_to_ear",
    "probe",
    "run",
]

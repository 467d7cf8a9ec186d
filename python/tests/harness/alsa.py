"""A machine with ALSA alone: no sound server, no card; its default device plays into a file and records from one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .signals import RATE, Samples

CONFIG = """\
pcm.!default {{
    type asym
    playback.pcm {{
        type plug
        slave {{ pcm {{ type file file "{played}" format raw slave.pcm null }} {form} }}
    }}
    capture.pcm {{
        type plug
        slave {{ pcm {{ type file file "/dev/null" infile "{spoken}" format raw slave.pcm null }} {form} }}
    }}
}}
ctl.!default {{ type hw card 0 }}
"""


class AlsaMachine:
    """Its files, and what a program's environment needs to find them."""

    def __init__(self, folder: Path, spoken: Samples) -> None:
        """What the microphone hears is `spoken`, mono."""
        self.played = folder / "played.raw"
        infile = folder / "spoken.raw"
        infile.write_bytes(spoken.astype("<i2").tobytes())
        form = f"rate {RATE} channels 1 format S16_LE"
        (folder / ".asoundrc").write_text(CONFIG.format(played=self.played, spoken=infile, form=form))
        self.env = {
            "HOME": str(folder),
            "PULSE_SERVER": f"unix:{folder}/nobody",
            "XDG_RUNTIME_DIR": str(folder),
        }

    def heard(self) -> Samples:
        """What the default device has played, mono."""
        pcm = self.played.read_bytes()
        return np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")

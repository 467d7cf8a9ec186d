"""What the scripts add to the classes: signals, log lines or live figures, questions, and errors in one line."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from . import logs, standard
from ._stream import Stream
from .client import AudioClient
from .errors import AudioStreamError, ConfigError, DeviceError
from .server import AdvancedAudioServer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import FrameType, TracebackType

    from rich.console import Console
    from typing_extensions import Self

    from .lab import Hop

    End = AudioClient | AdvancedAudioServer | Hop

_log = logging.getLogger("audiostream")

STEP = 0.05
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

BUILT_IN_ENDS = "--input tone, voice or file:PATH, --output null or file:PATH"

QUESTION = """\
Streaming. Record it?
  1: record for a number of seconds
  2: record until Enter
  Enter: only stream
Your choice: """


class Script:
    """A run of a script: a context manager from the first thing that can fail to the last figures.

    Inside it Ctrl-C, SIGTERM and SIGHUP end the run in order, with status 0, and errors become one line on standard
    error and status 1. It is for a process that ends soon after: signals are ignored then.

    Attributes:
        status: The exit status, once the `with` block has been left.
    """

    def __init__(self, args: argparse.Namespace, *, for_show: bool = False) -> None:
        """Takes the parsed options.

        Args:
            args: What the parsers of `cli` return.
            for_show: Final figures are what the run is for: print them to standard output, terminal or not.
        """
        standard.open_missing()
        self._args = args
        self._prog: str = args.prog
        self._quiet: bool = getattr(args, "quiet", False)
        self._verbose: bool = getattr(args, "verbose", False)
        self._json: str | None = getattr(args, "stats_json", None)
        self._for_show = for_show and not self._quiet
        self._out = sys.stdout if self._for_show and self._json != "-" else sys.stderr
        self._ends: tuple[End, ...] = ()
        self._signals = 0
        self._interruptible = True
        self.status = 0
        self.console: Console | None = None

    def __enter__(self) -> Self:
        try:
            for number in SIGNALS:
                signal.signal(number, self._on_signal)
            self._set_up_output()
        except (AudioStreamError, OSError) as error:
            # Python leaves `with` unentered: tell here.
            self._fail(error)
            raise SystemExit(1) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            if isinstance(error, (AudioStreamError, OSError)) and not isinstance(error, BrokenPipeError):
                self._fail(error)
            elif error is not None and not isinstance(error, (KeyboardInterrupt, BrokenPipeError)):
                return False
            try:
                self._report()
                standard.settle()
            except OSError as failed:
                self._fail(failed)
        finally:
            # A signal that comes while the process ends must not spoil its status; Python leaves ignored ones ignored.
            for number in SIGNALS:
                signal.signal(number, signal.SIG_IGN)
        return True

    def follow(self, *ends: End) -> None:
        """Shows running streams until one of them is over, or a signal comes.

        Raises:
            AudioStreamError: What a stream has died of.
        """
        self._ends = ends
        sdp: str | None = getattr(self._args, "sdp", None)
        if sdp is not None and isinstance(ends[0], AudioClient):
            key: bool = getattr(self._args, "sdp_key", False)
            self._write(sdp, ends[0].sdp(key=key), secret=key)
        over = self._ask(ends[0]) if isinstance(ends[0], AudioClient) and self._may_ask() else lambda: False
        self._interruptible = False
        with self._figures(ends):
            tell = self._comings(ends)
            while not self._signals and not over() and not any(end.wait(STEP / len(ends)) for end in ends):
                tell()

    def say(self, text: str) -> None:
        """Tells the user something, unless asked to be quiet."""
        if not self._quiet:
            print(text, file=self._out, flush=True)

    def _write(self, path: str, text: str, *, secret: bool = False) -> None:
        """Writes a text to a file, its line ends kept, or to standard output (`-`)."""
        if path == "-":
            sys.stdout.write(text.replace("\r\n", "\n"))
            sys.stdout.flush()
        else:
            with open(path, "w", encoding="utf-8", newline="", opener=_for_me_only if secret else None) as file:
                file.write(text)

    def _set_up_output(self) -> None:
        if self._json is not None and self._json != "-":
            # A path that cannot be written is better told now than after an hour.
            Path(self._json).open("a", encoding="utf-8").close()
        if getattr(self._args, "sdp_key", False) and self._args.sdp is None:
            raise ConfigError("--sdp-key is about the description that --sdp FILE writes: give that, too")
        if self._json == "-" and getattr(self._args, "output", None) == "-":
            raise ConfigError("--stats-json - and --output - both want standard output: give one of them a path")
        if self._json == "-" and getattr(self._args, "sdp", None) == "-" and hasattr(self._args, "host"):
            raise ConfigError("--stats-json - and --sdp - both want standard output: give one of them a path")
        if not self._quiet and not self._verbose and sys.stderr.isatty() and hasattr(self._args, "quiet"):
            from rich.console import Console

            console = Console(stderr=True)
            self.console = console if console.is_terminal and not console.is_dumb_terminal else None
        self._set_up_logging()

    def _set_up_logging(self) -> None:
        if self.console is not None:
            from .console import LinesAbove

            shown = logging.StreamHandler(LinesAbove(self.console))
            shown.setLevel(logging.WARNING)
        else:
            shown = logging.StreamHandler(sys.stderr)
            shown.setLevel(logging.ERROR if self._quiet else logging.DEBUG if self._verbose else logging.INFO)
        if not self._verbose:
            shown.addFilter(_not_ours_to_raise)
        handlers: list[logging.Handler] = [shown]
        log_file: str | None = getattr(self._args, "log_file", None)
        unwritable: OSError | None = None
        if log_file:
            try:
                handlers.append(logs.file_handler(log_file))
            except OSError as error:
                if log_file != logs.LOG_FILE:
                    raise
                unwritable = error
        logs.install(handlers, min(handler.level for handler in handlers))
        if unwritable is not None:
            _log.warning(
                "No log file: cannot write %s (%s); the log is on standard error, --log-file PATH puts it elsewhere",
                unwritable.filename or log_file,
                unwritable.strerror,
            )

    def _figures(self, ends: tuple[End, ...]) -> AbstractContextManager[object]:
        watched = ends[0] if getattr(self._args, "watch", False) else None
        if isinstance(watched, Stream) and not isinstance(watched, AudioClient) and not self._quiet:
            from .charts import Charts, Lines

            if self.console is None:
                return Lines(watched, sys.stderr)
            return Charts(watched, console=self.console, duration=self._args.duration)
        if self.console is None:
            return nullcontext()
        from .console import LiveFigures

        return LiveFigures(*ends, console=self.console, duration=self._args.duration)

    def _comings(self, ends: tuple[End, ...]) -> Callable[[], None]:
        """What tells, above live figures, who joins a server and leaves it; without those the log does."""
        console = self.console
        servers = [end for end in ends if isinstance(end, AdvancedAudioServer)]
        if console is None or not servers:
            return lambda: None
        from .roll import Comings

        comings = [Comings(server) for server in servers]

        def tell() -> None:
            for coming in comings:
                for line in coming.lines():
                    console.print(line)

        return tell

    def _may_ask(self) -> bool:
        """The original asks what to record; a script that was told, or that nobody watches, does not."""
        args = self._args
        told = args.duration is not None or getattr(args, "record", True) is not None or args.input == "-"
        return not told and not self._quiet and sys.stdin.isatty() and sys.stderr.isatty()

    def _ask(self, client: AudioClient) -> Callable[[], bool]:
        """Asks the original's two-way question; what tells that the answer has been carried out."""
        try:
            while True:
                match _prompt(QUESTION):
                    case "1":
                        seconds = _prompt("How many seconds? ")
                        try:
                            path = client.start_recording(float(seconds))
                        except ValueError:
                            self.say(f"{seconds!r} is not a number of seconds above 0.")
                            continue
                        self.say(f"Recording {seconds} s to {path}")
                        return lambda: not client.is_recording
                    case "2":
                        self.say(f"Recording to {client.start_recording()}; press Enter to stop")
                        return _enter_pressed
                    case "":
                        break
                    case other:
                        self.say(f"1, 2 or nothing, not {other!r}.")
        except EOFError:
            self.say("")
        return lambda: False

    def _report(self) -> None:
        """The final figures, wherever they are wanted."""
        if not self._ends:
            return
        if self._json is not None:
            import json

            figures = self._ends[0].stats.to_dict()
            if len(self._ends) > 1:
                figures = {_role(end): end.stats.to_dict() for end in self._ends}
            text = json.dumps(figures, indent=2) + "\n"
            self._write(self._json, text)
        if self.console is not None or self._for_show:
            from .console import report

            report(*self._ends, file=self._out)
        for end in self._ends:
            if isinstance(end, Stream) and end.last_recording is not None:
                self.say(f"Recording of the {_role(end)}: {end.last_recording}")

    def _fail(self, error: Exception) -> None:
        self.status = 1
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if isinstance(error, OSError) and error.filename is not None and str(error.filename) not in text:
            text = f"{error.filename}: {text}"
        if isinstance(error, DeviceError):
            ends = "" if "file:PATH" in text else f"; without a device: {BUILT_IN_ENDS}"
            text = f"{text} (see --list-devices{ends})"
        with suppress(BrokenPipeError):
            print(f"{self._prog}: {' '.join(text.split())}", file=sys.stderr)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # While streaming a flag is enough, and cuts nothing in two; who insists gets an exception.
        self._signals += 1
        if self._interruptible or self._signals > 2:
            raise KeyboardInterrupt


def _role(end: End) -> str:
    if isinstance(end, AudioClient):
        return "client"
    return "server" if isinstance(end, Stream) else "hop"


def _for_me_only(path: str, flags: int) -> int:
    made = os.open(path, flags, 0o600)
    # It may have been there before, open to others.
    os.fchmod(made, 0o600)
    return made


def _prompt(text: str) -> str:
    print(text, end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.strip()


def _enter_pressed() -> bool:
    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(ready)


def _not_ours_to_raise(record: logging.LogRecord) -> bool:
    """Whether a record is no traceback of an error that the script tells in one line anyway."""
    return not (record.exc_info and isinstance(record.exc_info[1], AudioStreamError))

"""Importing the package: quick, quiet, and clear about what is missing."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

from harness.scripts import run_python

# Makes the dynamic linker deny that libasound exists (ld.so's own audit interface, man rtld-audit).
NO_LIBASOUND = """
#include <stdint.h>
#include <string.h>
unsigned int la_version(unsigned int version) { return version; }
char *la_objsearch(const char *name, uintptr_t *cookie, unsigned int flag) {
    (void)cookie; (void)flag;
    return strstr(name, "libasound") ? 0 : (char *)name;
}
"""


def test_importing_prints_nothing_and_brings_nothing_heavy() -> None:
    done = run_python(
        """
import sys
import audiostream
heavy = {"numpy", "asyncio", "rich", "pandas", "matplotlib", "IPython"} & set(sys.modules)
assert not heavy, heavy
assert audiostream.__version__
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_leaves_the_root_logger_and_signals_alone() -> None:
    done = run_python(
        """
import logging, signal
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), logging.getLogger().level
import audiostream
assert logging.getLogger().handlers == []
assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), logging.getLogger().level) == before
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_takes_less_than_a_tenth_of_a_second() -> None:
    def best(code: str) -> float:
        return min(processor_time(code) for _ in range(7))

    assert best("import audiostream") - best("pass") < 0.1


def processor_time(code: str) -> float:
    """Seconds that Python computes for `code`: all that an import takes, and no other program's share."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run_python(code).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_without_a_sound_system_nothing_chatters(no_sound_server: None) -> None:
    done = run_python(
        """
import audiostream
audiostream.list_devices()
try:
    audiostream.AudioClient()
except audiostream.DeviceError:
    pass
try:
    audiostream.AdvancedAudioServer(port=0)
except audiostream.DeviceError:
    pass
"""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_libasound_the_import_error_names_the_package(tmp_path: Path) -> None:
    source, audit = tmp_path / "audit.c", tmp_path / "audit.so"
    source.write_text(NO_LIBASOUND)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", audit, source], check=True, timeout=60)
    done = run_python("import audiostream", env={"LD_AUDIT": str(audit)})
    assert done.returncode == 1
    last = done.stderr[done.stderr.rindex("ImportError") :]
    assert "libasound2" in last
    assert "apt" in last

"""Importing is light, silent, and complete."""

import ast
import statistics
import sys
import time

import audiostream
from conftest import run_python


def test_importing_prints_nothing_and_brings_nothing_heavy():
    script = "import audiostream, sys; print(sorted({'numpy', 'asyncio', 'rich', 'IPython'} & set(sys.modules)))"
    result = run_python("-c", script)
    assert result.stdout == "[]\n"
    assert result.stderr == ""


def test_importing_takes_under_a_tenth_of_a_second_more_than_bare_python():
    def seconds(script):
        start = time.perf_counter()
        assert run_python("-c", script).returncode == 0
        return time.perf_counter() - start

    seconds("import audiostream")  # warms the caches
    pairs = [(seconds("pass"), seconds("import audiostream")) for _ in range(5)]
    assert min(loaded for _, loaded in pairs) - min(bare for bare, _ in pairs) < 0.1, statistics.mean(
        b for _, b in pairs
    )


def test_every_public_name_is_there():
    assert sys.modules["audiostream"].__doc__
    for name in audiostream.__all__:
        assert getattr(audiostream, name) is not None


def test_every_public_method_is_documented():
    for kind in (audiostream.AudioClient, audiostream.AdvancedAudioServer, audiostream.Recording):
        for name in dir(kind):
            if not name.startswith("_"):
                attribute = getattr(kind, name)
                assert isinstance(attribute, (str, int, type(None))) or attribute.__doc__, f"{kind.__name__}.{name}"


def test_the_examples_in_the_docs_are_python():
    ast.parse("\n".join(line[4:] for line in audiostream.__doc__.splitlines() if line.startswith("    ")))

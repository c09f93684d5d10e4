"""Every reader, on hostile files: a usable value or one sentence, within 1 GB and 5 s. All 3,000 of them:

python -m tests.datasets.test_hostile
"""

from __future__ import annotations

import gc
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

from clcrkit import ConfigError, DataError
from tests import children
from tests.datasets import hostile
from tests.datasets.hostile_sets import SETS

MAKERS = {**hostile.MAKERS, **SETS}
FILES = 3_000  # of all kinds together
SECONDS, MEMORY, LONGEST = 5, 2**30, 500
QUICK = 12  # of each kind, in the ordinary tests


def read(kind: str, seed: int) -> tuple[str, float]:
    """Make and read one file: what was wrong with the answer ("" for nothing), and the seconds it took."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = MAKERS[kind](random.Random(f"{kind} {seed}"), Path(folder))
        began, wrong = time.perf_counter(), ""
        try:
            reader()
        except (DataError, ConfigError) as error:
            text = str(error)
            if not text.isprintable() or len(text) > LONGEST:
                wrong = f"message {text!r}"
        except BaseException as error:
            wrong = f"{type(error).__name__}: {str(error)[:200]!r}"
        seconds = time.perf_counter() - began
    return wrong if seconds < SECONDS or wrong else f"{seconds:.1f} s", seconds


@pytest.mark.parametrize("kind", MAKERS)
def test_hostile_files_are_refused_in_one_sentence_or_harmless(kind: str) -> None:
    assert [(seed, wrong) for seed in range(QUICK) if (wrong := read(kind, seed)[0])] == []


def measure(kind: str, seeds: range, path: str) -> None:
    """Read all of a kind in a process of its own, under a limit; what is seen goes to a file, line by line."""
    gc.collect()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + 6 * MEMORY, held + 6 * MEMORY))  # mapped files count as well
    before = peak()
    with open(path, "a") as log:
        for seed in seeds:
            signal.alarm(60)
            wrong, seconds = read(kind, seed)
            grown = peak() - before
            wrong = wrong or (f"{grown / 2**20:.0f} MB" if grown > MEMORY else "")
            print(seed, f"{seconds:.4f}", grown, wrong, sep="\t", file=log, flush=True)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(kinds: Any = MAKERS) -> int:
    """Print a table of all kinds, and return 1 where a file is answered in another way."""
    print(f"{'kind':12} {'files':>6} {'slowest':>9} {'memory':>9} {'wrong':>6}")
    bad: list[Any] = []
    for kind in kinds:
        with tempfile.NamedTemporaryFile("r") as log:
            seeds = range(FILES // len(MAKERS))
            code = children.exit_code(children.start(measure, kind, seeds, log.name))
            rows = [line.rstrip("\n").split("\t") for line in log]
        wrong = [(kind, row[0], row[3]) for row in rows if row[3]]
        if code or len(rows) < len(seeds):
            wrong.append((kind, str(len(rows)), f"ended the process: {code}"))
        slowest, memory = max(float(row[1]) for row in rows), max(int(row[2]) for row in rows) / 2**20
        print(f"{kind:12} {len(rows):6} {slowest:7.2f} s {memory:6.0f} MB {len(wrong):6}", flush=True)
        bad += wrong
    for each in bad:
        print(*each)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or MAKERS))

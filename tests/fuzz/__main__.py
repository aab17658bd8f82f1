"""`python -m fuzz`: a number of inputs for every parser. An input that breaks one is written to the corpus.

The seed of a run is printed: with it a run can be repeated. Exit codes: 0 the invariant held, 1 it did not.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from fuzz.mutation import mutate, split
from fuzz.targets import TARGETS, Target
from otlp_tracing.errors import WireError

CORPUS = Path(__file__).parent / "corpus"
_MAX_GROWTH_KIB = 192 << 10  # the largest message allowed is 16 MiB; a leak shows in gigabytes
_SLOWEST_SECONDS = 2.0  # of CPU time, for a single input; a machine that stalls is no fault of the parser's


def main() -> int:
    """Fuzz, and report the results."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each parser (default %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}: {options.inputs} inputs for each of {', '.join(TARGETS)}")
    with ProcessPoolExecutor() as pool:
        runs = {name: pool.submit(fuzz, name, options.inputs, options.seed) for name in TARGETS}
        reports = [f"{name}: {run.result()}" for name, run in runs.items()]
    print(*reports, sep="\n")
    return any("BROKEN" in report for report in reports)


def fuzz(name: str, inputs: int, seed: int) -> str:
    """Fuzz one parser. Return a line with the result."""
    target, source = TARGETS[name], random.Random(f"{name} {seed}")
    seeds = target.seeds()
    refused, began, at_start = 0, time.monotonic(), _peak_kib()
    for number in range(inputs):
        data = mutate(source, seeds)
        broken, was_refused = _try(target, split(source, data))
        refused += was_refused
        if broken:
            return f"BROKEN by {_keep(name, data)} (input {number}): {broken}"
    grown = _peak_kib() - at_start
    if grown > _MAX_GROWTH_KIB:
        return f"BROKEN: memory grew by {grown} KiB"
    return f"{inputs} inputs in {time.monotonic() - began:.0f} s, {refused} refused, {grown} KiB at the most"


def _try(target: Target, pieces: Sequence[bytes]) -> tuple[str, bool]:
    began = time.process_time()
    try:
        target.read(pieces)
    except WireError:
        return "", True
    except BaseException as error:
        return repr(error), False
    slow = time.process_time() - began
    return (f"it took {slow:.1f} s", False) if slow > _SLOWEST_SECONDS else ("", False)


def _keep(name: str, data: bytes) -> Path:
    path = CORPUS / f"{name}-{hashlib.blake2b(data, digest_size=6).hexdigest()}"
    path.write_bytes(data)
    return path


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())

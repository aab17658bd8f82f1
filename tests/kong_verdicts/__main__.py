"""`python -m kong_verdicts KONG…`: ask real Kongs about every case, and store the verdicts.

They have to agree: otherwise the cases are printed, and nothing is stored. Exit codes: 0 stored, 1 not.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from kong_verdicts.asking import ask
from kong_verdicts.cases import cases, store


def main() -> int:
    """Ask and store."""
    every = cases()
    answers = [ask(Path(kong), every) for kong in sys.argv[1:]]
    differing = [one.name for one in every if len({answer[one.name][0] for answer in answers}) != 1]
    if differing or not answers:
        print("the Kongs differ, or none is named:", *differing, sep="\n")
        return 1
    store(replace(one, accepted=answers[0][one.name][0], message=answers[0][one.name][1]) for one in every)
    accepted = sum(is_accepted for is_accepted, _ in answers[0].values())
    print(f"{len(every)} files: {accepted} accepted, {len(every) - accepted} refused")
    return 0


if __name__ == "__main__":
    sys.exit(main())

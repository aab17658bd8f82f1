"""Samples by detect-secrets' own detectors: random strings of their patterns that the detector then finds.

Run by __main__.py in an environment that has detect-secrets and rstr; prints JSON.
"""

from __future__ import annotations

import json
import random
import sys

import rstr
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector

SAMPLES = 6


def main() -> None:
    """Print secrets and near misses. A near miss is a secret without its end, if the detector finds nothing in it."""
    random.seed(1)
    generator = rstr.Rstr(random)
    kinds = {}
    for name, detector_class in sorted(get_mapping_from_secret_type_to_class().items()):
        if not issubclass(detector_class, RegexBasedDetector):
            continue
        detector = detector_class()
        secrets: list[str] = []
        named: list[str] = []
        negatives: list[str] = []
        for pattern in detector.denylist:
            for _ in range(SAMPLES):
                secret = next(iter(detector.analyze_string(generator.xeger(pattern))), "")
                if not isinstance(secret, str) or len(secret) < 8 or not (secret.isascii() and secret.isprintable()):
                    continue
                (secrets if list(detector.analyze_string(secret)) else named).append(secret)
                if not list(detector.analyze_string(secret[: len(secret) // 2])):
                    negatives.append(secret[: len(secret) // 2])
        kinds[name] = {"secrets": secrets, "named": named, "negatives": negatives[:SAMPLES]}
    json.dump(kinds, sys.stdout)


if __name__ == "__main__":
    main()

"""Samples of people's data by Faker: addresses, numbers of cards by scheme and of accounts by country.

Run by __main__.py in an environment that has Faker; prints JSON.
"""

from __future__ import annotations

import json
import sys

from faker import Faker

SAMPLES = 40
LOCALES = ["en_US", "en_GB", "de_DE", "fr_FR", "it_IT", "es_ES", "nl_NL", "pl_PL", "fi_FI", "no_NO"]


def main() -> None:
    """Print them; a negative is the same with one digit changed, which the checksum must notice."""
    Faker.seed(1)
    fake = Faker(LOCALES)
    cards = [fake["en_US"].credit_card_number() for _ in range(SAMPLES * 2)]
    ibans = [fake[locale].iban() for locale in LOCALES for _ in range(4)]
    emails = [fake.email() for _ in range(SAMPLES)]
    json.dump(
        {
            "email": {"secrets": emails, "negatives": [one.replace("@", " at ") for one in emails]},
            "credit_card": {"secrets": cards, "negatives": list(map(_changed, cards))},
            "iban": {"secrets": ibans, "negatives": list(map(_changed, ibans))},
        },
        sys.stdout,
    )


def _changed(number: str) -> str:
    return number[:-1] + str((int(number[-1]) + 1) % 10) if number[-1].isdigit() else number[:-2] + "00"


if __name__ == "__main__":
    main()

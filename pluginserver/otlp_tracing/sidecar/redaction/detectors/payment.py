"""Numbers of payment cards and bank accounts, distinguished from other numbers by their checksums.

Source: ISO/IEC 7812 (Luhn), the card schemes' published ranges; ISO 13616 and SWIFT's IBAN registry
(country lengths, mod 97).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from otlp_tracing.sidecar.redaction.cost import CANDIDATE, CostBudget
from otlp_tracing.sidecar.redaction.scan.finding import Finding, compiled, searched

# First digits, as a range of equally long numbers, and the lengths of the scheme's numbers.
_SCHEMES = (
    ("1800", "1800", (15,)),  # JCB, its older numbers
    ("2131", "2131", (15,)),
    ("2200", "2204", range(16, 20)),  # Mir
    ("2221", "2720", (16,)),  # Mastercard
    ("300", "305", range(14, 20)),  # Diners Club
    ("3088", "3094", (16,)),  # JCB, its older ranges
    ("3096", "3102", (16,)),
    ("3112", "3120", (16,)),
    ("3158", "3159", (16,)),
    ("3337", "3349", (16,)),
    ("34", "34", (15,)),  # American Express
    ("35", "35", range(16, 20)),  # JCB
    ("36", "36", range(14, 20)),  # Diners Club
    ("37", "37", (15,)),  # American Express
    ("38", "39", range(14, 20)),  # Diners Club
    ("4", "4", (13, 16, 19)),  # Visa
    ("5018", "5018", range(12, 20)),  # Maestro
    ("5020", "5020", range(12, 20)),
    ("5038", "5038", range(12, 20)),
    ("51", "55", (16,)),  # Mastercard
    ("56", "58", range(12, 20)),  # Maestro
    ("6011", "6011", range(16, 20)),  # Discover
    ("62", "62", range(16, 20)),  # UnionPay
    ("6304", "6304", range(12, 20)),  # Maestro
    ("644", "649", range(16, 20)),  # Discover
    ("65", "65", range(16, 20)),
    ("6759", "6763", range(12, 20)),  # Maestro
)
_GROUPS = re.compile(r"\d+|\d{4}([ +-])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ +-])\d{6}\2\d{4,5}")

# Length of the IBAN by country.
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip


# The check of _is_separate on the characters before, as far as an automaton can do it. Without it, one UUID in twenty
# has a group that looks like the beginning of an IBAN, and Kong identifies every route and service by a UUID.
_SEPARATE = r"(?:^[.\-]?|[^0-9A-Za-z_.\-]|[^0-9A-Za-z][.\-])"


class CreditCard:
    """Finds 12 to 19 digits, plain or grouped as on a card, by the schemes' prefixes and lengths and by Luhn."""

    rule = "credit_card"
    trigger = _SEPARATE + r"(?:[2-6][0-9]{3}|1800)(?:[ +\-]?[0-9]){8}"
    _digits = compiled(r"\b(?:[2-6][0-9]{3}|1800)(?:[ +\-]?[0-9]){8,15}\b")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find card numbers."""
        for start, end in searched(self._digits, text, budget):
            budget.spend(CANDIDATE)
            written = text[start:end]
            number = re.sub(r"\D", "", written)
            if not _is_separate(text, start, end) or not _GROUPS.fullmatch(written):
                continue
            if _has_scheme(number) and _passes_luhn(number):
                yield Finding(start, end, self.rule, number)


class Iban:
    """Finds a country code and as many characters as its IBANs have, plain or in groups, by mod 97."""

    rule = "iban"
    # A hyphen only right after the check digits: no UUID has one there.
    trigger = (
        rf"(?i){_SEPARATE}(?:{'|'.join(_IBAN_LENGTHS)})[0-9]{{2}}"
        r"(?:(?:[ +]?[0-9A-Z]){11}|[ +\-](?:[ +\-]?[0-9A-Z]){11})"
    )
    _number = compiled(rf"(?i)\b(?:{'|'.join(_IBAN_LENGTHS)})[0-9]{{2}}(?:[ +\-]?[0-9A-Z]){{11,30}}")

    def find(self, text: str, budget: CostBudget) -> Iterator[Finding]:
        """Find IBANs."""
        for start, end in searched(self._number, text, budget):
            budget.spend(CANDIDATE)
            length = _IBAN_LENGTHS[text[start : start + 2].upper()]
            # The words after it can look like its last groups; the country tells its length.
            offsets = [at for at in range(start, end) if text[at].isalnum()][:length]
            number = "".join(text[at] for at in offsets).upper()
            if len(number) == length and _is_separate(text, start, offsets[-1] + 1) and _is_iban(number):
                yield Finding(start, offsets[-1] + 1, self.rule, number)


def _is_separate(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if before[-1:].isalnum() or after[:1].isalnum() or before[-1:] == "_" or after[:1] == "_":
        return False
    # A decimal fraction, or a part of a longer identifier with hyphens.
    return not (before[-1:] in {".", "-"} and before[:1].isalnum()) and not (
        after[:1] in {".", "-"} and after[1:].isalnum()
    )


def _has_scheme(number: str) -> bool:
    return any(low <= number[: len(low)] <= high and len(number) in lengths for low, high, lengths in _SCHEMES)


def _passes_luhn(number: str) -> bool:
    doubled = sum((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[int(digit)] for digit in number[-2::-2])
    return (doubled + sum(map(int, number[-1::-2]))) % 10 == 0


def _is_iban(number: str) -> bool:
    return number.isascii() and int("".join(str(int(one, 36)) for one in number[4:] + number[:4])) % 97 == 1

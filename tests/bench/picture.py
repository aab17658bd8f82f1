"""Draws the cost of a request at each sampling rate as an SVG picture, dark or light."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from bench.measurement import Loads

_WIDTH, _LEFT, _TOP = 960, 236, 116
_ROW, _BAR, _GAP = 22, 14, 72  # from row to row, height of a bar, between the two charts
_CHARTS_GAP = 14  # between two rates
_NUMBER = 40  # room for the number behind the longest bar


@dataclass(frozen=True)
class Palette:
    """Colours that keep their contrast on their background, and differ for the colour-blind."""

    background: str
    text: str
    faint: str
    line: str
    parts: tuple[str, str, str]
    latency: str


LIGHT = Palette("#ffffff", "#1f2328", "#57606a", "#d0d7de", ("#0969da", "#d4820a", "#8c959f"), "#1a7f6b")
DARK = Palette("#0d1117", "#e6edf3", "#9da7b3", "#30363d", ("#58a6ff", "#f0a030", "#6e7681"), "#3fb8a0")

_PARTS = ("nginx", "plugin server", "sidecar")
Rates = Mapping[str, Mapping[str, Loads]]


@dataclass(frozen=True)
class _Chart:
    """Bars of each subject at each rate: their lengths, piled up from left to right, and the number behind them."""

    title: str
    bars: Callable[[Loads], Sequence[float]]
    form: str
    colours: Sequence[str]


def draw(rates: Rates, palette: Palette, note: str) -> str:
    """Draw two charts: CPU time at full load, and latency of one connection.

    Args:
        rates: sampling rate to subject to its medians. A subject that is missing at a rate has an empty row there.
        palette: of the theme.
        note: when and on which machine.
    """
    subjects = list(next(iter(rates.values())))
    charts = (
        _Chart("CPU time of a request at full load, µs", _cpu, "{:,.0f}", palette.parts),
        _Chart("Latency of a request alone, median, ms", _latency, "{:.2f}", [palette.latency]),
    )
    height = _TOP + 2 * len(subjects) * _ROW + _GAP + 44
    lines = [*_head(palette, height, rates)]
    for number, chart in enumerate(charts):
        lines += _chart(chart, rates, subjects, _TOP + number * (len(subjects) * _ROW + _GAP))
    lines.append(_text(16, height - 14, note, "faint"))
    return "\n".join([*lines, "</svg>", ""])


def _cpu(one: Loads) -> Sequence[float]:
    return [part or 0.0 for part in (one.full.nginx_us, one.full.server_us, one.full.sidecar_us)]


def _latency(one: Loads) -> Sequence[float]:
    return [one.alone.p50_ms]


def _head(palette: Palette, height: int, rates: Rates) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-labelledby="title desc" font-size="12.5" '
        "font-family=\"system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif\">"
    )
    yield '  <title id="title">Cost of a request by tracing plugin and sampling rate</title>'
    yield f'  <desc id="desc">{escape(" ".join(_sentences(rates)))}</desc>'
    yield (
        f"  <style>text {{ fill: {palette.text} }} .faint {{ fill: {palette.faint} }} .head {{ font-weight: 600 }}"
        f" .line {{ stroke: {palette.line} }}</style>"
    )
    yield f'  <rect width="{_WIDTH}" height="{height}" rx="8" fill="{palette.background}"/>'
    yield _text(16, 28, "Cost of a request by tracing plugin and sampling rate", "head", size=16)
    x = _LEFT
    for part, colour in zip(_PARTS, palette.parts, strict=True):
        yield f'  <rect x="{x}" y="42" width="12" height="12" rx="2" fill="{colour}"/>'
        yield _text(x + 18, 52, part)
        x += 36 + 7 * len(part)


def _sentences(rates: Rates) -> Iterator[str]:
    """Say the figures, for readers who do not see the picture."""
    for rate, figures in rates.items():
        found = (f"{name} {one.full.cpu_us:.0f} µs and {one.alone.p50_ms:.2f} ms" for name, one in figures.items())
        yield f"At {rate}: {', '.join(found)}."


def _chart(chart: _Chart, rates: Rates, subjects: Sequence[str], top: int) -> Iterator[str]:
    width = (_WIDTH - _LEFT - 16 - _CHARTS_GAP * (len(rates) - 1)) / len(rates)
    longest = max(sum(chart.bars(one)) for figures in rates.values() for one in figures.values())
    scale = (width - _NUMBER) / max(longest, 1e-9)
    yield _text(16, top - 30, chart.title, "head")
    for number, name in enumerate(subjects):
        yield _text(_LEFT - 10, top + number * _ROW + 16, name, anchor="end")
    for column, (rate, figures) in enumerate(rates.items()):
        left = _LEFT + column * (width + _CHARTS_GAP)
        bottom = top + len(subjects) * _ROW
        yield _text(left, top - 8, f"{rate} sampled", "faint")
        yield f'  <path class="line" d="M{left:.1f} {top}V{bottom}"/>'
        for number, name in enumerate(subjects):
            if name in figures:
                yield from _bar(chart, figures[name], left, top + number * _ROW + 4, scale)


def _bar(chart: _Chart, one: Loads, left: float, top: int, scale: float) -> Iterator[str]:
    x = left
    for length, colour in zip(chart.bars(one), chart.colours, strict=True):
        if length:
            yield f'  <rect x="{x:.1f}" y="{top}" width="{length * scale:.1f}" height="{_BAR}" fill="{colour}"/>'
        x += length * scale
    yield _text(x + 5, top + 12, chart.form.format(sum(chart.bars(one))))


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start", size: float = 0.0) -> str:
    attributes = [f'x="{x:.1f}" y="{y:.1f}"']
    attributes += [f"class={quoteattr(kind)}"] if kind else []
    attributes += [f'text-anchor="{anchor}"'] if anchor != "start" else []
    attributes += [f'font-size="{size:g}"'] if size else []
    return f"  <text {' '.join(attributes)}>{escape(text)}</text>"

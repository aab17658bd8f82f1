"""The picture of the benchmarks."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bench.measurement import Loads, Measurement
from bench.picture import DARK, LIGHT, Palette, draw

SVG = "{http://www.w3.org/2000/svg}"
PLAIN = Measurement(9_000, 3.0, 9.0, nginx_us=100)
TRACED = Measurement(2_000, 9.0, 30.0, nginx_us=300, server_us=200, sidecar_us=100)
ALONE = Measurement(900, 1.25, 4.0)
RATES = {
    "100 %": {"no plugin": Loads(PLAIN, PLAIN, ALONE), "ours & <others>": Loads(TRACED, TRACED, ALONE)},
    "0 %": {"no plugin": Loads(PLAIN, PLAIN, ALONE)},
}


def drawn(palette: Palette = LIGHT, note: str = "2026-11-28, 2 cores") -> ET.Element:
    return ET.fromstring(draw(RATES, palette, note))  # noqa: S314 - our own


def bars(picture: ET.Element, colour: str) -> list[float]:
    return [float(rect.get("width", "")) for rect in picture.iter(f"{SVG}rect") if rect.get("fill") == colour]


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_a_reader_who_does_not_see_it_is_told_the_figures(palette: Palette) -> None:
    """The picture is valid XML with a title and a description that has every figure, whatever the names hold."""
    picture = drawn(palette)

    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby") == "title desc"
    assert [child.get("id") for child in picture][:2] == ["title", "desc"]
    assert picture.findtext(f"{SVG}title")
    plain = "no plugin 100 µs and 1.25 ms"
    assert picture.findtext(f"{SVG}desc") == f"At 100 %: {plain}, ours & <others> 600 µs and 1.25 ms. At 0 %: {plain}."


def test_the_parts_of_a_bar_are_as_long_as_their_time() -> None:
    """Bars of nginx, plugin server and sidecar have one scale at all rates, and no bar leaves the picture."""
    picture = drawn()
    legend = 12.0
    nginx, server, sidecar = (bars(picture, colour) for colour in LIGHT.parts)

    assert nginx == [legend, nginx[1], pytest.approx(3 * nginx[1], abs=0.2), nginx[1]]
    assert server == [legend, pytest.approx(2 * nginx[1], abs=0.2)]
    assert sidecar == [legend, pytest.approx(nginx[1], abs=0.2)]
    width, height = map(float, picture.get("viewBox", "").split()[2:])
    for rect in picture.iter(f"{SVG}rect"):
        assert float(rect.get("x", "0")) + float(rect.get("width", "")) <= width
        assert float(rect.get("y", "0")) + float(rect.get("height", "")) <= height


def test_the_picture_says_when_and_where_it_was_measured() -> None:
    """The machine and the date are in the picture, since it is seen without the page too."""
    assert "2026-11-28, 2 cores <x>" in [text.text for text in drawn(note="2026-11-28, 2 cores <x>").iter(f"{SVG}text")]

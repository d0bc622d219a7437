"""The report's colours: what is to be read or told apart can be, by day, by night, by every eye."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

CSS = (ROOT / "pipelines/report/style.css").read_text()


def schemes() -> dict[str, dict[str, str]]:
    light, dark = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    )
    return {"light": light, "dark": light | dark}


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_and_marks_stand_out(name: str) -> None:
    colours = schemes()[name]
    texts = [(c, g) for c in ("ink", "soft", "s0") for g in ("bg", "card")]
    texts += [(c, "card") for c in ("s1", "s2", "good", "bad")] + [("ink", "h0")]
    texts += [(f"on{shade // 4}", f"h{shade}") for shade in range(1, 6)]
    assert {pair: c for pair in texts if (c := contrast(*(colours[p] for p in pair))) < 4.5} == {}
    marks = [(c, "card") for c in ("s3", "mark", "late")] + [("mark", "h0"), ("s0", "before")]
    assert {pair: c for pair in marks if (c := contrast(*(colours[p] for p in pair))) < 3} == {}
    shades = [luminance(colours[f"h{n}"]) for n in range(6)]
    assert shades == sorted(shades, reverse=name == "light")


SEEN_AS = {
    "protanopia": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "deuteranopia": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "tritanopia": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}
"""How colours look without one kind of cone: Machado, Oliveira and Fernandes, 2009."""


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("seen_as", SEEN_AS)
def test_lines_are_told_apart_by_every_eye(seen_as: str, name: str) -> None:
    def seen(colour: str) -> list[float]:
        parts = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
        return [sum(f * p for f, p in zip(row, parts, strict=True)) for row in SEEN_AS[seen_as]]

    colours = [seen(schemes()[name][f"s{n}"]) for n in range(3)]
    for n, one in enumerate(colours):
        for other in colours[n + 1 :]:
            assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 60

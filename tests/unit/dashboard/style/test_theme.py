"""Colours are apart, visible on both backgrounds, and stable."""

from itertools import pairwise

import pytest

from dashboard.style import theme

METHODS = ["bartowski", "unsloth", "main", "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"]


def luminance(color: str) -> float:
    channels = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    brighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_contrast_formula() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(contrast("#777777", "#ffffff"))


@pytest.mark.parametrize("surface", theme.SURFACES.values(), ids=list(theme.SURFACES))
def test_text_is_readable(surface: theme.Surface) -> None:
    assert contrast(surface.text, surface.background) >= 4.5
    assert contrast(surface.muted, surface.background) >= 4.5
    assert contrast(surface.text, surface.hover) >= 4.5


@pytest.mark.parametrize("surface", theme.SURFACES.values(), ids=list(theme.SURFACES))
@pytest.mark.parametrize("method", [*METHODS, "baseline"])
def test_marks_are_visible(surface: theme.Surface, method: str) -> None:
    style = theme.BASELINE if method == "baseline" else theme.method_styles(METHODS)[method]
    assert contrast(style.color, surface.background) >= 3


@pytest.mark.parametrize("surface", theme.SURFACES.values(), ids=list(theme.SURFACES))
def test_text_in_a_method_s_colour_is_readable_and_tells_methods_apart(surface: theme.Surface) -> None:
    texts = [theme.readable(style.color, surface) for style in theme.method_styles(METHODS).values()]
    assert all(contrast(text, surface.background) >= 4.5 for text in texts)
    assert len(set(texts)) == len(METHODS)
    assert theme.readable(surface.text, surface) == surface.text


@pytest.mark.parametrize("surface", theme.SURFACES.values(), ids=list(theme.SURFACES))
def test_every_step_of_the_scale_is_visible_and_further_from_the_background(surface: theme.Surface) -> None:
    steps = [contrast(color, surface.background) for color in surface.scale]
    assert steps[0] >= 3
    assert all(higher > 1.2 * lower for lower, higher in pairwise(steps))


@pytest.mark.parametrize("surface", theme.SURFACES.values(), ids=list(theme.SURFACES))
@pytest.mark.parametrize("color", [theme.MARK, theme.GAP])
def test_outlines_and_hatching_are_visible(surface: theme.Surface, color: str) -> None:
    assert contrast(color, surface.background) >= 3
    assert contrast(theme.MARK, theme.text_on(theme.MARK)) >= 4.5


def test_every_method_has_its_own_colour_and_symbol() -> None:
    styles = theme.method_styles(METHODS).values()
    for attribute in ("color", "symbol", "glyph"):
        assert len({getattr(style, attribute) for style in styles}) == len(METHODS)


def test_known_methods_keep_their_style_and_others_follow_their_names() -> None:
    styles = theme.method_styles(["zeta", "main", "alpha"])
    assert styles["main"] == theme.method_styles(["main"])["main"]
    assert styles == theme.method_styles(["alpha", "zeta", "main"])
    assert theme.method_styles(["Bartowski"])["Bartowski"] == theme.method_styles(["bartowski"])["bartowski"]


def test_more_methods_than_colours_still_works() -> None:
    assert len(theme.method_styles([f"m{index}" for index in range(40)])) == 40


def test_confidence_steps_differ_and_carry_readable_text() -> None:
    assert len(set(theme.CONFIDENCE)) == 5
    for color in theme.CONFIDENCE:
        assert all(contrast(color, surface.background) >= 3 for surface in theme.SURFACES.values())
        assert contrast(color, theme.text_on(color)) >= 4.5
    assert theme.text_on("#ffff00") != theme.text_on("#0000a0") == "#ffffff"

"""The parts of HTML reports are well-formed, escaped, and drawn at the right places."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from garmentlite.convert.report import html
from garmentlite.convert.report.html import Html, Interval

HOSTILE = '<script>alert("1 & 2")</script>'
VOID = {"meta", "img", "br"}


class _Balance(HTMLParser):
    """Fails where a tag is closed that is not open; `open_tags` must end empty."""

    def __init__(self):
        super().__init__()
        self.open_tags = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag


def assert_balanced(markup: str) -> None:
    parser = _Balance()
    parser.feed(markup)
    parser.close()
    assert not parser.open_tags


@pytest.mark.parametrize(
    "markup",
    [
        pytest.param(html.page(HOSTILE, html.section(HOSTILE, HOSTILE, lead=HOSTILE)), id="page"),
        pytest.param(html.banner(HOSTILE, HOSTILE, tone="bad"), id="banner"),
        pytest.param(html.badge(HOSTILE, "good"), id="badge"),
        pytest.param(html.code(HOSTILE), id="code"),
        pytest.param(html.table([HOSTILE, "b"], [(HOSTILE, HOSTILE)], caption=HOSTILE), id="table"),
        pytest.param(html.heat_map([[1]], [HOSTILE], caption=HOSTILE), id="heat-map"),
        pytest.param(
            html.line_chart({HOSTILE: [1.0, 2.0]}, title=HOSTILE, x_label=HOSTILE, y_label=HOSTILE),
            id="line-chart",
        ),
        pytest.param(
            html.interval_chart(
                [Interval(HOSTILE, 0.1, 0.2)], title=HOSTILE, x_label=HOSTILE, limit=1, limit_label=HOSTILE
            ),
            id="interval-chart",
        ),
        pytest.param(
            html.bar_chart({HOSTILE: [1.0]}, [HOSTILE], title=HOSTILE, x_label=HOSTILE), id="bar-chart"
        ),
        pytest.param(html.picture(np.zeros((2, 2), np.uint8), alt=HOSTILE), id="picture"),
        pytest.param(html.gallery([(Html("<img>"), HOSTILE)]), id="gallery"),
    ],
)  # fmt: skip
def test_building_block_given_hostile_text_escapes_it_and_stays_balanced(markup):
    assert "<script" not in markup
    assert '"1 & 2"' not in markup
    assert "&lt;script&gt;" in markup
    assert_balanced(markup)


def test_escape_of_markup_leaves_it_as_it_is():
    assert html.escape(html.badge("a < b", "good")) == '<span class="badge good">a &lt; b</span>'


def test_page_fetches_nothing_and_runs_nothing():
    page = html.page("Title", html.section("Part", "Text"))
    assert not re.search(r"https?:|<script|<link|@import", page)
    assert page.startswith("<!doctype html>")


def test_table_aligns_the_columns_it_is_told_to():
    markup = html.table(["a", "b"], [("x", 1)], align="lr")
    assert '<th scope="col" class="right">b</th>' in markup
    assert '<td class="right">1</td>' in markup


def test_heat_map_of_differences_shows_signs_and_two_colours():
    markup = html.heat_map(np.array([[-3, 3], [0, 0]]), ["a", "b"], caption="c", diverging=True)
    assert "+3" in markup
    assert "\N{MINUS SIGN}3" in markup
    assert "--more" in markup
    assert "--fewer" in markup
    assert markup.count('class="none"') == 2


def test_heat_map_of_zeros_is_drawn():
    assert_balanced(html.heat_map(np.zeros((2, 2), int), ["a", "b"], caption="c"))


def _points_of(markup: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, pair.split(","))) for pair in line.split()]
        for line in re.findall(r'points="([^"]+)"', markup)
    ]


def test_line_chart_of_rising_values_rises_and_spans_the_width():
    (line,) = _points_of(html.line_chart({"a": [1, 2, 3]}, title="t", x_label="x", y_label="y"))
    xs, ys = zip(*line, strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys, reverse=True)  # SVG counts from the top
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.11)


def test_line_chart_of_a_line_with_nan_leaves_a_gap():
    chart = html.line_chart({"a": [1, 2, float("nan"), 4, 5]}, title="t", x_label="x", y_label="y")
    assert [len(line) for line in _points_of(chart)] == [2, 2]
    assert "nan" not in chart


@pytest.mark.parametrize(
    "values", [[], [3.0], [2.0, 2.0], [float("nan")], [1e-9, 2e-9], [-5e6, 1e7]]
)
def test_line_chart_of_unusual_values_is_drawn(values):
    chart = html.line_chart({"a": values}, title="t", x_label="x", y_label="y")
    assert_balanced(chart)
    assert "nan" not in chart


def test_bar_chart_draws_bars_as_long_as_their_values():
    chart = html.bar_chart({"a": [4, 2], "b": [1, 0]}, ["x", "y"], title="t", x_label="x")
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', chart)][2:]
    np.testing.assert_allclose(np.array(widths) / widths[2], [4, 2, 1, 0], atol=0.01)


def test_bar_chart_of_zeros_is_drawn():
    assert_balanced(html.bar_chart({"a": [0.0]}, ["x"], title="t", x_label="x"))


def test_interval_chart_puts_the_limit_right_of_a_bound_below_it():
    chart = html.interval_chart(
        [Interval("a", -0.2, 0.5, "good")], title="t", x_label="x", limit=2.0, limit_label="margin"
    )
    limit = float(re.search(r'<line x1="([\d.]+)"[^>]*stroke-dasharray', chart).group(1))
    bound = float(re.search(r'<line x1="([\d.]+)"[^>]*stroke-width="2.5"', chart).group(1))
    estimate = float(re.search(r'<circle cx="([\d.]+)"', chart).group(1))
    assert estimate < bound < limit


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_picture_of_an_array_holds_the_same_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    markup = html.picture(pixels, alt="noise", scale=3)
    png = base64.b64decode(re.search(r"base64,([^\"]+)", markup).group(1))
    decoded = np.asarray(Image.open(io.BytesIO(png)))
    np.testing.assert_array_equal(decoded, pixels.squeeze())
    assert 'width="21" height="15"' in markup

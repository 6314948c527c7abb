"""The parts of HTML reports are well-formed, escaped, and drawn at the right places."""

import base64
import io
import re

import numpy as np
import pytest
from markup import HOSTILE, assert_balanced, assert_escaped
from PIL import Image

from garmentlite.convert.report import html
from garmentlite.convert.report.html import Html


@pytest.mark.parametrize(
    "markup",
    [
        pytest.param(html.page(HOSTILE, html.section(HOSTILE, HOSTILE, lead=HOSTILE)), id="page"),
        pytest.param(html.banner(HOSTILE, HOSTILE, tone="bad"), id="banner"),
        pytest.param(html.badge(HOSTILE, "good"), id="badge"),
        pytest.param(html.code(HOSTILE), id="code"),
        pytest.param(html.table([HOSTILE, "b"], [(HOSTILE, HOSTILE)], caption=HOSTILE), id="table"),
        pytest.param(html.heat_map([[1]], [HOSTILE], caption=HOSTILE), id="heat-map"),
        pytest.param(html.picture(np.zeros((2, 2), np.uint8), alt=HOSTILE), id="picture"),
        pytest.param(html.gallery([(Html("<img>"), HOSTILE)]), id="gallery"),
    ],
)  # fmt: skip
def test_building_block_given_hostile_text_escapes_it_and_stays_balanced(markup):
    assert_escaped(markup)
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


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_picture_of_an_array_holds_the_same_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    markup = html.picture(pixels, alt="noise", scale=3)
    png = base64.b64decode(re.search(r"base64,([^\"]+)", markup).group(1))
    decoded = np.asarray(Image.open(io.BytesIO(png)))
    np.testing.assert_array_equal(decoded, pixels.squeeze())
    assert 'width="21" height="15"' in markup

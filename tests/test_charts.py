"""The charts of reports are well-formed and escaped, and their marks are at the right places."""

import re

import numpy as np
import pytest
from markup import HOSTILE, assert_balanced, assert_escaped

from garmentlite.convert.report import charts
from garmentlite.convert.report.charts import Interval


@pytest.mark.parametrize(
    "chart",
    [
        pytest.param(
            charts.line_chart({HOSTILE: [1.0, 2.0]}, title=HOSTILE, x_label=HOSTILE, y_label=HOSTILE),
            id="line-chart",
        ),
        pytest.param(
            charts.interval_chart(
                [Interval(HOSTILE, 0.1, 0.2)], title=HOSTILE, x_label=HOSTILE, limit=1, limit_label=HOSTILE
            ),
            id="interval-chart",
        ),
        pytest.param(
            charts.bar_chart({HOSTILE: [1.0]}, [HOSTILE], title=HOSTILE, x_label=HOSTILE), id="bar-chart"
        ),
    ],
)  # fmt: skip
def test_chart_given_hostile_text_escapes_it_and_stays_balanced(chart):
    assert_escaped(chart)
    assert_balanced(chart)


def _points_of(markup: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, pair.split(","))) for pair in line.split()]
        for line in re.findall(r'points="([^"]+)"', markup)
    ]


def test_line_chart_of_rising_values_rises_and_spans_the_width():
    (line,) = _points_of(charts.line_chart({"a": [1, 2, 3]}, title="t", x_label="x", y_label="y"))
    xs, ys = zip(*line, strict=True)
    assert list(xs) == sorted(xs)
    assert list(ys) == sorted(ys, reverse=True)  # SVG counts from the top
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.11)


def test_line_chart_of_a_line_with_nan_leaves_a_gap():
    chart = charts.line_chart(
        {"a": [1, 2, float("nan"), 4, 5]}, title="t", x_label="x", y_label="y"
    )
    assert [len(line) for line in _points_of(chart)] == [2, 2]
    assert "nan" not in chart


@pytest.mark.parametrize(
    "values", [[], [3.0], [2.0, 2.0], [float("nan")], [1e-9, 2e-9], [-5e6, 1e7]]
)
def test_line_chart_of_unusual_values_is_drawn(values):
    chart = charts.line_chart({"a": values}, title="t", x_label="x", y_label="y")
    assert_balanced(chart)
    assert "nan" not in chart


def test_bar_chart_draws_bars_as_long_as_their_values():
    chart = charts.bar_chart({"a": [4, 2], "b": [1, 0]}, ["x", "y"], title="t", x_label="x")
    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', chart)][2:]
    np.testing.assert_allclose(np.array(widths) / widths[2], [4, 2, 1, 0], atol=0.01)


def test_bar_chart_of_zeros_is_drawn():
    assert_balanced(charts.bar_chart({"a": [0.0]}, ["x"], title="t", x_label="x"))


def test_interval_chart_puts_the_limit_right_of_a_bound_below_it():
    chart = charts.interval_chart(
        [Interval("a", -0.2, 0.5, "good")], title="t", x_label="x", limit=2.0, limit_label="margin"
    )
    limit = float(re.search(r'<line x1="([\d.]+)"[^>]*stroke-dasharray', chart).group(1))
    bound = float(re.search(r'<line x1="([\d.]+)"[^>]*stroke-width="2.5"', chart).group(1))
    estimate = float(re.search(r'<circle cx="([\d.]+)"', chart).group(1))
    assert estimate < bound < limit

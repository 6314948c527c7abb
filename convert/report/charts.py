"""Draws the charts of reports as inline SVG, in the page's light or dark colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from garmentlite.convert.report import html
from garmentlite.convert.report.html import Html, Tone

_SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito, 2008


@dataclass(frozen=True)
class Interval:
    """One row of `interval_chart`, in the unit of its axis.

    Attributes:
        label: Name of the row.
        estimate: What was observed.
        bound: The upper confidence bound.
        tone: Colour of the row.
    """

    label: str
    estimate: float
    bound: float
    tone: Tone = "plain"


def line_chart(
    series: Mapping[str, Sequence[float]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    first_x: int = 1,
    marked_x: int | None = None,
) -> Html:
    """Draws lines over whole numbers, such as learning curves over epochs.

    Args:
        series: Values by name; a NaN leaves a gap. At most six keep their own colour.
        title: Title above the chart, and its text alternative.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis, with its unit.
        first_x: Where the horizontal axis starts.
        marked_x: Place of a dashed vertical line, such as the epoch that was kept; None for no line.

    Returns:
        The chart.
    """
    width, height, left, right, top, bottom = 520, 290, 56, 16, 34, 62
    values = [float(v) for line in series.values() for v in line if math.isfinite(v)] or [0.0]
    y_ticks = _ticks(min(values), max(values))
    last_x = first_x + max(1, max((len(line) for line in series.values()), default=1) - 1)
    x_ticks = [x for x in _ticks(first_x, last_x) if first_x <= x <= last_x and x == round(x)]

    def x_of(x: float) -> float:
        return left + (x - first_x) / (last_x - first_x) * (width - left - right)

    def y_of(y: float) -> float:
        share = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return height - bottom - share * (height - top - bottom)

    marks = [_text(left - 44, 16, title, weight="600")]
    for y in y_ticks:
        marks.append(_line(left, y_of(y), width - right, y_of(y), "grid"))
        marks.append(_text(left - 8, y_of(y) + 4, _tick_text(y, y_ticks), anchor="end", soft=True))
    for x in x_ticks:
        marks.append(_text(x_of(x), height - bottom + 17, f"{x:g}", anchor="middle", soft=True))
    marks.append(
        _text((left + width - right) / 2, height - bottom + 34, x_label, anchor="middle", soft=True)
    )
    marks.append(_text(width - right, 16, y_label, anchor="end", soft=True))
    if marked_x is not None:
        marks.append(
            f'<line class="axis" x1="{x_of(marked_x):.1f}" y1="{top}" x2="{x_of(marked_x):.1f}" '
            f'y2="{height - bottom}" stroke-dasharray="5 4"/>'
        )
    legend_x = float(left)
    for number, (name, line) in enumerate(series.items()):
        colour = _SERIES[number % len(_SERIES)]
        for run in _runs_without_gaps(line):
            if len(run) == 1:
                (i, v) = run[0]
                marks.append(
                    f'<circle cx="{x_of(first_x + i):.1f}" cy="{y_of(v):.1f}" r="4" fill="{colour}"/>'
                )
                continue
            path = " ".join(f"{x_of(first_x + i):.1f},{y_of(v):.1f}" for i, v in run)
            marks.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
                'stroke-linejoin="round" stroke-linecap="round"/>'
            )
        marks.append(
            f'<rect x="{legend_x:.1f}" y="{height - 14}" width="14" height="4" rx="2" fill="{colour}"/>'
        )
        marks.append(_text(legend_x + 19, height - 8, name))
        legend_x += 36 + 6.6 * len(name)
    return _svg(width, height, title, marks)


def interval_chart(
    intervals: Sequence[Interval], *, title: str, x_label: str, limit: float, limit_label: str
) -> Html:
    """Draws a row for each interval, with its value (dot) and upper bound (end of the bar), and a limit.

    Args:
        intervals: Rows from top to bottom.
        title: Text alternative for those who cannot see the chart.
        x_label: Name and unit of the axis.
        limit: Where the limit is drawn.
        limit_label: What is written above it.

    Returns:
        The chart.
    """
    longest = max((len(item.label) for item in intervals), default=0)
    row, left, right, top, bottom = 28, 24 + min(7 * longest, 280), 120, 34, 48
    width, height = 860, top + bottom + row * len(intervals)
    ends = [value for item in intervals for value in (item.estimate, item.bound)]
    ticks = _ticks(min(0.0, limit, *ends), max(0.0, limit, *ends), about=8)

    def x_of(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (width - left - right)

    floor = height - bottom
    marks = []
    for value in ticks:
        kind = "axis" if value == 0 else "grid"
        marks.append(_line(x_of(value), top, x_of(value), floor, kind))
        marks.append(
            _text(x_of(value), floor + 17, _tick_text(value, ticks), anchor="middle", soft=True)
        )
    marks.append(
        f'<line x1="{x_of(limit):.1f}" y1="{top - 6}" x2="{x_of(limit):.1f}" y2="{floor}" '
        'stroke="var(--bad)" stroke-width="2" stroke-dasharray="6 4"/>'
    )
    marks.append(_text(x_of(limit) + 2, top - 13, limit_label, anchor="end", weight="600"))
    marks.append(_text(width - right + 12, top - 13, "observed, at most", soft=True))
    for number, item in enumerate(intervals):
        y = top + row * (number + 0.5)
        start, end = x_of(item.estimate), x_of(item.bound)
        marks += [
            _text(left - 12, y + 4, item.label, anchor="end"),
            f'<g class="{item.tone}" stroke="var(--tone)" fill="var(--tone)">'
            f'<line x1="{start:.1f}" y1="{y}" x2="{end:.1f}" y2="{y}" stroke-width="6" '
            'stroke-opacity=".4"/>'
            f'<line x1="{end:.1f}" y1="{y - 8}" x2="{end:.1f}" y2="{y + 8}" stroke-width="2.5"/>'
            f'<circle cx="{start:.1f}" cy="{y}" r="4.5" stroke="none"/></g>',
            _text(width - right + 12, y + 4, f"{item.estimate:+.2f}, {item.bound:+.2f}", soft=True),
        ]
    marks.append(
        _text((left + width - right) / 2, height - 10, x_label, anchor="middle", soft=True)
    )
    return _svg(width, height, title, marks)


def bar_chart(
    bars: Mapping[str, Sequence[float]], series: Sequence[str], *, title: str, x_label: str
) -> Html:
    """Draws horizontal bars from 0, one for each series in every row.

    Args:
        bars: Values by the name of their row, from top to bottom; finite, 0 or more, one for each series.
        series: Names of the values; at most six.
        title: Text alternative for those who cannot see the chart.
        x_label: Name and unit of the axis.

    Returns:
        The chart, each bar with its value in three digits.
    """
    longest = max((len(label) for label in bars), default=0)
    thickness, left, right, top, bottom = 13, 24 + min(7 * longest, 280), 70, 34, 48
    row = thickness * len(series) + 12
    width, height = 860, top + bottom + row * len(bars)
    ticks = _ticks(0.0, max((value for values in bars.values() for value in values), default=0.0))

    def x_of(value: float) -> float:
        return left + value / ticks[-1] * (width - left - right)

    marks = []
    for value in ticks:
        x, floor = x_of(value), height - bottom
        marks.append(_line(x, top, x, floor, "axis" if value == 0 else "grid"))
        marks.append(_text(x, floor + 17, _tick_text(value, ticks), anchor="middle", soft=True))
    legend_x = float(left)
    for number, name in enumerate(series):
        marks.append(_bar(legend_x, 8, 14, 10, number))
        marks.append(_text(legend_x + 19, 17, name))
        legend_x += 40 + 6.6 * len(name)
    for place, (label, values) in enumerate(bars.items()):
        start = top + row * place + 6
        middle = start + thickness * len(series) / 2
        marks.append(_text(left - 12, middle + 4, label, anchor="end"))
        for number, value in enumerate(values):
            y = start + thickness * number
            marks.append(_bar(left, y, x_of(value) - left, thickness - 2, number))
            marks.append(_text(x_of(value) + 6, y + thickness - 3, f"{value:.3g}", soft=True))
    marks.append(
        _text((left + width - right) / 2, height - 10, x_label, anchor="middle", soft=True)
    )
    return _svg(width, height, title, marks)


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Chooses round numbers from at or below `low` to at or above `high`, at steps of 1, 2 or 5."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / about))
    step = next(size * power for size in (1, 2, 5, 10) if size * power * about >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _tick_text(value: float, ticks: Sequence[float]) -> str:
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    return f"{value:.{decimals}f}"


def _runs_without_gaps(line: Sequence[float]) -> list[list[tuple[int, float]]]:
    """Cuts a line where a value is not finite: lists of (place, value)."""
    runs: list[list[tuple[int, float]]] = [[]]
    for place, value in enumerate(line):
        if math.isfinite(value):
            runs[-1].append((place, float(value)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _svg(width: float, height: float, title: str, marks: Sequence[str]) -> Html:
    return Html(
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(title)}">{"".join(marks)}</svg>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _bar(x: float, y: float, width: float, height: float, number: int) -> str:
    """Makes a filled rectangle in the colour of a series."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="2" '
        f'fill="{_SERIES[number % len(_SERIES)]}"/>'
    )


def _text(
    x: float,
    y: float,
    content: str,
    *,
    anchor: str = "start",
    weight: str = "400",
    soft: bool = False,
) -> str:
    kind = ' class="soft"' if soft else ""
    return (
        f'<text{kind} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{html.escape(content)}</text>"
    )

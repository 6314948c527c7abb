"""Builds self-contained HTML reports: one file without scripts, fonts or links to other files.

Each function returns `Html`, a text that is already markup. Plain strings are escaped and `Html` is not, so
that labels and file names cannot inject markup into a page. Charts are inline SVG in the page's light
or dark colours.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Tone = Literal["good", "bad", "open", "plain"]

_SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito, 2008

_STYLE = """
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #1b2430; --soft: #5b6777; --line: #dfe4ea;
  --good: #11734b; --bad: #b3261e; --open: #8a5a00;
  --good-wash: #e3f4ec; --bad-wash: #fdeae8; --open-wash: #fdf3dc; --plain-wash: #edf0f4;
  --heat: 37 99 176; --more: 196 84 16; --fewer: 37 99 176; }
@media (prefers-color-scheme: dark) { :root {
  --page: #12161c; --card: #1b2129; --ink: #e6eaf0; --soft: #9aa6b5; --line: #323b47;
  --good: #5fd0a0; --bad: #ff8a80; --open: #f0c060;
  --good-wash: #16352a; --bad-wash: #44211f; --open-wash: #3d3116; --plain-wash: #29313c;
  --heat: 62 128 210; --more: 205 105 35; --fewer: 62 128 210; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.2rem; margin: 0 0 4px; }
h3 { font-size: 1rem; margin: 18px 0 6px; }
p { margin: 0 0 10px; max-width: 78ch; }
.lead, figcaption, caption { color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 20px 22px; margin-top: 18px; }
.banner { border-left: 8px solid var(--tone); background: var(--wash); }
.banner h2 { color: var(--tone); font-size: 1.45rem; line-height: 1.3; margin-bottom: 8px; }
.banner p:last-child { margin: 0; }
.good { --tone: var(--good); --wash: var(--good-wash); }
.bad { --tone: var(--bad); --wash: var(--bad-wash); }
.open { --tone: var(--open); --wash: var(--open-wash); }
.plain { --tone: var(--soft); --wash: var(--plain-wash); }
.badge { display: inline-block; padding: 1px 9px; border-radius: 99px; font-size: .85em; font-weight: 600;
  color: var(--tone); background: var(--wash); white-space: nowrap; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-top: 14px; }
a { color: rgb(var(--heat)); }
.scroll { overflow-x: auto; margin: 6px 0 14px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 6px; }
th, td { padding: 5px 14px; text-align: left; vertical-align: top; }
thead th { font-weight: 600; color: var(--soft); border-bottom: 2px solid var(--line);
  vertical-align: bottom; }
.rows tbody tr + tr > * { border-top: 1px solid var(--line); }
.rows tbody th { font-weight: 600; white-space: nowrap; }
.right { text-align: right; }
.heat { font-size: .82rem; }
.heat th { font-weight: 400; border: 0; color: var(--soft); padding: 2px 8px; white-space: nowrap; }
.heat tbody th { text-align: right; vertical-align: middle; }
.heat thead th span { writing-mode: vertical-rl; transform: rotate(180deg); }
.heat td { width: 44px; min-width: 38px; height: 30px; padding: 0 4px; text-align: center;
  vertical-align: middle; border: 2px solid var(--card); border-radius: 6px; }
.heat .strong { color: #fff; font-weight: 600; }
.heat .none { color: var(--soft); opacity: .45; }
.side { display: grid; gap: 8px 28px; margin-bottom: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(470px, 100%), 1fr)); }
.gallery { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(158px, 1fr)); }
figure { margin: 0; }
.gallery.wide { grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); }
.gallery > figure { border: 1px solid var(--line); border-radius: 8px; padding: 10px; }
.strip { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 10px; align-items: start; }
.strip .square { display: grid; place-items: center; aspect-ratio: 1; border-radius: 4px;
  background: var(--plain-wash); color: var(--soft); overflow: hidden; }
.strip img { width: 100%; height: 100%; object-fit: contain; }
figcaption { font-size: .85rem; line-height: 1.4; margin-top: 6px; }
img.pixels { image-rendering: pixelated; display: block; border-radius: 4px; max-width: 100%; height: auto; }
svg { display: block; max-width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .soft { fill: var(--soft); }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.scroll svg { min-width: 640px; }
@media (max-width: 700px) { section { padding: 16px; }
  .facts tr > * { display: block; padding: 3px 0; } .facts tr > td { border: 0 !important; } }
@media print { body { background: none; } section { break-inside: avoid; } }
"""


class Html(str):
    """Text that is markup and must not be escaped again."""

    __slots__ = ()


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


def escape(content: object) -> Html:
    """Makes markup of any text; `Html` is not escaped again."""
    return content if isinstance(content, Html) else Html(html.escape(str(content)))


def join(parts: Iterable[object], between: str = "") -> Html:
    """Joins pieces, each escaped unless it is `Html`."""
    return Html(between.join(escape(part) for part in parts))


def page(title: str, *parts: Html, lead: str | Html = "") -> str:
    """Makes a whole page.

    Args:
        title: Heading of the page and of its tab.
        *parts: Banner and sections, in order.
        lead: A line under the heading.

    Returns:
        The text of the file, to be written as UTF-8.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>\n'
        f"{join(parts, chr(10))}\n</main>\n</body>\n</html>\n"
    )


def section(heading: str, *parts: str | Html, lead: str | Html = "") -> Html:
    """Makes a part of the page with a heading; plain strings among the parts become paragraphs.

    `contents` links to it by its heading.
    """
    body = join(part if isinstance(part, Html) else paragraph(part) for part in parts)
    introduction = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    anchor = escape(_anchor(heading))
    return Html(f'<section id="{anchor}"><h2>{escape(heading)}</h2>{introduction}{body}</section>')


def contents(headings: Iterable[str]) -> Html:
    """Makes a line of links to the sections with these headings."""
    links = join(
        Html(f'<a href="#{escape(_anchor(heading))}">{escape(heading)}</a>') for heading in headings
    )
    return Html(f"<nav>{links}</nav>")


def banner(heading: str, *sentences: str | Html, tone: Tone) -> Html:
    """Makes a coloured box for the one thing a reader must see: a heading and a few sentences."""
    body = join(paragraph(sentence) for sentence in sentences)
    return Html(f'<section class="banner {tone}"><h2>{escape(heading)}</h2>{body}</section>')


def paragraph(content: str | Html) -> Html:
    """Makes a paragraph."""
    return Html(f"<p>{escape(content)}</p>")


def badge(text: str, tone: Tone) -> Html:
    """Makes a short coloured word, such as a verdict; the word carries the meaning without the colour."""
    return Html(f'<span class="badge {tone}">{escape(text)}</span>')


def code(text: str) -> Html:
    """Marks a command, file name or checksum as code."""
    return Html(f"<code>{escape(text)}</code>")


def side_by_side(*parts: Html) -> Html:
    """Puts pieces side by side, or below each other where the page is narrow."""
    cells = join(Html(f"<div>{part}</div>") for part in parts)
    return Html(f'<div class="side">{cells}</div>')


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, align: str = "", caption: str = ""
) -> Html:
    """Makes a table whose first column names its rows.

    Args:
        headers: Names of the columns; none for a list of name and value.
        rows: Cells, text or `Html`.
        align: "l" or "r" for each column, such as "lrr"; columns beyond its end are set to the left.
        caption: A line above it.

    Returns:
        The table, in a box that scrolls where the page is too narrow.
    """
    sides = [' class="right"' if side == "r" else "" for side in align]

    def side_of(column: int) -> str:
        return sides[column] if column < len(sides) else ""

    def line(cells: Sequence[object]) -> str:
        first, *others = cells
        return (
            f'<tr><th scope="row"{side_of(0)}>{escape(first)}</th>'
            + "".join(
                f"<td{side_of(i)}>{escape(cell)}</td>" for i, cell in enumerate(others, start=1)
            )
            + "</tr>"
        )

    head = "".join(
        f'<th scope="col"{side_of(i)}>{escape(name)}</th>' for i, name in enumerate(headers)
    )
    return Html(
        f'<div class="scroll"><table class="rows{"" if headers else " facts"}">'
        + (f"<caption>{escape(caption)}</caption>" if caption else "")
        + (f"<thead><tr>{head}</tr></thead>" if headers else "")
        + f"<tbody>{''.join(map(line, rows))}</tbody></table></div>"
    )


def heat_map(
    matrix: np.ndarray | Sequence[Sequence[int]],
    labels: Sequence[str],
    *,
    caption: str,
    diverging: bool = False,
) -> Html:
    """Draws a square matrix of counts as a coloured table; row = true class, column = answer.

    Args:
        matrix: Integer counts, shape (C, C); with `diverging` differences of counts, signed.
        labels: The C class names.
        caption: A line above it.
        diverging: Whether values above and below 0 have two colours.

    Returns:
        The table. The colour follows the square root of the count, so that rare mistakes stay visible beside
        a full diagonal.
    """
    counts = np.asarray(matrix)
    largest = max(1, int(np.abs(counts).max()))
    head = join(
        Html(f'<th scope="col"><span>{escape(label)}</span></th>') for label in ("", *labels)
    )
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        + "".join(_heat_cell(int(count), largest, diverging) for count in row)
        + "</tr>"
        for label, row in zip(labels, counts, strict=True)
    )
    return Html(
        f'<div class="scroll"><table class="heat"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


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


def picture(image_u8: np.ndarray, *, alt: str, scale: int = 4) -> Html:
    """Makes a small picture inside the page, its pixels kept as squares.

    Args:
        image_u8: uint8, grey of shape (H, W) or (H, W, 1), or RGB of shape (H, W, 3).
        alt: Text alternative.
        scale: Pixels of the page for one of the picture.

    Returns:
        An `img` with the picture as PNG in its address.
    """
    from PIL import Image

    pixels = image_u8[:, :, 0] if image_u8.ndim == 3 and image_u8.shape[2] == 1 else image_u8
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    height, width = pixels.shape[:2]
    return Html(
        f'<img class="pixels" width="{width * scale}" height="{height * scale}" '
        f'alt="{escape(alt)}" src="{_address(buffer.getvalue(), "png")}">'
    )


def photograph(rgb: np.ndarray, *, alt: str, longest: int = 200) -> Html:
    """Makes a photograph inside the page, reduced so that the page stays small.

    Args:
        rgb: uint8, shape (H, W, 3).
        alt: Text alternative.
        longest: Maximum length of the longest side in pixels.

    Returns:
        An `img` with the picture as JPEG in its address.
    """
    from PIL import Image

    image = Image.fromarray(rgb)
    image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=82)
    return Html(
        f'<img width="{image.width}" height="{image.height}" alt="{escape(alt)}" '
        f'src="{_address(buffer.getvalue(), "jpeg")}">'
    )


def gallery(figures: Iterable[tuple[Html, str | Html]], *, wide: bool = False) -> Html:
    """Makes a grid of pictures, each with a caption under it; `wide` is for pictures that are a `strip`."""
    cells = join(_figure(image, caption) for image, caption in figures)
    return Html(f'<div class="gallery{" wide" if wide else ""}">{cells}</div>')


def strip(figures: Iterable[tuple[Html, str | Html]]) -> Html:
    """Makes a line of equal squares with pictures, or words in their place, and a caption under each."""
    cells = join(
        _figure(Html(f'<div class="square">{image}</div>'), caption) for image, caption in figures
    )
    return Html(f'<div class="strip">{cells}</div>')


def _anchor(heading: str) -> str:
    """Turns a heading into the form in which an address can name it."""
    return re.sub(r"\W+", "-", heading.lower()).strip("-")


def _figure(image: Html, caption: str | Html) -> Html:
    return Html(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")


def _address(content: bytes, kind: str) -> str:
    """Makes a data address that holds a picture file."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _heat_cell(count: int, largest: int, diverging: bool) -> str:
    if count == 0:
        return '<td class="none">&middot;</td>'
    strength = math.sqrt(abs(count) / largest)
    colour = "heat" if not diverging else "more" if count > 0 else "fewer"
    strong = ' class="strong"' if strength > 0.6 else ""
    text = f"{count:+d}".replace("-", "\N{MINUS SIGN}") if diverging else str(count)
    opacity = 0.10 + 0.85 * strength
    return f'<td{strong} style="background: rgb(var(--{colour}) / {opacity:.2f})">{text}</td>'


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
        f'aria-label="{escape(title)}">{"".join(marks)}</svg>'
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
        f"{escape(content)}</text>"
    )

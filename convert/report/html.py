"""Builds self-contained HTML reports: one file without scripts, fonts or links to other files.

Each function returns `Html`, a text that is already markup. Plain strings are escaped and `Html` is not, so
that labels and file names cannot inject markup into a page. `charts` draws the charts.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

Tone = Literal["good", "bad", "open", "plain"]

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

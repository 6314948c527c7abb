"""Makes a self-contained HTML page of runs side by side."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np

from garmentlite.convert.report import html
from garmentlite.convert.report.html import Html, Tone
from garmentlite.train.compare import STANDARD_ERRORS, Change, Difference, Measured
from garmentlite.train.compare_networks import Paired


def to_html(
    runs: Sequence[Measured],
    differences: Sequence[Difference],
    paired: Mapping[str, Sequence[Paired]],
    class_id: int,
    trade_off_png: bytes,
) -> str:
    """Makes the page.

    Args:
        runs: The runs; the others are compared with the first.
        differences: The difference of each other run, in their order.
        paired: Counts on validation images by the name of the other run; only for runs whose networks are
            available.
        class_id: The class whose trade-off is drawn.
        trade_off_png: The picture that `plots.trade_off` drew.

    Returns:
        The text of an HTML file.
    """
    label = runs[0].labels[class_id]
    return html.page(
        f"{len(runs)} runs side by side",
        *(_conclusion(difference) for difference in differences),
        _figures_section(runs, differences, class_id),
        *(
            _paired_section(difference, paired[difference.other.name])
            for difference in differences
            if difference.other.name in paired
        ),
        _confusion_section(runs[0], runs[-1]),
        _trade_off_section(label, trade_off_png),
        lead=f"Each compared with {runs[0].name}, the first.",
    )


def _conclusion(difference: Difference) -> Html:
    labels = difference.first.labels
    gains, losses = (
        ", ".join(labels[i] for i in changed) for changed in (difference.gains, difference.losses)
    )
    tone: Tone
    if gains and losses:
        heading, tone = f"{gains} gained, {losses} lost recall", "open"
    elif gains:
        heading, tone = f"{gains} gained, no class lost more than chance explains", "good"
    elif losses:
        heading, tone = f"{losses} lost recall, no class gained", "bad"
    else:
        heading, tone = "No class differs by more than chance", "plain"
    return html.banner(f"{difference.other.name}: {heading}", *difference.sentences(), tone=tone)


def _figures_section(
    runs: Sequence[Measured], differences: Sequence[Difference], class_id: int
) -> Html:
    labels = runs[0].labels
    rows: list[tuple[object, ...]] = [
        ("accuracy", *_cells(runs[0].accuracy, [d.accuracy for d in differences], "{:.2%}")),
        ("macro recall", *_plain_cells([run.macro_recall for run in runs])),
        ("lowest recall", *_lowest_cells(runs)),
    ]
    rows += [
        (f"recall of {name}", *_cells(runs[0].recall[i], [d.recall[i] for d in differences]))
        for i, name in enumerate(labels)
    ]
    rows.append(
        (
            f"precision of {labels[class_id]}",
            *_cells(runs[0].precision[class_id], [d.precision[class_id] for d in differences]),
        )
    )
    headers = ["", runs[0].name]
    for run in runs[1:]:
        headers += [run.name, "points more"]
    images = sorted({f"{run.images:,}" for run in runs})
    return html.section(
        "The figures",
        html.table(headers, rows, align="l" + "r" * (len(headers) - 1)),
        f"Grey differences are within {STANDARD_ERRORS:g} standard errors of two independent samples and "
        "may be chance. This rule is cautious, because the runs were measured on the same images and the "
        "true error is smaller. With ten classes, on the other hand, one difference may pass it by chance.",
        lead=f"Measured on {' and '.join(images)} test images when each run ended.",
    )


def _cells(first: float, changes: Sequence[Change], form: str = "{:.1%}") -> list[object]:
    cells: list[object] = [_share(first, form)]
    for change in changes:
        points = 100 * change.difference
        text = "-" if np.isnan(points) else f"{points:+.1f}"
        tone: Tone = "plain" if change.may_be_chance else "good" if points > 0 else "bad"
        cells += [_share(change.after, form), html.badge(text, tone)]
    return cells


def _plain_cells(shares: Sequence[float]) -> list[object]:
    first, *others = (_share(share, "{:.2%}") for share in shares)
    return [first, *(cell for other in others for cell in (other, ""))]


def _lowest_cells(runs: Sequence[Measured]) -> list[object]:
    first, *others = (f"{run.labels[run.hardest]} {run.recall[run.hardest]:.1%}" for run in runs)
    return [first, *(cell for other in others for cell in (other, ""))]


def _paired_section(difference: Difference, rows: Sequence[Paired]) -> Html:
    first, other = difference.first.name, difference.other.name
    cells = [
        (
            row.label,
            f"{row.images:,}",
            f"{row.lost:,}",
            f"{row.gained:,}",
            _verdict(row),
        )
        for row in rows
    ]
    return html.section(
        f"{other} and {first} image by image",
        html.table(("class", "images", "lost", "gained", ""), cells, align="lrrrl"),
        lead=(
            f"Both networks answered the same validation images. Lost: only {first} is right; gained: only "
            f"{other} is right. A comparison of the same images tells smaller differences from chance "
            "(McNemar's test, two standard errors)."
        ),
    )


def _verdict(row: Paired) -> Html:
    if row.may_be_chance:
        return html.badge("may be chance", "plain")
    return html.badge("better", "good") if row.gained > row.lost else html.badge("worse", "bad")


def _confusion_section(first: Measured, last: Measured) -> Html:
    maps = [
        html.heat_map(run.confusion, run.labels, caption=f"{moment}: {run.name}")
        for moment, run in (("Before", first), ("After", last))
    ]
    if first.images == last.images:
        maps.append(
            html.heat_map(
                last.confusion - first.confusion,
                first.labels,
                caption="Difference: orange cells are more frequent than before, blue cells rarer",
                diverging=True,
            )
        )
    return html.section(
        "Which class is taken for which",
        html.side_by_side(*maps),
        lead="Test images. Rows are the true classes, columns the answers.",
    )


def _trade_off_section(label: str, png: bytes) -> Html:
    picture = Html(
        f'<img alt="Recall of {html.escape(label)} against accuracy" style="max-width: 100%" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    )
    return html.section(
        f"What recall of {label} costs",
        picture,
        f"A network can be moved along its line without training, by 'cli train --target-recall {label}=...' "
        "or by class weights of its last layer: all points of one line are the same network with another "
        "decision boundary. A line clearly above another belongs to a better network. On Fashion-MNIST the "
        "lines of validation images lie above the marks of test images, because validation images were taken "
        "from the training set.",
        lead=(
            "The lines and filled marks are measured on validation images while an offset is added to the "
            "output of this class. The hollow marks are measured on the test images when each run ended."
        ),
    )


def _share(share: float, form: str) -> str:
    return "-" if np.isnan(share) else form.format(share)

"""Describes the comparison on corrupted images in words, tables and charts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from garmentlite.convert.report import charts, html
from garmentlite.convert.report.html import Html, Tone
from garmentlite.convert.verify.corruptions import (
    CLEAN,
    CorruptedSet,
    CorruptionsReport,
    SetVerdict,
)
from garmentlite.convert.verify.statistics import points
from garmentlite.edge.text_table import text_table

TEXT_WIDTH = 100

_TONES: dict[SetVerdict, Tone] = {"together": "good", "apart": "bad", "unresolved": "open"}


def method(report: CorruptionsReport) -> str:
    """Explains how the sets were judged, and how large a loss must be to fail."""
    least = report.least_images_lost / report.least_support
    return (
        f"A set is 'apart' if a class, or the accuracy, lost more than {points(report.margin)} points and "
        f"more than chance. All {report.judgements} losses in {len(report.sets)} sets are tested together "
        "(exact McNemar test, Holm's correction): a candidate that loses nothing fails with probability at "
        f"most {report.alpha:g}. With these images a class fails from a loss of "
        f"{report.least_images_lost} of {report.least_support:,} images on ({points(least)} points). 'At "
        f"most' is the upper bound of the loss of accuracy, in points, with {1 - report.alpha:.0%} "
        "confidence for each set."
    )


# --- plain text


def to_text(report: CorruptionsReport) -> str:
    """Makes the table and the outcome for a terminal of 100 characters, without a final line end."""
    head = (
        f"Corrupted images: {report.images:,} images in {len(report.sets)} sets, seed {report.seed}"
    )
    rows = [
        (
            one.name,
            f"{one.accuracy_reference:.2%}",
            f"{one.accuracy_candidate:.2%}",
            f"{100 * one.accuracy_bound:+.2f}",
            f"{one.agreement:.2%}",
            f"{_worst(one):.26}",
            one.verdict,
        )
        for one in report.sets
    ]
    columns = (
        "images", "before", "after", "at most", "same answer", "class that lost most", "verdict",
    )  # fmt: skip
    word = "ok" if report.passed else "FAILED"
    return "\n".join(
        [
            head,
            text_table(columns, rows, align="lrrrrll"),
            *textwrap.wrap(f"{word}: {report.finding}", TEXT_WIDTH),
            *textwrap.wrap(method(report), TEXT_WIDTH),
        ]
    )


# --- HTML


def to_section(report: CorruptionsReport) -> Html:
    """Makes a section with the outcome, a chart for every kind, and the table."""
    headers = (
        "images", "what was done", "accuracy before", "accuracy after", "loss at most, points",
        "same answer", "class that lost most, points", "verdict",
    )  # fmt: skip
    rows = [
        (
            one.name,
            one.amount,
            f"{one.accuracy_reference:.2%}",
            f"{one.accuracy_candidate:.2%}",
            f"{100 * one.accuracy_bound:+.2f}",
            f"{one.agreement:.2%}",
            _worst(one),
            html.join((html.badge(one.verdict, _TONES[one.verdict]), ", ".join(one.lost)), " "),
        )
        for one in report.sets
    ]
    clean = [one for one in report.sets if one.kind == CLEAN]
    kinds = dict.fromkeys(one.kind for one in report.sets if one.kind != CLEAN)
    drawn = [
        _chart(kind, [*clean, *(one for one in report.sets if one.kind == kind)]) for kind in kinds
    ]
    word = html.badge("ok", "good") if report.passed else html.badge("FAILED", "bad")
    lead = (
        f"The same {report.images:,} images, corrupted in steps of known size. Both models may lose "
        "accuracy, but they must lose it together."
    )
    return html.section(
        "Corrupted images",
        html.paragraph(html.join((word, report.finding), " ")),
        html.paragraph("Where only one line is visible, the other lies under it."),
        html.side_by_side(*drawn),
        html.table(headers, rows, align="llrrrrll"),
        method(report),
        lead=lead,
    )


def _chart(kind: str, sets: Sequence[CorruptedSet]) -> Html:
    return charts.line_chart(
        {
            "before": [100 * one.accuracy_reference for one in sets],
            "after": [100 * one.accuracy_candidate for one in sets],
        },
        title=kind,
        x_label="strength",
        y_label="accuracy, %",
        first_x=0,
    )


def _worst(one: CorruptedSet) -> str:
    return f"{one.worst_label} {100 * one.worst_loss:+.2f}" if one.worst_loss > 0 else "none"

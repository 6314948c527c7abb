"""The comparison on corrupted images in words, tables and charts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from garmentlite.convert import html
from garmentlite.convert.corruptions import CLEAN, CorruptedSet, CorruptionsReport, SetVerdict
from garmentlite.convert.html import Html, Tone
from garmentlite.convert.parity import Guard, ParityReport, points

TEXT_WIDTH = 100

_TONES: dict[SetVerdict, Tone] = {"together": "good", "apart": "bad", "unresolved": "open"}


def with_corruptions(parity: ParityReport, report: CorruptionsReport) -> ParityReport:
    """The parity report with one more guard, which fails where a set is apart."""
    guard = Guard(
        name="corrupted images",
        value=float(len(report.with_verdict("apart"))),
        limit=0.0,
        passed=report.passed,
        sentence=finding(report),
    )
    return replace(parity, guards=(*parity.guards, guard), passed=parity.passed and report.passed)


def finding(report: CorruptionsReport) -> str:
    """The outcome in a sentence or two."""
    apart, unresolved = report.with_verdict("apart"), report.with_verdict("unresolved")
    if apart:
        listed = "; ".join(f"{one.name} ({', '.join(one.lost)})" for one in apart)
        return (
            f"The candidate loses what the reference keeps on {len(apart)} of {len(report.sets)} sets: "
            f"{listed}."
        )
    sentence = (
        f"On no set did the candidate lose more than {points(report.margin)} points beside the reference, "
        "beyond chance."
    )
    if unresolved:
        sentence += (
            f" Of {', '.join(one.name for one in unresolved)} it is not shown that accuracy fell alike to "
            f"within {points(report.margin)} points; more images (--limit) would decide."
        )
    return sentence


def method(report: CorruptionsReport) -> str:
    """How it was judged, and what could be seen."""
    least = report.least_images_lost / report.least_support
    return (
        f"A set is apart if a class, or the accuracy, lost more than {points(report.margin)} points and "
        f"more than chance. All {report.judgements} losses, in {len(report.sets)} sets, are tested "
        "together (exact McNemar test, Holm's correction): a candidate that loses nothing fails with "
        f"probability at most {report.alpha:g}. With these images a class must lose at least "
        f"{report.least_images_lost} of {report.least_support:,} ({points(least)} points) to fail. 'At "
        f"most' is the upper bound of the loss of accuracy, in points, with {1 - report.alpha:.0%} "
        "confidence for each set."
    )


# --- plain text


def to_text(report: CorruptionsReport) -> str:
    """The table and the outcome for a terminal, at most 100 characters wide; no line end at the end."""
    head = (
        f"Corrupted images: {report.images:,} images in {len(report.sets)} sets, seed {report.seed}"
    )
    rows = [
        f"{one.name:<14}{one.accuracy_reference:>9.2%}{one.accuracy_candidate:>9.2%}"
        f"{100 * one.accuracy_bound:>+9.2f}{one.agreement:>13.2%}  {_worst(one):<26.26}  {one.verdict}"
        for one in report.sets
    ]
    columns = (
        f"{'images':<14}{'before':>9}{'after':>9}{'at most':>9}{'same answer':>13}  "
        f"{'class that lost most':<26}  verdict"
    )
    word = "ok" if report.passed else "FAILED"
    return "\n".join(
        [
            head,
            columns,
            *rows,
            *textwrap.wrap(f"{word}: {finding(report)}", TEXT_WIDTH),
            *textwrap.wrap(method(report), TEXT_WIDTH),
        ]
    )


# --- HTML


def to_section(report: CorruptionsReport) -> Html:
    """A section with the outcome, a chart for every kind, and the table."""
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
    charts = [
        _chart(kind, [*clean, *(one for one in report.sets if one.kind == kind)]) for kind in kinds
    ]
    word = html.badge("ok", "good") if report.passed else html.badge("FAILED", "bad")
    lead = (
        f"The same {report.images:,} images, made worse in known steps: both models may lose accuracy, "
        "but together."
    )
    return html.section(
        "Corrupted images",
        html.paragraph(html.join((word, finding(report)), " ")),
        html.paragraph("Where one line is seen, the other lies under it."),
        html.side_by_side(*charts),
        html.table(headers, rows, align="llrrrrll"),
        method(report),
        lead=lead,
    )


def _chart(kind: str, sets: Sequence[CorruptedSet]) -> Html:
    return html.line_chart(
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

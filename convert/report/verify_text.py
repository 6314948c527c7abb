"""Writes a parity report as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from garmentlite.convert.report import corruptions_report, layers_report, verify_words
from garmentlite.convert.verify.measurements import ClassPrecision
from garmentlite.convert.verify.parity_report import (
    ChangedImage,
    ClassParity,
    ParityReport,
)
from garmentlite.convert.verify.statistics import points
from garmentlite.edge.text_table import text_table

TEXT_WIDTH = 100
MOST_LINES = 10  # changed answers in plain text
WIDEST_LABEL = 19  # characters that TEXT_WIDTH leaves beside the figures


def to_text(report: ParityReport) -> str:
    """Makes the report for a terminal of 100 characters, with layers and corruptions if it has them.

    Returns:
        Lines joined by line ends; no line end after the last.
    """
    parts = [parity_text(report)]
    if report.layers:
        parts.append(layers_report.to_text(report.layers))
    if report.corruptions:
        parts.append(corruptions_report.to_text(report.corruptions))
    return "\n\n".join(parts)


def parity_text(report: ParityReport) -> str:
    """Makes the report without layers and corruptions; its last line is the next step."""
    candidate, reference = verify_words.names_of(report)
    conclusion = verify_words.conclude(report)
    margin = f"margin {points(report.margin)} points, alpha {report.alpha:g}"
    lines = _wrapped(
        f"{candidate} (after) beside {reference} (before): {report.images:,} images, {margin}"
    )
    lines += ["", *_class_lines(report.classes), "", *_precision_lines(report.precision), ""]
    for guard in report.guards:
        lines += _wrapped(
            f"{verify_words.guard_word(guard):<10} {guard.name}: {guard.sentence}", indent=11
        )
    for note in (*verify_words.remarks(report), *report.notes):
        lines += _wrapped(f"{'note':<10} {note}", indent=11)
    if report.changed_images:
        lines += ["", *_changed_lines(report.changed_images)]
    lines += [
        "",
        *_wrapped(f"{'PASSED' if report.passed else 'NOT PASSED'}: {conclusion.heading}."),
    ]
    for sentence in conclusion.sentences:
        if sentence not in {guard.sentence for guard in report.guards}:  # these are above
            lines += _wrapped(sentence)
    lines += _wrapped(f"Next: {conclusion.next_step}")
    return "\n".join(lines)


def _class_lines(classes: Sequence[ClassParity]) -> list[str]:
    head = (
        "class", "images", "before", "after", "lost", "gained", "loss", "at most", "p", "verdict",
    )  # fmt: skip
    rows = [
        (
            _cut(row.label),
            *verify_words.figures_of(row),
            verify_words.verdict_text(row),
        )
        for row in classes
    ]
    # One space between columns, for all of them to fit into the width of a page.
    return text_table(head, rows, align="lrrrrrrrrl", gap=1).splitlines()


def _precision_lines(precision: Sequence[ClassPrecision]) -> list[str]:
    rows = [
        (
            _cut(row.label),
            verify_words.percent(row.reference),
            verify_words.percent(row.candidate),
            verify_words.signed(row.bound),
        )
        for row in precision
    ]
    return text_table(("precision of", "before", "after", "loss at most"), rows).splitlines()


def _changed_lines(changed_images: Sequence[ChangedImage]) -> list[str]:
    shown = verify_words.surest_losses_first(changed_images)[:MOST_LINES]
    more = len(changed_images) - len(shown)
    rows = [
        (
            _cut(change.file or str(change.index), 16),
            _cut(change.label),
            f"{_cut(change.label_reference)} {change.confidence_reference:.0%}",
            f"{_cut(change.label_candidate)} {change.confidence_candidate:.0%}",
            verify_words.kind_of_change(change),
        )
        for change in shown
    ]
    table = text_table(("image", "class", "before", "after", "change"), rows, align="lllll")
    sentence = verify_words.count_of_changes(changed_images)
    if more:
        sentence += f" The {len(shown)} most confident are listed; --report shows all."
    return [*_wrapped(sentence), *table.splitlines()]


def _cut(text: str, width: int = WIDEST_LABEL) -> str:
    return text if len(text) <= width else text[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _wrapped(text: str, *, indent: int = 0) -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)

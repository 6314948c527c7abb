"""Writes a parity report as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from garmentlite.convert.report import charts, corruptions_report, html, layers_report, verify_words
from garmentlite.convert.report.html import Html, Tone
from garmentlite.convert.verify.parity_report import (
    ChangedImage,
    ParityReport,
    Verdict,
)
from garmentlite.convert.verify.statistics import points, smallest_support

MOST_PICTURES = 60  # about 60 kB of page

_TONES: dict[Verdict, Tone] = {
    "shown": "good",
    "lost": "bad",
    "unresolved": "open",
    "not judged": "plain",
}


def to_html(
    report: ParityReport,
    images_u8: np.ndarray | None = None,
    *,
    title: str = "Parity check",
) -> str:
    """Makes one self-contained page of the report, with layers and corruptions if it has them.

    Args:
        report: The result of `verify`.
        images_u8: The images it was made on, uint8, shape (N, H, W) or (N, H, W, channels); the changed
            ones are shown. None leaves their pictures out.
        title: Heading of the page.

    Returns:
        The text of an HTML file.
    """
    candidate, reference = verify_words.names_of(report)
    lead = f"{candidate} (after) beside {reference} (before), the same {report.images:,} images through both"
    return html.page(title, *to_sections(report, images_u8), lead=lead)


def to_sections(report: ParityReport, images_u8: np.ndarray | None = None) -> list[Html]:
    """Makes the sections of the page, the verdict first, see `to_html`."""
    conclusion = verify_words.conclude(report)
    parts = [
        html.banner(
            conclusion.heading,
            *conclusion.sentences,
            html.join((Html("<strong>Next:</strong> "), conclusion.next_step)),
            tone=conclusion.tone,
        ),
        _classes_section(report),
        _guards_section(report),
        _precision_section(report),
        _confusion_section(report),
    ]
    if report.changed_images:
        parts.append(_changed_section(report.changed_images, images_u8))
    if report.provenance or report.notes or report.photographs:
        parts.append(_provenance_section(report))
    if report.layers:
        parts.append(layers_report.to_section(report.layers))
    if report.corruptions:
        parts.append(corruptions_report.to_section(report.corruptions))
    return parts


def _classes_section(report: ParityReport) -> Html:
    confidence = f"{1 - report.alpha:.0%}"
    rows = [
        (
            row.label,
            *verify_words.figures_of(row),
            html.badge(verify_words.verdict_text(row), _TONES[row.verdict]),
        )
        for row in report.classes
    ]
    headers = (
        "class", "images", "recall before", "recall after", "lost", "gained",
        "loss, points", "at most", "p (Holm)", "verdict",
    )  # fmt: skip
    chart = charts.interval_chart(
        [
            charts.Interval(row.label, 100 * row.loss, 100 * row.bound, _TONES[row.verdict])
            for row in report.classes
            if row.support
        ],
        title="Loss of recall of every class, with its upper bound and the margin",
        x_label="loss of recall, points (left of 0: the candidate is better)",
        limit=100 * report.margin,
        limit_label=f"margin {points(report.margin)}",
    )
    reading = (
        "Lost are images that only the reference recognised, gained are images that only the candidate "
        "recognised. The dot is the observed loss; the end of the bar is the largest loss that is still "
        f"possible, with {confidence} confidence (Tango's score interval; where no image was gained, at "
        "least the exact binomial bound). A class is 'shown' if the bar ends before the margin. It is 'lost' "
        "if the bar does not and the loss is more than chance (exact McNemar test with Holm's correction, p "
        f"below {report.alpha:g}). Otherwise it is 'unresolved', and more images must decide. This margin "
        f"needs at least {smallest_support(report.margin, report.alpha)} images of a class."
    )
    return html.section(
        "Class by class",
        html.table(headers, rows, align="lrrrrrrrrl"),
        Html(f'<div class="scroll">{chart}</div>'),
        reading,
        lead="Recall is the share of the garments of a class that are recognised.",
    )


def _guards_section(report: ParityReport) -> Html:
    tones: dict[bool | None, Tone] = {True: "good", False: "bad", None: "open"}
    rows = [
        (
            guard.name,
            html.badge(verify_words.guard_word(guard), tones[guard.passed]),
            guard.sentence,
        )
        for guard in report.guards
    ]
    return html.section(
        "Guards",
        html.table((), rows),
        lead="Checks of what can go wrong although each recall stays.",
    )


def _precision_section(report: ParityReport) -> Html:
    rows = [
        (
            row.label,
            verify_words.percent(row.reference),
            verify_words.percent(row.candidate),
            verify_words.signed(row.bound),
        )
        for row in report.precision
    ]
    headers = ("class", "precision before", "precision after", "loss at most, points")
    return html.section(
        "Precision",
        html.table(headers, rows, align="lrrr"),
        lead="Precision is the share of the answers 'this class' that are right.",
    )


def _confusion_section(report: ParityReport) -> Html:
    before, after = np.array(report.confusion_reference), np.array(report.confusion_candidate)
    labels = report.labels
    return html.section(
        "Which class is taken for which",
        html.side_by_side(
            html.heat_map(before, labels, caption="Before: the reference"),
            html.heat_map(after, labels, caption="After: the candidate"),
            html.heat_map(
                after - before,
                labels,
                caption="Difference: orange cells are more frequent than in the reference, blue cells rarer",
                diverging=True,
            ),
        ),
        lead="Rows are the true classes, columns the answers.",
    )


def _changed_section(changed_images: Sequence[ChangedImage], images_u8: np.ndarray | None) -> Html:
    lead = verify_words.count_of_changes(changed_images)
    ordered = verify_words.surest_losses_first(changed_images)
    rows = [
        (
            change.file or f"{change.index}",
            change.label,
            f"{change.label_reference}, {change.confidence_reference:.1%}",
            f"{change.label_candidate}, {change.confidence_candidate:.1%}",
            verify_words.kind_of_change(change),
        )
        for change in ordered
    ]
    table = html.table(("image", "class", "before", "after", ""), rows)
    parts = [Html(f"<details><summary>All of them as a table</summary>{table}</details>")]
    if images_u8 is not None:
        shown = ordered[:MOST_PICTURES]
        if len(shown) < len(ordered):
            lead += f" The first {len(shown)} are shown, the most confident losses first."
        scale = max(1, 112 // images_u8.shape[1])
        figures = (_changed_figure(change, images_u8[change.index], scale) for change in shown)
        parts.insert(0, html.gallery(figures))
    return html.section("Changed answers", *parts, lead=lead)


def _changed_figure(change: ChangedImage, image_u8: np.ndarray, scale: int) -> tuple[Html, Html]:
    tones: dict[str, Tone] = {"lost": "bad", "gained": "good"}
    kind = verify_words.kind_of_change(change)
    caption = html.join(
        (
            html.badge(kind, tones.get(kind, "plain")),
            f"{change.label} ({change.file or f'image {change.index}'})",
            f"before: {change.label_reference}, {change.confidence_reference:.0%}",
            f"after: {change.label_candidate}, {change.confidence_candidate:.0%}",
        ),
        "<br>",
    )
    alt = f"{change.label}, image {change.index}"
    if image_u8.ndim == 3 and image_u8.shape[2] == 3:
        return html.photograph(image_u8, alt=alt), caption
    return html.picture(image_u8, alt=alt, scale=scale), caption


def _provenance_section(report: ParityReport) -> Html:
    rows: list[tuple[str, object]] = []
    if report.provenance:
        provenance = report.provenance
        for role, facts in (
            ("reference", provenance.reference),
            ("candidate", provenance.candidate),
        ):
            rows += [
                (role, f"{facts.file}, {facts.input_type} in, {facts.output_type} out"),
                (f"{role}, SHA-256", html.code(facts.sha256)),
                (f"{role}, made from", html.code(facts.reference_sha256 or "not stated")),
            ]
        rows += [
            ("ties", verify_words.ties_sentence(provenance.candidate, report)),
            *(
                [("kernels", verify_words.kernels_sentence(report.kernel_comparison))]
                if report.kernel_comparison
                else []
            ),
            ("images and labels, SHA-256", html.code(provenance.data_sha256)),
            ("runtime", f"{provenance.runtime}, {provenance.kernels} kernels"),
            ("machine", provenance.machine),
        ]
    if report.photographs:
        rows.append(("photographs", verify_words.photographs_sentence(report.photographs)))
    notes = [
        html.paragraph(html.join((html.badge("note", "open"), " ", note))) for note in report.notes
    ]
    return html.section("Made from", *notes, html.table((), rows))

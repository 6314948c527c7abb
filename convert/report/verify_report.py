"""Writes the parity report as plain text for a terminal, and as one self-contained HTML page."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from garmentlite.convert.report import charts, corruptions_report, html, layers_report
from garmentlite.convert.report.html import Html, Tone
from garmentlite.convert.verify.guards import GuardResult
from garmentlite.convert.verify.measurements import ClassPrecision
from garmentlite.convert.verify.output_comparison import OutputComparison
from garmentlite.convert.verify.parity_report import (
    ChangedImage,
    ClassParity,
    ParityReport,
    Verdict,
)
from garmentlite.convert.verify.photographs import PhotographFacts
from garmentlite.convert.verify.provenance import ModelFacts
from garmentlite.convert.verify.statistics import points, smallest_support
from garmentlite.edge.text_table import text_table

TEXT_WIDTH = 100
MOST_PICTURES = 60  # about 60 kB of page
MOST_LINES = 10  # changed answers in plain text
WIDEST_LABEL = 19  # characters that TEXT_WIDTH leaves beside the figures

_TONES: dict[Verdict, Tone] = {
    "shown": "good",
    "lost": "bad",
    "unresolved": "open",
    "not judged": "plain",
}

_KINDS = ("lost", "gained", "wrong both times")


@dataclass(frozen=True)
class Conclusion:
    """The conclusion at the top of the report.

    Attributes:
        tone: Its colour.
        heading: The verdict in one line.
        sentences: The reasons.
        next_step: What to do now.
    """

    tone: Tone
    heading: str
    sentences: list[str]
    next_step: str


def names_of(report: ParityReport) -> tuple[str, str]:
    """Returns the names of candidate and reference."""
    if report.provenance is None:
        return "the candidate", "the reference"
    return report.provenance.candidate.file, report.provenance.reference.file


def class_sentence(row: ClassParity, report: ParityReport) -> str:
    """Describes the verdict on one class as a sentence."""
    if row.verdict == "lost":
        return (
            f"{row.label}: of {row.support:,} images {row.lost:,} are no longer recognised and "
            f"{row.gained:,} are newly recognised. The loss of {points(row.loss, 2)} points is more than "
            f"chance (Holm's p {_p_text(row.p_holm)}) and may be as large as {points(row.bound, 2)}."
        )
    if row.verdict == "unresolved":
        return (
            f"{row.label}: {row.lost:,} of {row.support:,} images were lost and {row.gained:,} gained. No "
            f"loss is proved, but a loss of up to {points(row.bound, 2)} points cannot be excluded; at these "
            f"rates about {row.images_to_decide:,} images of the class would decide."
        )
    if row.verdict == "not judged":
        return f"{row.label} is not judged: {row.reason}."
    if row.detectable:
        return (
            f"{row.label} lost {row.lost:,} and gained {row.gained:,} images: a loss that is more than "
            "chance, but within the margin."
        )
    return (
        f"{row.label} lost {row.lost:,} and gained {row.gained:,} images: a loss of at most "
        f"{points(row.bound, 2)} points, below the margin of {points(report.margin)}."
    )


def conclude(report: ParityReport) -> Conclusion:
    """Puts the verdicts of a report into words."""
    candidate, reference = names_of(report)
    lost, unresolved = report.with_verdict("lost"), report.with_verdict("unresolved")
    omitted = [row for row in report.classes if row.verdict == "not judged"]
    failed = [guard for guard in report.guards if guard.passed is False]
    sentences = [class_sentence(row, report) for row in (*lost, *unresolved)]
    sentences += [guard.sentence for guard in failed]
    sentences.append(_shown_sentence(report))
    sentences += [
        class_sentence(row, report) for row in report.with_verdict("shown") if row.detectable
    ]
    if omitted:
        sentences.append(
            f"Not judged: {', '.join(f'{row.label} ({row.reason})' for row in omitted)}."
        )
    if lost:
        heading = f"{_listed(lost)} {_are(lost)} recognised less often than before"
        next_step = (
            f"Do not ship {candidate}: convert again in another way ('cli convert'), choose the conversion "
            f"that changes the fewest answers of {reference} on validation images, and verify it."
        )
        return Conclusion("bad", heading, sentences, next_step)
    if failed:
        heading = f"No class is proved lost, but {_guards_failed(failed)}"
        next_step = (
            f"Do not ship {candidate} before the cause is understood; the sentence of the guard says what to "
            "check."
        )
        return Conclusion("bad", heading, sentences, next_step)
    if unresolved:
        heading = f"Not decided for {_listed(unresolved)}"
        next_step = (
            "Verify with more images, or choose a conversion that changes fewer answers on validation "
            "images. Do not widen the margin because of this result."
        )
        return Conclusion("open", heading, sentences, next_step)
    next_step = (
        f"{candidate} can go to the device: 'cli verify {candidate} --save-reference outputs.npz' here, "
        f"then 'cli verify {candidate} --against outputs.npz' there."
    )
    every = "Every judged class" if omitted else "Every class"
    heading = f"{every} is recognised as before, to within {points(report.margin)} points"
    return Conclusion("good", heading, sentences, next_step)


# --- plain text


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
    candidate, reference = names_of(report)
    conclusion = conclude(report)
    margin = f"margin {points(report.margin)} points, alpha {report.alpha:g}"
    lines = _wrapped(
        f"{candidate} (after) beside {reference} (before): {report.images:,} images, {margin}"
    )
    lines += ["", *_class_lines(report.classes), "", *_precision_lines(report.precision), ""]
    for guard in report.guards:
        lines += _wrapped(f"{_guard_word(guard):<10} {guard.name}: {guard.sentence}", indent=11)
    for note in (*_remarks(report), *report.notes):
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
            *_figures_of(row),
            _verdict_text(row),
        )
        for row in classes
    ]
    # One space between columns, for all of them to fit into the width of a page.
    return text_table(head, rows, align="lrrrrrrrrl", gap=1).splitlines()


def _precision_lines(precision: Sequence[ClassPrecision]) -> list[str]:
    rows = [
        (_cut(row.label), _percent(row.reference), _percent(row.candidate), _signed(row.bound))
        for row in precision
    ]
    return text_table(("precision of", "before", "after", "loss at most"), rows).splitlines()


def _changed_lines(changed_images: Sequence[ChangedImage]) -> list[str]:
    shown = _surest_losses_first(changed_images)[:MOST_LINES]
    more = len(changed_images) - len(shown)
    rows = [
        (
            _cut(change.file or str(change.index), 16),
            _cut(change.label),
            f"{_cut(change.label_reference)} {change.confidence_reference:.0%}",
            f"{_cut(change.label_candidate)} {change.confidence_candidate:.0%}",
            _kind_of_change(change),
        )
        for change in shown
    ]
    table = text_table(("image", "class", "before", "after", "change"), rows, align="lllll")
    sentence = _count_of_changes(changed_images)
    if more:
        sentence += f" The {len(shown)} most confident are listed; --report shows all."
    return [*_wrapped(sentence), *table.splitlines()]


def _cut(text: str, width: int = WIDEST_LABEL) -> str:
    return text if len(text) <= width else text[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _wrapped(text: str, *, indent: int = 0) -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)


# --- HTML


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
    candidate, reference = names_of(report)
    lead = f"{candidate} (after) beside {reference} (before), the same {report.images:,} images through both"
    return html.page(title, *to_sections(report, images_u8), lead=lead)


def to_sections(report: ParityReport, images_u8: np.ndarray | None = None) -> list[Html]:
    """Makes the sections of the page, the verdict first, see `to_html`."""
    conclusion = conclude(report)
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
            *_figures_of(row),
            html.badge(_verdict_text(row), _TONES[row.verdict]),
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
        (guard.name, html.badge(_guard_word(guard), tones[guard.passed]), guard.sentence)
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
            _percent(row.reference),
            _percent(row.candidate),
            _signed(row.bound),
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
    lead = _count_of_changes(changed_images)
    ordered = _surest_losses_first(changed_images)
    rows = [
        (
            change.file or f"{change.index}",
            change.label,
            f"{change.label_reference}, {change.confidence_reference:.1%}",
            f"{change.label_candidate}, {change.confidence_candidate:.1%}",
            _kind_of_change(change),
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
    kind = _kind_of_change(change)
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
            ("ties", _ties_sentence(provenance.candidate, report)),
            *(
                [("kernels", _kernels_sentence(report.kernel_comparison))]
                if report.kernel_comparison
                else []
            ),
            ("images and labels, SHA-256", html.code(provenance.data_sha256)),
            ("runtime", f"{provenance.runtime}, {provenance.kernels} kernels"),
            ("machine", provenance.machine),
        ]
    if report.photographs:
        rows.append(("photographs", _photographs_sentence(report.photographs)))
    notes = [
        html.paragraph(html.join((html.badge("note", "open"), " ", note))) for note in report.notes
    ]
    return html.section("Made from", *notes, html.table((), rows))


# --- words


def _shown_sentence(report: ParityReport) -> str:
    shown = report.with_verdict("shown")
    judged = [row for row in report.classes if row.verdict != "not judged"]
    if not shown:
        return "For no class is it shown that its loss is within the margin."
    worst = max(shown, key=lambda row: row.bound)
    if len(shown) < len(judged):
        which = "each of the other classes"
    else:
        which = "each class" if len(judged) == len(report.classes) else "each judged class"
    return (
        f"With {1 - report.alpha:.0%} confidence for {which}, the largest loss of recall still possible is "
        f"{points(max(0.0, worst.bound), 2)} points ({worst.label}), below the margin of "
        f"{points(report.margin)}."
    )


def _guards_failed(guards: Sequence[GuardResult]) -> str:
    names = ", ".join(guard.name for guard in guards)
    return f"{'a guard' if len(guards) == 1 else f'{len(guards)} guards'} failed ({names})"


def _guard_word(guard: GuardResult) -> str:
    return {True: "ok", False: "FAILED", None: "not judged"}[guard.passed]


def _figures_of(row: ClassParity) -> tuple[str, ...]:
    """Formats the figures of a class as the text and the page show them, from its images to its p value."""
    return (
        f"{row.support:,}",
        _percent(row.recall_reference),
        _percent(row.recall_candidate),
        f"{row.lost:,}",
        f"{row.gained:,}",
        _signed(row.loss),
        _signed(row.bound),
        _p_text(row.p_holm),
    )


def _verdict_text(row: ClassParity) -> str:
    return "shown, detectable" if row.verdict == "shown" and row.detectable else row.verdict


def _remarks(report: ParityReport) -> list[str]:
    """Writes sentences on ties, kernels and photographs, which are not judged."""
    remarks = []
    if report.provenance and report.provenance.candidate.logit_ties:
        remarks.append(_ties_sentence(report.provenance.candidate, report))
    if report.kernel_comparison:
        remarks.append(_kernels_sentence(report.kernel_comparison))
    if report.photographs:
        remarks.append(_photographs_sentence(report.photographs))
    return remarks


def _kernels_sentence(comparison: OutputComparison) -> str:
    if not comparison.differing_images:
        return (
            f"On the runtime's reference kernels the outputs of all {comparison.images:,} images are the "
            "same, bit for bit."
        )
    return (
        f"On the runtime's reference kernels {comparison.differing_images:,} of {comparison.images:,} images "
        f"have other outputs, by at most {comparison.largest_step:g} steps, and "
        f"{comparison.changed_answers:,} another answer."
    )


def _photographs_sentence(facts: PhotographFacts) -> str:
    cut_out = f"segmentation {facts.segmenter}" if facts.segmenter else facts.way
    sentence = (
        f"The images were made from {facts.pictures:,} photographs ({facts.source}; preparation "
        f"{facts.preparation}, {cut_out})."
    )
    if facts.no_garment:
        by_label = Counter(one.label for one in facts.no_garment)
        listed = ", ".join(f"{label} {count:,}" for label, count in by_label.items())
        sentence += (
            f" No garment was found in {len(facts.no_garment):,} of them ({listed}): no model is asked about "
            "these, and they are not judged."
        )
    elif facts.way == "garment":
        sentence += " A garment was found in each."
    if facts.unreadable:
        sentence += f" {len(facts.unreadable):,} could not be read."
    return sentence


def _ties_sentence(facts: ModelFacts, report: ParityReport) -> str:
    return (
        f"For {_images(facts.logit_ties)} several classes share the largest output of {facts.file} and the "
        f"first of them is the answer; {facts.changed_on_ties:,} of the {len(report.changed_images):,} "
        "changed answers are on such images."
    )


def _count_of_changes(changed_images: Sequence[ChangedImage]) -> str:
    counts = Counter(map(_kind_of_change, changed_images))
    listed = ", ".join(f"{counts[kind]:,} {kind}" for kind in _KINDS)
    return f"{_images(len(changed_images))} got another answer: {listed}."


def _surest_losses_first(changed_images: Sequence[ChangedImage]) -> list[ChangedImage]:
    return sorted(
        changed_images,
        key=lambda change: (_KINDS.index(_kind_of_change(change)), -change.confidence_reference),
    )


def _kind_of_change(change: ChangedImage) -> str:
    if change.label == change.label_reference:
        return "lost"
    return "gained" if change.label == change.label_candidate else "wrong both times"


def _listed(rows: Sequence[ClassParity]) -> str:
    *others, last = [row.label for row in rows]
    return f"{', '.join(others)} and {last}" if others else last


def _are(rows: Sequence[ClassParity]) -> str:
    return "is" if len(rows) == 1 else "are"


def _images(number: int) -> str:
    return f"{number:,} image{'' if number == 1 else 's'}"


def _p_text(p_value: float) -> str:
    if math.isnan(p_value):
        return "-"
    return f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def _percent(share: float | None) -> str:
    """Formats a share in percent; "-" if it is not defined."""
    return "-" if share is None or math.isnan(share) else f"{share:.2%}"


def _signed(share: float | None) -> str:
    """Formats a share in points with its sign; "-" if it is not defined."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:+.2f}"

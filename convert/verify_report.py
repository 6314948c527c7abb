"""The parity report in words: plain text for a terminal, one self-contained HTML page for everyone else."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from garmentlite.convert import html
from garmentlite.convert.html import Html, Tone
from garmentlite.convert.parity import (
    ChangedImage,
    ClassParity,
    ClassPrecision,
    Guard,
    KernelComparison,
    ModelFacts,
    ParityReport,
    PhotographFacts,
    Verdict,
    points,
    smallest_support,
)

TEXT_WIDTH = 100
MOST_PICTURES = 60  # about 60 kB of page
MOST_LINES = 10  # changed answers in plain text
WIDEST_LABEL = 19  # what TEXT_WIDTH leaves beside the figures

_TONES: dict[Verdict, Tone] = {
    "shown": "good",
    "lost": "bad",
    "unresolved": "open",
    "not judged": "plain",
}

_KINDS = ("lost", "gained", "wrong both times")


@dataclass(frozen=True)
class Conclusion:
    """What the report says at its top.

    Attributes:
        tone: Its colour.
        heading: The verdict in one line.
        sentences: Why.
        next_step: What to do now.
    """

    tone: Tone
    heading: str
    sentences: list[str]
    next_step: str


def names_of(report: ParityReport) -> tuple[str, str]:
    """What candidate and reference are called."""
    if report.provenance is None:
        return "the candidate", "the reference"
    return report.provenance.candidate.file, report.provenance.reference.file


def class_sentence(row: ClassParity, report: ParityReport) -> str:
    """What is said of one class."""
    if row.verdict == "lost":
        return (
            f"{row.label}: of {row.support:,} images {row.lost:,} are no longer recognised and "
            f"{row.gained:,} newly are. The loss of {points(row.loss, 2)} points is more than chance "
            f"(Holm's p {_p_text(row.p_holm)}) and may be as large as {points(row.bound, 2)}."
        )
    if row.verdict == "unresolved":
        return (
            f"{row.label}: {row.lost:,} of {row.support:,} images lost and {row.gained:,} gained. No loss is "
            f"proved, but one of up to {points(row.bound, 2)} points cannot be excluded; at these rates "
            f"about {row.images_to_decide:,} images of the class would decide."
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
            f"Nothing is said of {', '.join(f'{row.label} ({row.reason})' for row in omitted)}."
        )
    if lost:
        heading = f"{_listed(lost)} {_are(lost)} recognised less often than before"
        next_step = (
            f"Do not ship {candidate}: convert again by another way ('cli convert'), choose on validation "
            f"images the one that changes the fewest answers of {reference}, and verify that one."
        )
        return Conclusion("bad", heading, sentences, next_step)
    if failed:
        heading = f"No class is proved lost, but {_guards_failed(failed)}"
        next_step = (
            f"Do not ship {candidate} before it is understood why; the sentence of the guard says where "
            "to look."
        )
        return Conclusion("bad", heading, sentences, next_step)
    if unresolved:
        heading = f"Not decided for {_listed(unresolved)}"
        next_step = (
            "Verify with more images, or choose on validation images a conversion that changes fewer "
            "answers; widen the margin only if the wider one was right before this result was seen."
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
    """The report for a terminal, at most 100 characters wide.

    Returns:
        Lines joined by line ends, the last one the next step; no line end after it.
    """
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
        if sentence not in {guard.sentence for guard in report.guards}:  # said above
            lines += _wrapped(sentence)
    lines += _wrapped(f"Next: {conclusion.next_step}")
    return "\n".join(lines)


def _class_lines(classes: Sequence[ClassParity]) -> list[str]:
    width = _width_of([row.label for row in classes])
    lines = [
        f"{'class':<{width}} {'images':>7} {'before':>8} {'after':>8} {'lost':>5} {'gained':>6} "
        f"{'loss':>6} {'at most':>7} {'p':>7}  verdict"
    ]
    for row in classes:
        lines.append(
            f"{_cut(row.label, width):<{width}} {row.support:>7,} {_percent(row.recall_reference):>8} "
            f"{_percent(row.recall_candidate):>8} {row.lost:>5,} {row.gained:>6,} {_signed(row.loss):>6} "
            f"{_signed(row.bound):>7} {_p_text(row.p_holm):>7}  {_verdict_text(row)}"
        )
    return lines


def _precision_lines(precision: Sequence[ClassPrecision]) -> list[str]:
    width = _width_of([row.label for row in precision])
    lines = [f"{'precision of':<{max(width, 12)}} {'before':>8} {'after':>8} {'loss at most':>13}"]
    for row in precision:
        lines.append(
            f"{_cut(row.label, width):<{max(width, 12)}} {_percent(row.reference):>8} "
            f"{_percent(row.candidate):>8} {_signed(row.bound):>13}"
        )
    return lines


def _changed_lines(changed_images: Sequence[ChangedImage]) -> list[str]:
    shown = _surest_losses_first(changed_images)[:MOST_LINES]
    more = len(changed_images) - len(shown)
    rows = [("image", "class", "before", "after", "")]
    for change in shown:
        rows.append(
            (
                change.file or str(change.index),
                change.label,
                f"{_cut(change.label_reference)} {change.confidence_reference:.0%}",
                f"{_cut(change.label_candidate)} {change.confidence_candidate:.0%}",
                _kind_of_change(change),
            )
        )
    limits = (16, WIDEST_LABEL, 24, 24, 16)
    cells = [[_cut(cell, limit) for cell, limit in zip(row, limits, strict=True)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = _wrapped(
        _count_of_changes(changed_images)
        + (f" The {len(shown)} surest; --report shows all." if more else "")
    )
    for row in cells:
        lines.append(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return lines


def _width_of(labels: Sequence[str]) -> int:
    return min(WIDEST_LABEL, max(5, *map(len, labels)))


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
    more: Sequence[Html] = (),
) -> str:
    """The report as one self-contained page.

    Args:
        report: What `verify` returned.
        images_u8: The images it was made on, uint8, shape (N, H, W) or (N, H, W, 1); the changed ones
            are shown. None leaves their pictures out.
        title: Heading of the page.
        more: Sections to put behind these.

    Returns:
        The text of an HTML file.
    """
    candidate, reference = names_of(report)
    lead = f"{candidate} (after) beside {reference} (before), the same {report.images:,} images through both"
    return html.page(title, *to_sections(report, images_u8), *more, lead=lead)


def to_sections(report: ParityReport, images_u8: np.ndarray | None = None) -> list[Html]:
    """The parts of the page, verdict first, for a report that has others beside them; see `to_html`."""
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
    return parts


def _classes_section(report: ParityReport) -> Html:
    confidence = f"{1 - report.alpha:.0%}"
    rows = [
        (
            row.label,
            f"{row.support:,}",
            _percent(row.recall_reference),
            _percent(row.recall_candidate),
            f"{row.lost:,}",
            f"{row.gained:,}",
            _signed(row.loss),
            _signed(row.bound),
            _p_text(row.p_holm),
            html.badge(_verdict_text(row), _TONES[row.verdict]),
        )
        for row in report.classes
    ]
    headers = (
        "class", "images", "recall before", "recall after", "lost", "gained",
        "loss, points", "at most", "p (Holm)", "verdict",
    )  # fmt: skip
    chart = html.interval_chart(
        [
            html.Interval(row.label, 100 * row.loss, 100 * row.bound, _TONES[row.verdict])
            for row in report.classes
            if row.support
        ],
        title="Loss of recall of every class, with its upper bound and the margin",
        x_label="loss of recall, points (left of 0: the candidate is better)",
        limit=100 * report.margin,
        limit_label=f"margin {points(report.margin)}",
    )
    reading = (
        f"Lost: images that only the reference recognised; gained: that only the candidate did. The dot is "
        f"the loss as observed, the end of the bar what it may be at most, with {confidence} confidence "
        "(Tango's score interval; where no image was gained at least the exact binomial one). A class is "
        "shown where the bar ends before the margin; lost where it does not and so many losses against so "
        "few gains are more than chance (exact McNemar test, Holm's correction, "
        f"p below {report.alpha:g}); else more images must decide. With this margin a "
        f"class needs at least {smallest_support(report.margin, report.alpha)} images."
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
        lead="What can go wrong while every recall stands.",
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
        lead="The share of the answers with this name that are right.",
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
                caption="Difference: orange more often, blue less often than the reference",
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
            lead += f" The first {len(shown)} are shown, the surest losses first."
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
    return html.picture(image_u8, alt=f"{change.label}, image {change.index}", scale=scale), caption


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
                (f"{role}, made from", html.code(facts.reference_sha256 or "not said")),
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
        return "Of no class is it shown that its loss is within the margin."
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


def _guards_failed(guards: Sequence[Guard]) -> str:
    names = ", ".join(guard.name for guard in guards)
    return f"{'a guard' if len(guards) == 1 else f'{len(guards)} guards'} failed ({names})"


def _guard_word(guard: Guard) -> str:
    return {True: "ok", False: "FAILED", None: "not judged"}[guard.passed]


def _verdict_text(row: ClassParity) -> str:
    return "shown, detectable" if row.verdict == "shown" and row.detectable else row.verdict


def _remarks(report: ParityReport) -> list[str]:
    """What is neither verdict nor guard."""
    remarks = []
    if report.provenance and report.provenance.candidate.logit_ties:
        remarks.append(_ties_sentence(report.provenance.candidate, report))
    if report.kernel_comparison:
        remarks.append(_kernels_sentence(report.kernel_comparison))
    if report.photographs:
        remarks.append(_photographs_sentence(report.photographs))
    return remarks


def _kernels_sentence(comparison: KernelComparison) -> str:
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
    sentence = (
        f"The images were made from {facts.pictures:,} photographs ({facts.source}; preparation "
        f"{facts.preparation}, segmentation {facts.segmenter})."
    )
    if facts.no_garment:
        by_label = Counter(one.label for one in facts.no_garment)
        listed = ", ".join(f"{label} {count:,}" for label, count in by_label.items())
        sentence += (
            f" In {len(facts.no_garment):,} no garment was found ({listed}): no model is asked about them, "
            "and they are not judged."
        )
    else:
        sentence += " A garment was found in each."
    if facts.unreadable:
        sentence += f" {len(facts.unreadable):,} could not be read."
    return sentence


def _ties_sentence(facts: ModelFacts, report: ParityReport) -> str:
    return (
        f"For {_images(facts.logit_ties)} several classes share the largest output of {facts.file} and the "
        f"first of them is the answer; {facts.changed_on_ties:,} of the {len(report.changed_images):,} "
        "changed answers are such."
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
    """A share in percent; "-" where it is not defined."""
    return "-" if share is None or math.isnan(share) else f"{share:.2%}"


def _signed(share: float | None) -> str:
    """A share in points with its sign; "-" where it is not defined."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:+.2f}"

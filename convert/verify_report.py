"""The parity report in words: plain text for a terminal, one self-contained HTML page for everyone else."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from convert import html
from convert.html import Html, Tone
from convert.parity import (
    ChangedImage,
    ClassParity,
    Guard,
    ModelFacts,
    ParityReport,
    Verdict,
    points,
    smallest_support,
)

TEXT_WIDTH = 100
MOST_PICTURES = 60  # about 60 kB of page

_TONES: dict[Verdict, Tone] = {"shown": "good", "lost": "bad", "unresolved": "open"}


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


def conclude(report: ParityReport) -> Conclusion:
    """Puts the verdicts of a report into words."""
    candidate, reference = _names(report)
    lost, unresolved = report.with_verdict("lost"), report.with_verdict("unresolved")
    failed = [guard for guard in report.guards if guard.passed is False]
    sentences = [_lost_sentence(row) for row in lost]
    sentences += [_unresolved_sentence(row) for row in unresolved]
    sentences += [guard.sentence for guard in failed]
    sentences.append(_shown_sentence(report))
    sentences += [
        f"{row.label} lost {row.lost} and gained {row.gained} images: a loss that is more than chance, but "
        "within the margin."
        for row in report.with_verdict("shown")
        if row.detectable
    ]
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
    heading = f"Every class is recognised as before, to within {points(report.margin)} points"
    return Conclusion("good", heading, sentences, next_step)


# --- plain text


def to_text(report: ParityReport) -> str:
    """The report for a terminal, at most 100 characters wide.

    Returns:
        Lines joined by line ends, the last one the next step; no line end after it.
    """
    candidate, reference = _names(report)
    conclusion = conclude(report)
    margin = f"margin {points(report.margin)} points, alpha {report.alpha:g}"
    lines = _wrapped(
        f"{candidate} (after) beside {reference} (before): {report.images:,} images, {margin}"
    )
    lines += ["", *_class_lines(report.classes), ""]
    for guard in report.guards:
        lines += _wrapped(f"{_guard_word(guard):<10} {guard.name}: {guard.sentence}", indent=11)
    if report.provenance and report.provenance.candidate.logit_ties:
        lines += _wrapped(
            f"{'note':<10} {_ties_sentence(report.provenance.candidate, report)}", indent=11
        )
    for note in report.notes:
        lines += _wrapped(f"{'note':<10} {note}", indent=11)
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
    width = min(24, max(5, *(len(row.label) for row in classes)))
    lines = [
        f"{'class':<{width}} {'images':>7} {'before':>8} {'after':>8} {'lost':>5} {'gained':>6} "
        f"{'loss':>6} {'at most':>7} {'p':>7}  verdict"
    ]
    for row in classes:
        label = (
            row.label
            if len(row.label) <= width
            else row.label[: width - 1] + "\N{HORIZONTAL ELLIPSIS}"
        )
        lines.append(
            f"{label:<{width}} {row.support:>7,} {row.recall_reference:>8.2%} "
            f"{row.recall_candidate:>8.2%} {row.lost:>5,} {row.gained:>6,} {100 * row.loss:>+6.2f} "
            f"{100 * row.bound:>+7.2f} {_p_text(row.p_holm):>7}  {_verdict_text(row)}"
        )
    return lines


def _wrapped(text: str, *, indent: int = 0) -> list[str]:
    return textwrap.wrap(text, TEXT_WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)


# --- HTML


def to_html(
    report: ParityReport, images_u8: np.ndarray | None = None, *, title: str = "Parity check"
) -> str:
    """The report as one self-contained page.

    Args:
        report: What `verify` returned.
        images_u8: The images it was made on, uint8, shape (N, H, W) or (N, H, W, 1); the changed ones
            are shown. None leaves their pictures out.
        title: Heading of the page.

    Returns:
        The text of an HTML file.
    """
    candidate, reference = _names(report)
    lead = f"{candidate} (after) beside {reference} (before), the same {report.images:,} images through both"
    return html.page(title, *to_sections(report, images_u8), lead=lead)


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
    if report.provenance or report.notes:
        parts.append(_provenance_section(report))
    return parts


def _classes_section(report: ParityReport) -> Html:
    confidence = f"{1 - report.alpha:.0%}"
    rows = [
        (
            row.label,
            f"{row.support:,}",
            f"{row.recall_reference:.2%}",
            f"{row.recall_candidate:.2%}",
            f"{row.lost:,}",
            f"{row.gained:,}",
            f"{100 * row.loss:+.2f}",
            f"{100 * row.bound:+.2f}",
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
        ],
        title="Loss of recall of every class, with its upper bound and the margin",
        x_label="loss of recall, points (left of 0: the candidate is better)",
        limit=100 * report.margin,
        limit_label=f"margin {points(report.margin)}",
    )
    reading = (
        f"Lost: images that only the reference recognised; gained: that only the candidate did. The dot is "
        f"the loss as observed, the end of the bar what it may be at most, with {confidence} confidence "
        "(Tango's score interval). A class is shown where the bar ends before the margin; lost where it "
        "does not and so many losses against so few gains are more than chance (exact McNemar test, "
        f"Holm's correction, p below {report.alpha:g}); else more images must decide. With this margin a "
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
            _share_text(row.reference),
            _share_text(row.candidate),
            "not defined" if row.bound is None else f"{100 * row.bound:+.2f}",
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
    kinds = [_kind_of_change(image) for image in changed_images]
    counts = {kind: kinds.count(kind) for kind in ("lost", "gained", "wrong both times")}
    lead = (
        f"{len(changed_images):,} images got another answer: {counts['lost']:,} lost, "
        f"{counts['gained']:,} gained, {counts['wrong both times']:,} wrong both times."
    )
    if images_u8 is None:
        return html.section("Changed answers", lead=lead)
    order = list(counts)
    shown = sorted(
        changed_images,
        key=lambda image: (order.index(_kind_of_change(image)), -image.confidence_reference),
    )[:MOST_PICTURES]
    if len(shown) < len(changed_images):
        lead += f" The first {len(shown)} are shown, the surest losses first."
    scale = max(1, 112 // images_u8.shape[1])
    return html.section(
        "Changed answers",
        html.gallery(_changed_figure(image, images_u8[image.index], scale) for image in shown),
        lead=lead,
    )


def _changed_figure(change: ChangedImage, image_u8: np.ndarray, scale: int) -> tuple[Html, Html]:
    tones: dict[str, Tone] = {"lost": "bad", "gained": "good"}
    kind = _kind_of_change(change)
    caption = html.join(
        (
            html.badge(kind, tones.get(kind, "plain")),
            f"{change.label} (image {change.index})",
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
            ("images and labels, SHA-256", html.code(provenance.data_sha256)),
            ("runtime", f"{provenance.runtime}, {provenance.kernels} kernels"),
            ("machine", provenance.machine),
        ]
    notes = [
        html.paragraph(html.join((html.badge("note", "open"), " ", note))) for note in report.notes
    ]
    return html.section("Made from", *notes, html.table((), rows))


# --- words


def _names(report: ParityReport) -> tuple[str, str]:
    """What candidate and reference are called."""
    if report.provenance is None:
        return "the candidate", "the reference"
    return report.provenance.candidate.file, report.provenance.reference.file


def _shown_sentence(report: ParityReport) -> str:
    shown = report.with_verdict("shown")
    if not shown:
        return "Of no class is it shown that its loss is within the margin."
    worst = max(shown, key=lambda row: row.bound)
    which = "each class" if len(shown) == len(report.classes) else "each of the other classes"
    return (
        f"With {1 - report.alpha:.0%} confidence for {which}, the largest loss of recall still possible is "
        f"{points(max(0.0, worst.bound), 2)} points ({worst.label}), below the margin of "
        f"{points(report.margin)}."
    )


def _lost_sentence(row: ClassParity) -> str:
    return (
        f"{row.label}: of {row.support:,} images {row.lost:,} are no longer recognised and {row.gained:,} "
        f"newly are. The loss of {points(row.loss, 2)} points is more than chance (Holm's p "
        f"{_p_text(row.p_holm)}) and may be as large as {points(row.bound, 2)}."
    )


def _unresolved_sentence(row: ClassParity) -> str:
    return (
        f"{row.label}: {row.lost:,} of {row.support:,} images lost and {row.gained:,} gained. No loss is "
        f"proved, but one of up to {points(row.bound, 2)} points cannot be excluded; at these rates about "
        f"{row.images_to_decide:,} images of the class would decide."
    )


def _guards_failed(guards: Sequence[Guard]) -> str:
    names = ", ".join(guard.name for guard in guards)
    return f"{'a guard' if len(guards) == 1 else f'{len(guards)} guards'} failed ({names})"


def _guard_word(guard: Guard) -> str:
    return {True: "ok", False: "FAILED", None: "not judged"}[guard.passed]


def _verdict_text(row: ClassParity) -> str:
    return "shown, detectable" if row.verdict == "shown" and row.detectable else row.verdict


def _ties_sentence(facts: ModelFacts, report: ParityReport) -> str:
    return (
        f"For {facts.logit_ties:,} images several classes share the largest output of {facts.file} and the "
        f"first of them is the answer; {facts.changed_on_ties:,} of the {len(report.changed_images):,} "
        "changed answers are such."
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


def _p_text(p_value: float) -> str:
    return f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def _share_text(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.2%}"

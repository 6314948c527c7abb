"""Puts a parity report into words: its conclusion, sentences about its parts, and its figures as text.

`verify_text` and `verify_page` show these words in a terminal and on a page.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from garmentlite.convert.report.html import Tone
from garmentlite.convert.verify.guards import GuardResult
from garmentlite.convert.verify.output_comparison import OutputComparison
from garmentlite.convert.verify.parity_report import (
    ChangedImage,
    ClassParity,
    ParityReport,
)
from garmentlite.convert.verify.photographs import PhotographFacts
from garmentlite.convert.verify.provenance import ModelFacts
from garmentlite.convert.verify.statistics import points

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


def guard_word(guard: GuardResult) -> str:
    """Returns the outcome of a guard in one or two words."""
    return {True: "ok", False: "FAILED", None: "not judged"}[guard.passed]


def figures_of(row: ClassParity) -> tuple[str, ...]:
    """Formats the figures of a class as the text and the page show them, from its images to its p value."""
    return (
        f"{row.support:,}",
        percent(row.recall_reference),
        percent(row.recall_candidate),
        f"{row.lost:,}",
        f"{row.gained:,}",
        signed(row.loss),
        signed(row.bound),
        _p_text(row.p_holm),
    )


def verdict_text(row: ClassParity) -> str:
    """Returns the verdict on a class, and whether a loss within the margin is more than chance."""
    return "shown, detectable" if row.verdict == "shown" and row.detectable else row.verdict


def percent(share: float | None) -> str:
    """Formats a share in percent; "-" if it is not defined."""
    return "-" if share is None or math.isnan(share) else f"{share:.2%}"


def signed(share: float | None) -> str:
    """Formats a share in points with its sign; "-" if it is not defined."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:+.2f}"


def remarks(report: ParityReport) -> list[str]:
    """Writes sentences on ties, kernels and photographs, which are not judged."""
    remarks = []
    if report.provenance and report.provenance.candidate.logit_ties:
        remarks.append(ties_sentence(report.provenance.candidate, report))
    if report.kernel_comparison:
        remarks.append(kernels_sentence(report.kernel_comparison))
    if report.photographs:
        remarks.append(photographs_sentence(report.photographs))
    return remarks


def kernels_sentence(comparison: OutputComparison) -> str:
    """Says how far the outputs of the default kernels and the reference kernels differ."""
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


def photographs_sentence(facts: PhotographFacts) -> str:
    """Says which photographs the images were made from, and how many were left out."""
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


def ties_sentence(facts: ModelFacts, report: ParityReport) -> str:
    """Says for how many images several classes share the largest output of a file."""
    return (
        f"For {_images(facts.logit_ties)} several classes share the largest output of {facts.file} and the "
        f"first of them is the answer; {facts.changed_on_ties:,} of the {len(report.changed_images):,} "
        "changed answers are on such images."
    )


def count_of_changes(changed_images: Sequence[ChangedImage]) -> str:
    """Counts the images with another answer, by the kind of their change."""
    counts = Counter(map(kind_of_change, changed_images))
    listed = ", ".join(f"{counts[kind]:,} {kind}" for kind in _KINDS)
    return f"{_images(len(changed_images))} got another answer: {listed}."


def surest_losses_first(changed_images: Sequence[ChangedImage]) -> list[ChangedImage]:
    """Sorts changed images: losses, gains, then the others, each by the confidence of the reference."""
    return sorted(
        changed_images,
        key=lambda change: (_KINDS.index(kind_of_change(change)), -change.confidence_reference),
    )


def kind_of_change(change: ChangedImage) -> str:
    """Says whether the right answer was lost or gained, or the image was wrong both times."""
    if change.label == change.label_reference:
        return "lost"
    return "gained" if change.label == change.label_candidate else "wrong both times"


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

"""Makes the page about a run: training, int8, parity, mistakes, pictures, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from garmentlite.convert import int8_ways
from garmentlite.convert.report import charts, html, verify_page, verify_words
from garmentlite.convert.report.html import Html, Tone
from garmentlite.convert.run_results import (
    PictureAnswer,
    RecognizedPicture,
    Run,
    RunResults,
    command,
)
from garmentlite.convert.verify.parity_report import ParityReport
from garmentlite.convert.verify.statistics import points
from garmentlite.train.data import FashionMnist

SAMPLES = 30  # five rows of the page
MISTAKES = 18  # three rows
MOST_PICTURES = 24  # about 15 kB of page for each
SAMPLE_SEED = 0

# Headings of the parts, to which the line of contents links.
_SHORT, _LEARNING, _WAYS_TRIED = "In short", "Learning", "Ways to int8 that were tried"
_PARITY, _SAMPLES = "Does int8 still do what float did?", "What it answers"
_MISTAKES, _PICTURES, _NEXT = "The worst mistakes", "Pictures with a background", "What to try next"
HEADINGS = (_SHORT, _LEARNING, _WAYS_TRIED, _PARITY, _SAMPLES, _MISTAKES, _PICTURES, _NEXT)

_TONES_OF_PARITY: dict[Tone, str] = {"good": "passed", "bad": "not passed", "open": "not decided"}
_WAYS = {
    int8_ways.WAY_PLAIN: "rounds weights and activations, with ranges measured on training images",
    int8_ways.WAY_CORRECTED: "does the same, then restores the mean score of each class",
    int8_ways.WAY_CUT: "has the finest steps where two classes compete, and ties that favour no class",
    int8_ways.WAY_FINE_TUNED: "does the same, then trains on to answer as the float network does",
}

_LONGER = (
    " After a short training many garments lie close to a decision boundary, and rounding moves some of them "
    "across it. A longer training usually leaves fewer such garments, and so fewer changed answers. The "
    "last part of this page has the command."
)


def to_html(found: RunResults) -> str:
    """Makes one self-contained page of the results of a run."""
    run, parity, data = found.run, found.parity, found.data
    return html.page(
        f"{run.config['network']}: from training to int8",
        html.contents(HEADINGS),
        _facts_section(run, parity),
        _curves_section(run),
        _ways_section(run.card["quantization"]),
        _parity_section(parity, longer_possible=run.stopped_short),
        *verify_page.to_sections(parity, data.x_test),
        _samples_section(data, found.probabilities, parity.labels),
        _mistakes_section(data, found.probabilities, parity),
        _pictures_section(found),
        _next_section(run),
        lead=f"This page follows {run.folder} from the first epoch to the file for the device.",
    )


# --- the parts of the page


def _facts_section(run: Run, parity: ParityReport) -> Html:
    config, conclusion = run.config, verify_words.conclude(parity)
    float_size, int8_size = run.float32.stat().st_size, run.int8.stat().st_size
    verdict = html.badge(_TONES_OF_PARITY[conclusion.tone], conclusion.tone)
    hardest = min(parity.classes, key=lambda row: row.recall_candidate)
    seconds = sum(epoch["seconds"] for epoch in run.history)
    rows: list[tuple[str, object]] = [
        ("network", html.join((html.code(config["network"]), "; ", _weights_in_words(config)))),
        (
            "training",
            f"{config['images']['training']:,} images, {_counted(len(run.history), 'epoch')} in "
            f"{_duration(seconds)}; ended: {run.metrics['ended']}; the weights of epoch "
            f"{run.kept_epoch} were kept",
        ),
        ("on", config["device"]),
        ("accuracy, float", f"{parity.accuracy.reference:.2%} of {parity.images:,} test images"),
        ("accuracy, int8", f"{parity.accuracy.candidate:.2%} of the same images"),
        (
            "hardest class",
            f"{hardest.label}: {hardest.recall_candidate:.1%} of its images are recognised (int8)",
        ),
        ("float file", _file_in_words(run.float32.name, f"{float_size:,} bytes")),
        (
            "int8 file",
            _file_in_words(
                run.int8.name, f"{int8_size:,} bytes: {float_size / int8_size:.1f} times smaller"
            ),
        ),
        ("parity check", html.join((verdict, f" {conclusion.heading}."))),
    ]
    return html.section(
        _SHORT,
        html.table((), rows),
        lead=(
            "A network learned to name ten kinds of garments. Its weights and activations were then rounded "
            "to whole numbers from -128 to 127 (int8) for small devices, and every change of its answers was "
            "checked."
        ),
    )


def _curves_section(run: Run) -> Html:
    curves = [
        charts.line_chart(
            {
                "training": [epoch[name] for epoch in run.history],
                "validation": [epoch[f"val_{name}"] for epoch in run.history],
            },
            title=title,
            x_label="epoch",
            y_label=unit,
            marked_x=run.kept_epoch,
        )
        for name, title, unit in (
            ("loss", "Loss (less is better)", "nats, classes weighted"),
            ("accuracy", "Accuracy (more is better)", "share"),
        )
    ]
    kept = run.history[run.kept_epoch - 1]
    validation = run.config["images"]["validation"]
    return html.section(
        _LEARNING,
        html.side_by_side(*curves),
        f"The dashed line is epoch {run.kept_epoch}: its weights had the lowest validation loss "
        f"({kept['val_loss']:.3f}, accuracy {kept['val_accuracy']:.2%}) and were kept. Training can look "
        "worse than validation, because training images are rotated, shifted and sheared at random "
        "(augmentation) and parts of the network are switched off (dropout). Both keep the network from "
        "memorizing these images.",
        lead=(
            f"An epoch is one pass over all training images. After each epoch the network is measured on "
            f"{validation:,} validation images, which it never learns from."
        ),
    )


def _ways_section(quantization: dict[str, Any]) -> Html:
    rows = [
        (
            html.join((one["way"], " ", html.badge("chosen", "good")))
            if one["way"] == quantization["way"]
            else one["way"],
            _WAYS.get(one["way"], ""),
            f"{one['changed']:,}",
            f"{100 * one['accuracy_change']:+.2f}",
            _worst_class(one["lost"], one["gained"]),
        )
        for one in quantization["candidates"]
    ]
    images = quantization["candidates"][0]["validation_images"]
    headers = (
        "way to int8", "what it does", "images changed", "accuracy, points", "lost most (lost/gained)",
    )  # fmt: skip
    return html.section(
        _WAYS_TRIED,
        html.table(headers, rows, align="llrrl"),
        lead=(
            "A network can be rounded to whole numbers in several ways. The chosen way changes the fewest "
            f"answers of the float network to {images:,} validation images."
        ),
    )


def _parity_section(parity: ParityReport, *, longer_possible: bool) -> Html:
    return html.section(
        _PARITY,
        _verdict_in_words(parity) + (_LONGER if longer_possible and not parity.passed else ""),
        lead=(
            f"Both files answered the same {parity.images:,} test images. Below, 'before' is float and "
            "'after' is int8. Accuracy alone would not show a problem: one class can be lost while another "
            "gains."
        ),
    )


def _verdict_in_words(parity: ParityReport) -> str:
    margin = f"{points(parity.margin)} points"
    tone = verify_words.conclude(parity).tone
    if tone == "good":
        return (
            f"Yes: each class is shown to lose less than {margin} of its recall, and no guard failed. The "
            "int8 file may replace the float one."
        )
    if tone == "open":
        return (
            f"It is not decided. No class is proved to be lost, but with this number of images a loss of "
            f"{margin} cannot be excluded for some classes. This is a result, not an error."
        )
    return (
        "Not well enough: a class is recognised less often than before, or a guard failed; the box below "
        "names it. So this int8 file should not replace the float one."
    )


def _samples_section(data: FashionMnist, probabilities: np.ndarray, labels: Sequence[str]) -> Html:
    count = min(SAMPLES, len(data.y_test))
    rng = np.random.default_rng(SAMPLE_SEED)
    chosen = np.sort(rng.choice(len(data.y_test), count, replace=False))
    right = int((probabilities[chosen].argmax(axis=1) == data.y_test[chosen]).sum())
    return html.section(
        _SAMPLES,
        html.gallery(_answer_figure(data, probabilities, labels, index) for index in chosen),
        lead=(
            f"{count} test images drawn at random, with the answer of the int8 file and its confidence. "
            f"{right} of the answers are right."
        ),
    )


def _mistakes_section(data: FashionMnist, probabilities: np.ndarray, parity: ParityReport) -> Html:
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != data.y_test)
    surest = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:MISTAKES]
    figures = (_answer_figure(data, probabilities, parity.labels, index) for index in surest)
    return html.section(
        _MISTAKES,
        f"{len(wrong):,} of {len(data.y_test):,} answers are wrong. {_commonest_mistake(parity)}",
        html.gallery(figures),
        lead=(
            "These are the wrong answers with the highest confidence. Some garments are hard to name even "
            "for people, and a few labels are disputable."
        ),
    )


def _answer_figure(
    data: FashionMnist, probabilities: np.ndarray, labels: Sequence[str], index: int
) -> tuple[Html, Html]:
    truth, answer = labels[data.y_test[index]], labels[probabilities[index].argmax()]
    caption = html.join(
        (
            html.join((_right_or_wrong(answer, truth), f"{probabilities[index].max():.0%}"), " "),
            f"answer: {answer}",
            f"label: {truth}",
        ),
        "<br>",
    )
    return html.picture(data.x_test[index], alt=f"{truth}, test image {index}"), caption


def _pictures_section(found: RunResults) -> Html:
    pictures, recognized = found.pictures, found.recognized
    if pictures is None:
        return html.section(
            _PICTURES,
            "No pictures were given. 'cli report' takes a folder of photographs with --pictures; 'cli draw' "
            "makes pictures to try.",
        )
    if not recognized:
        return html.section(_PICTURES, f"None of the pictures in {pictures} could be read.")
    known = [one for one in recognized if one.truth]
    evidence: list[str | Html]
    if known:
        origin = (
            f" holds {len(recognized):,} pictures MADE by the project, not photographs: garments drawn on "
            "textured backgrounds of similar brightness, with uneven light, shift, rotation and noise. Their "
            "labels are known."
        )
        evidence = [_share_table(known)]
    else:
        origin = (
            f" holds {len(recognized):,} photographs. Their labels are not known here, so judge the answers "
            "yourself."
        )
        evidence = [
            f"The naive resize leads to the answer {_commonest(one.naive.label for one in recognized)} of "
            "them."
        ]
    places = (
        np.linspace(0, len(recognized) - 1, min(MOST_PICTURES, len(recognized))).round().astype(int)
    )
    if len(places) < len(recognized):
        evidence.append(f"{len(places)} of them are shown, spread evenly over the folder.")
    return html.section(
        _PICTURES,
        html.paragraph(html.join((html.code(str(pictures)), origin))),
        *evidence,
        html.gallery((_picture_figure(recognized[place]) for place in places), wide=True),
        lead=(
            "The network was trained on 28x28 images of a light garment on black. Our preparation cuts the "
            "garment out and brings it to this form; the naive resize reduces the whole picture to 28x28."
        ),
    )


def _share_table(known: Sequence[RecognizedPicture]) -> Html:
    ways = {
        "our preparation": [(one.prepared.label, one.truth) for one in known],
        "naive resize": [(one.naive.label, one.truth) for one in known],
    }
    rows = []
    for way, answers in ways.items():
        right = sum(answer == truth for answer, truth in answers)
        rows.append(
            (
                way,
                f"{right} of {len(answers)}",
                f"{right / len(answers):.0%}",
                _commonest(answer for answer, _ in answers),
            )
        )
    return html.table(("", "right", "share", "most frequent answer"), rows, align="lrrl")


def _picture_figure(one: RecognizedPicture) -> tuple[Html, Html]:
    figures = (
        (html.photograph(one.thumbnail_rgb, alt=one.path.name), _captioned("picture", one.truth)),
        _seen_figure("prepared", one.prepared, one),
        _seen_figure("naive", one.naive, one),
    )
    return html.strip(figures), html.code(one.path.name)


def _seen_figure(way: str, answer: PictureAnswer, one: RecognizedPicture) -> tuple[Html, Html]:
    if answer.image_u8 is None:
        image = html.escape("nothing")
    else:
        image = html.picture(answer.image_u8, alt=f"{one.path.name}, {way}")
    remark = html.escape(answer.reason or f"{answer.confidence:.0%}")
    if one.truth:
        remark = html.join((_right_or_wrong(answer.label, one.truth), remark), " ")
    return image, _captioned(way, answer.label, remark)


def _captioned(title: str, label: str | None, *more: Html) -> Html:
    name = [html.join((Html("<strong>"), label, Html("</strong>")))] if label else []
    return html.join((title, *name, *more), "<br>")


def _next_section(run: Run) -> Html:
    steps = (
        ("your own photograph", command("classify", "your-photo.jpg", "--model", run.int8)),
        (
            "live pictures (--source 0: your camera)",
            command("webcam", "--source", "test-pattern", "--model", run.int8),
        ),
        _next_training(run),
    )
    return html.section(
        _NEXT,
        html.table((), [(what, html.code(command)) for what, command in steps]),
        "'make demo' installs 'cli' as '.venv/bin/cli'; in a checkout that is not installed it is "
        "'python cli.py'.",
    )


def _next_training(run: Run) -> tuple[str, str]:
    """Suggests the command of the full training after a short one, and of the baseline after a full one."""
    network = run.config["network"]
    if run.stopped_short:
        what, name, options = "the full training", network, []
    else:
        what, name = "the same without class weights", f"{network}-unweighted"
        options = ["--class-weight", "none"]
    folder = run.folder.parent / name
    if folder == run.folder:
        folder = folder.with_name(f"{name}-2")
    return what, command("train", "--network", network, *options, "-o", folder)


# --- words


def _weights_in_words(config: dict[str, Any]) -> str:
    weighted = [
        f"{label} counts {factor:g} times"
        for label, factor in config["class_weights"].items()
        if factor != 1
    ]
    return ", ".join(weighted) or "all classes count equally"


def _file_in_words(name: str, facts: str) -> Html:
    return html.join((html.code(name), f", {facts}"))


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _worst_class(lost: dict[str, int], gained: dict[str, int]) -> str:
    worst = max(lost, key=lambda label: lost[label] - gained[label])
    return f"{worst} ({lost[worst]}/{gained[worst]})"


def _commonest(answers: Iterable[str]) -> str:
    """Returns the most frequent answer with its count, such as "'Bag' for 14"."""
    ((answer, count),) = Counter(answers).most_common(1)
    return f"'{answer}' for {count}"


def _commonest_mistake(parity: ParityReport) -> str:
    counts = np.array(parity.confusion_candidate)
    np.fill_diagonal(counts, 0)
    if not counts.any():
        return ""
    truth, answer = np.unravel_index(counts.argmax(), counts.shape)
    return (
        f"The most frequent mistake: {parity.labels[truth]} taken for {parity.labels[answer]}, "
        f"{_counted(counts.max(), 'time')}."
    )


def _right_or_wrong(answer: str, truth: str) -> Html:
    return html.badge("right", "good") if answer == truth else html.badge("wrong", "bad")

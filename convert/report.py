"""The page about a whole run, for a newcomer: training, int8, parity, mistakes, pictures, what to do next."""

from __future__ import annotations

import csv
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from garmentlite.convert import html, pipeline, verify_report
from garmentlite.convert.html import Html, Tone
from garmentlite.convert.parity import Answers, ParityReport, points
from garmentlite.convert.verify import Progress, verify
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import DataError, ModelError, PictureError
from garmentlite.edge.pictures import Picture, find_pictures, read_picture
from garmentlite.edge.preparation import naive_tile
from garmentlite.edge.recognition import name_of, recognize
from garmentlite.train import runs
from garmentlite.train.data import FashionMnist

if TYPE_CHECKING:
    from garmentlite.edge.segmenters.interface import Segmenter

SAMPLES = 30  # five rows of the page
MISTAKES = 18  # three rows
MOST_PICTURES = 24  # about 15 kB of page each
SAMPLE_SEED = 0
TRUTH_FILE = "labels.csv"  # columns image and label, as 'cli draw' writes it

# Headings of the parts, which the line of contents links to.
_SHORT, _LEARNING, _WAYS_TRIED = "In short", "Learning", "Ways to int8 that were tried"
_PARITY, _SAMPLES = "Does int8 still do what float did?", "What it answers"
_MISTAKES, _PICTURES, _NEXT = "The worst mistakes", "Pictures with a background", "What to try next"
_HEADINGS = (_SHORT, _LEARNING, _WAYS_TRIED, _PARITY, _SAMPLES, _MISTAKES, _PICTURES, _NEXT)

_TONES_OF_PARITY: dict[Tone, str] = {"good": "passed", "bad": "not passed", "open": "not decided"}
_WAYS = {
    pipeline.WAY_PLAIN: "rounded, with ranges measured on training images",
    pipeline.WAY_CORRECTED: "the same, then each class's mean score put back",
    pipeline.WAY_CUT: "finest steps where two classes compete, and ties that favour none",
    pipeline.WAY_FINE_TUNED: "the same, then trained on to answer as float does",
}

_LONGER = (
    " After a short training many garments lie almost halfway between two classes, and rounding tips some of "
    "them over. A longer training usually leaves fewer of these, and with them fewer changes: the last part "
    "of this page has the command."
)


@dataclass(frozen=True)
class _Run:
    """A finished and converted run.

    Attributes:
        folder: Of the run.
        config: What was asked for, and with what it ran.
        history: One document per epoch.
        metrics: What the float network measures.
        float32: Path of the reference.
        int8: Path of the file for the device.
        card: What is known of the conversion.
    """

    folder: Path
    config: dict[str, Any]
    history: list[dict[str, Any]]
    metrics: dict[str, Any]
    float32: Path
    int8: Path
    card: dict[str, Any]

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights were kept."""
        return max(epoch["epoch"] for epoch in self.history if epoch["best"])


@dataclass(frozen=True)
class _Answer:
    """What the network said to a picture that was brought to its form in one of two ways.

    Attributes:
        label: One of the model's labels, "unknown" or "no garment".
        confidence: Its probability, in [0, 1].
        seen_u8: What the network saw, uint8, shape (28, 28); None where there was nothing to show it.
        reason: Why there was nothing; None where there was something.
    """

    label: str
    confidence: float
    seen_u8: np.ndarray | None
    reason: str | None = None


@dataclass(frozen=True)
class _Looked:
    """One picture under both preparations.

    Attributes:
        path: Its file.
        picture: Its pixels, reduced and ready for the page.
        truth: Its label; None where it is not known.
        prepared: The answer with our preparation.
        naive: The answer with the naive resize.
    """

    path: Path
    picture: Html
    truth: str | None
    prepared: _Answer
    naive: _Answer


def build(
    run: Path,
    data: FashionMnist,
    pictures: Path | None,
    segmenter: Segmenter,
    *,
    margin: float,
    on_progress: Progress,
    warn: Callable[[str], None],
) -> str:
    """Everything about a run on one self-contained page.

    Args:
        run: Folder of a finished run that was converted to int8.
        data: Fashion-MNIST; its test images go through both files.
        pictures: Folder of pictures to recognise, or one picture; None for none. A `labels.csv` in the
            folder, as 'cli draw' writes it, says that they are drawn and what they show.
        segmenter: How the garment is told from its background in them.
        margin: Largest loss of recall that the parity check accepts, in (0, 1).
        on_progress: Called with done and all, first over the pictures, then over the test images.
        warn: Called with a sentence for every picture that cannot be read.

    Returns:
        The text of an HTML file.

    Raises:
        DataError: If the folder holds no finished run, or `labels.csv` is not as it should be.
        ModelError: If it was not converted, or its two files do not fit each other.
        PictureError: If `pictures` holds no picture at all.
    """
    found = _read_run(run)
    looked = _look_at(pictures, Classifier(found.int8), segmenter, on_progress, warn)
    reference, candidate = Classifier(found.float32), Classifier(found.int8)
    given: list[Answers] = []
    parity = verify(
        reference,
        candidate,
        data.x_test,
        data.y_test,
        margin=margin,
        on_progress=on_progress,
        on_answers=given.append,
    )
    probabilities = given[0].probabilities
    return html.page(
        f"{found.config['network']}: from training to int8",
        html.contents(_HEADINGS),
        _facts_section(found, parity),
        _curves_section(found),
        _ways_section(found.card["quantization"]),
        _parity_section(parity, longer_possible=_stopped_short(found)),
        *verify_report.to_sections(parity, data.x_test),
        _samples_section(data, probabilities, parity.labels),
        _mistakes_section(data, probabilities, parity),
        _pictures_section(pictures, looked),
        _next_section(found),
        lead=f"What happened in {found.folder}, from the first epoch to the file for the device.",
    )


# --- reading the folder


def _read_run(folder: Path) -> _Run:
    config = runs.read_json(folder, runs.CONFIG)
    history = runs.read_json(folder, runs.HISTORY)
    metrics = runs.read_json(folder, runs.METRICS)
    paths = pipeline.output_paths(folder, _name_of_files(folder, config["network"]))
    missing = [paths[kind].name for kind in ("float32", "int8", "card") if not paths[kind].exists()]
    if missing:
        raise ModelError(
            f"{folder} is not converted yet ({', '.join(missing)} not there); run: "
            f"{_command('convert', folder, '--int8', '--force')}"
        )
    card = runs.read_json(folder, paths["card"].name)
    return _Run(folder, config, history, metrics, paths["float32"], paths["int8"], card)


def _name_of_files(folder: Path, network: str) -> str:
    """What the files made from a run are called: the network's name, or what the only int8 file has."""
    others = list(folder.glob("*_int8.tflite"))
    if len(others) == 1:
        return others[0].name.removesuffix("_int8.tflite")
    return network


def _read_truth(pictures: Path) -> dict[Path, str]:
    """What the pictures show, as far as it is known."""
    path = pictures / TRUTH_FILE
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return {pictures / row["image"]: row["label"] for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(
            f"{path} is not a table with the columns image and label; draw the pictures again "
            f"({_command('draw', pictures, '--force')}) or remove it."
        ) from error


# --- looking at pictures


def _look_at(
    pictures: Path | None,
    classifier: Classifier,
    segmenter: Segmenter,
    on_progress: Progress,
    warn: Callable[[str], None],
) -> list[_Looked]:
    if pictures is None:
        return []
    truth = _read_truth(pictures)
    paths = find_pictures([pictures])
    looked = []
    for number, path in enumerate(paths, start=1):
        try:
            picture = read_picture(path)
        except PictureError as error:
            warn(str(error))
        else:
            looked.append(_look(path, picture, truth.get(path), classifier, segmenter))
        on_progress(number, len(paths))
    return looked


def _look(
    path: Path, picture: Picture, truth: str | None, classifier: Classifier, segmenter: Segmenter
) -> _Looked:
    ours = recognize(picture, classifier, segmenter)
    naive_u8 = naive_tile(picture.rgb)
    label, confidence = name_of(classifier.probabilities(naive_u8[np.newaxis])[0], classifier)
    return _Looked(
        path,
        html.photograph(picture.rgb, alt=path.name),
        truth,
        _Answer(
            ours.label,
            ours.confidence,
            ours.image_u8,
            ours.reason,
        ),
        _Answer(label, confidence, naive_u8),
    )


# --- the parts of the page


def _facts_section(run: _Run, parity: ParityReport) -> Html:
    config, conclusion = run.config, verify_report.conclude(parity)
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
            f"{hardest.label}: of its images {hardest.recall_candidate:.1%} are recognised (int8)",
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
            "A network learned to name ten kinds of garments. It was then rewritten with whole numbers "
            "from -128 to 127 (int8) for small devices, and checked for what that changed."
        ),
    )


def _curves_section(run: _Run) -> Html:
    charts = [
        html.line_chart(
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
        html.side_by_side(*charts),
        f"The dashed line is epoch {run.kept_epoch}: its weights had the lowest validation loss "
        f"({kept['val_loss']:.3f}, accuracy {kept['val_accuracy']:.2%}) and were kept. Training can look "
        "worse than validation: its images are turned, shifted and sheared at random and parts of the "
        "network are switched off (dropout), so that it does not learn these images by heart.",
        lead=(
            f"An epoch is one pass over all training images. After each, {validation:,} images that the "
            "network never learns from (validation) tell how good it has become."
        ),
    )


def _ways_section(quantization: dict[str, Any]) -> Html:
    rows = [
        (
            html.join((one["way"], " ", html.badge("taken", "good")))
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
            "Rounding a network to whole numbers can be done in several ways. The one was taken that gives "
            f"the fewest of {images:,} validation images another answer than float does."
        ),
    )


def _parity_section(parity: ParityReport, *, longer_possible: bool) -> Html:
    return html.section(
        _PARITY,
        _verdict_in_words(parity) + (_LONGER if longer_possible and not parity.passed else ""),
        lead=(
            f"The same {parity.images:,} test images went through both files. Below, 'before' is float and "
            "'after' is int8. Accuracy alone would not tell: a class can be lost while another gains."
        ),
    )


def _verdict_in_words(parity: ParityReport) -> str:
    margin = f"{points(parity.margin)} points"
    tone = verify_report.conclude(parity).tone
    if tone == "good":
        return (
            f"Yes: for every class it is shown that it loses less than {margin} of its recall, and no "
            "other guard failed. The int8 file may replace the float one."
        )
    if tone == "open":
        return (
            f"It is not decided. No class is proved to be lost, but for some a loss of {margin} cannot be "
            "excluded with this many images. That is an honest answer, not an error."
        )
    return (
        "Not well enough: a class is recognised less often than before, or one of the other guards failed; "
        "the box below says which. The check did its work: this int8 file should not replace the float one."
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
            f"{count} test images drawn by chance, with the answer of the int8 file and how sure it is: "
            f"{right} of them right."
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
            "The wrong answers it was surest of. Look for yourself: some garments are hard to name even for "
            "people, and a few carry a label that can be disputed."
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


def _pictures_section(pictures: Path | None, looked: Sequence[_Looked]) -> Html:
    if pictures is None:
        return html.section(
            _PICTURES,
            "None were given. 'cli report' takes a folder of photographs with --pictures; 'cli draw' makes "
            "pictures to try.",
        )
    if not looked:
        return html.section(_PICTURES, f"None of the pictures in {pictures} could be read.")
    known = [one for one in looked if one.truth]
    evidence: list[str | Html]
    if known:
        origin = (
            f" holds {len(looked):,} pictures MADE by the project, not photographs: garments drawn on "
            "textured grounds as light or dark as they are, with uneven light, shift, rotation and noise. "
            "What they show is known."
        )
        evidence = [_share_table(known)]
    else:
        origin = (
            f" holds {len(looked):,} photographs. What they show is not known here, so judge the answers "
            "yourself."
        )
        evidence = [
            f"The naive way answers {_commonest(one.naive.label for one in looked)} of them."
        ]
    places = np.linspace(0, len(looked) - 1, min(MOST_PICTURES, len(looked))).round().astype(int)
    if len(places) < len(looked):
        evidence.append(f"{len(places)} of them are shown, spread evenly over the folder.")
    return html.section(
        _PICTURES,
        html.paragraph(html.join((html.code(str(pictures)), origin))),
        *evidence,
        html.gallery((_looked_figure(looked[place]) for place in places), wide=True),
        lead=(
            "The network knows 28x28 images of a light garment on black. Our preparation cuts the garment "
            "out and brings it to that form; the naive way squeezes the whole picture to 28x28."
        ),
    )


def _share_table(known: Sequence[_Looked]) -> Html:
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
    return html.table(("", "right", "share", "commonest answer"), rows, align="lrrl")


def _looked_figure(one: _Looked) -> tuple[Html, Html]:
    figures = (
        (one.picture, _captioned("picture", one.truth)),
        _seen_figure("prepared", one.prepared, one),
        _seen_figure("naive", one.naive, one),
    )
    return html.strip(figures), html.code(one.path.name)


def _seen_figure(way: str, answer: _Answer, one: _Looked) -> tuple[Html, Html]:
    if answer.seen_u8 is None:
        image = html.escape("nothing")
    else:
        image = html.picture(answer.seen_u8, alt=f"{one.path.name}, {way}")
    remark = html.escape(answer.reason or f"{answer.confidence:.0%}")
    if one.truth:
        remark = html.join((_right_or_wrong(answer.label, one.truth), remark), " ")
    return image, _captioned(way, answer.label, remark)


def _captioned(title: str, label: str | None, *more: Html) -> Html:
    name = [html.join((Html("<strong>"), label, Html("</strong>")))] if label else []
    return html.join((title, *name, *more), "<br>")


def _next_section(run: _Run) -> Html:
    steps = (
        ("your own photograph", _command("classify", "your-photo.jpg", "--model", run.int8)),
        (
            "live pictures (--source 0: your camera)",
            _command("webcam", "--source", "test-pattern", "--model", run.int8),
        ),
        _next_training(run),
    )
    return html.section(
        _NEXT,
        html.table((), [(what, html.code(command)) for what, command in steps]),
        "'make demo' installs 'cli' as '.venv/bin/cli'; in a checkout that is not installed it is "
        "'python cli.py'.",
    )


def _next_training(run: _Run) -> tuple[str, str]:
    """The full training after a short one, and after a full one the baseline it should be compared with."""
    network = run.config["network"]
    if _stopped_short(run):
        what, name, options = "the full training", network, []
    else:
        what, name = "the same without class weights", f"{network}-unweighted"
        options = ["--class-weight", "none"]
    folder = run.folder.parent / name
    if folder == run.folder:
        folder = folder.with_name(f"{name}-2")
    return what, _command("train", "--network", network, *options, "-o", folder)


def _stopped_short(run: _Run) -> bool:
    """Whether training ended while it was still getting better, as far as it can be known."""
    return run.metrics["ended"] == "all epochs done"


# --- words


def _command(*words: str | Path) -> str:
    return shlex.join(["cli", *map(str, words)])


def _weights_in_words(config: dict[str, Any]) -> str:
    weighted = [
        f"{label} counts {factor:g} times"
        for label, factor in config["class_weights"].items()
        if factor != 1
    ]
    return ", ".join(weighted) or "all classes count alike"


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
    """Such as "'Bag' for 14"."""
    ((answer, count),) = Counter(answers).most_common(1)
    return f"'{answer}' for {count}"


def _commonest_mistake(parity: ParityReport) -> str:
    counts = np.array(parity.confusion_candidate)
    np.fill_diagonal(counts, 0)
    if not counts.any():
        return ""
    truth, answer = np.unravel_index(counts.argmax(), counts.shape)
    return (
        f"The commonest mistake: {parity.labels[truth]} taken for {parity.labels[answer]}, "
        f"{_counted(counts.max(), 'time')}."
    )


def _right_or_wrong(answer: str, truth: str) -> Html:
    return html.badge("right", "good") if answer == truth else html.badge("wrong", "bad")

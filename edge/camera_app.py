"""The camera app: makes the source, the recognizer and the sinks that a user asked for, and runs them."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from garmentlite.edge.broker_address import BrokerAddress
from garmentlite.edge.callbacks import Say
from garmentlite.edge.camera_recognizer import open_camera_model
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.collected import CollectedPictures, CollectRequest
from garmentlite.edge.controls import Controls, Settings
from garmentlite.edge.errors import MissingPartError, ModelError
from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox
from garmentlite.edge.model_comparison import Compare
from garmentlite.edge.model_swap import ModelSwap
from garmentlite.edge.page.address import Address
from garmentlite.edge.page.features import Feature
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.segmenters.registry import DEFAULT_SEGMENTER
from garmentlite.edge.shipped import default_model
from garmentlite.edge.sinks.collected import CollectedSink
from garmentlite.edge.sinks.display import Display
from garmentlite.edge.sinks.interface import Sink
from garmentlite.edge.sinks.json_lines import JsonLinesSink
from garmentlite.edge.sinks.log_file import LogRequest, LogSink
from garmentlite.edge.sinks.mqtt import MqttSink
from garmentlite.edge.sinks.only_changes import OnlyChangesSink
from garmentlite.edge.sinks.page import PageSink
from garmentlite.edge.sinks.recording import RecordingRequest, RecordingSink
from garmentlite.edge.sinks.watchdog import watchdog_from_environment
from garmentlite.edge.sinks.window import WindowSink
from garmentlite.edge.sources.first_camera import FIRST_CAMERA
from garmentlite.edge.sources.interface import DEFAULT_RESOLUTION_WH
from garmentlite.edge.sources.registry import open_source
from garmentlite.edge.stream import GarmentStream, run


@dataclass(frozen=True)
class CameraRequest:
    """What a user asks the camera app for; the options of `cli webcam`.

    Attributes:
        source: Where the frames come from, as `open_source` takes it.
        resolution_wh: Width and height in pixels that a camera is asked for and the test pattern has.
        fps: Frames per second that a camera is asked for; None for its default.
        rotation: By how many degrees each frame is turned clockwise: 0, 90, 180 or 270.
        is_mirrored: Whether left and right of each frame are swapped, after it was turned.
        allow_static: Whether a camera may repeat one frame without being taken for a frozen one.
        model: A .tflite file; None for the default model.
        labels: Class names in place of the model's own; None to take those.
        input_range: The numbers that stand for pixels in a model of another program; None to find them out.
        segmenter: Name of the segmenter.
        box: Where a garment is expected.
        has_window: Whether the answers are shown in a window. If none can be opened, they are printed.
        prints_json: Whether the answers are printed as JSON lines on standard output.
        serve: Where a page is served; None for no page.
        allowed_hosts: More host names under which the page may be opened.
        only_changes: Whether JSON lines are left out while the answer stays the same.
        record: Where and how a video is recorded; None for none.
        log: Where and how the answers are logged; None for no log.
        top_k: Number of classes that are listed in JSON.
        broker: The MQTT broker to which the answers are published; None for no broker.
        collect: Where and how pictures for training are kept; None to keep none.
        watch_model: A .tflite file that is used in place of `model` once it is there, and each time that it
            changes; None to watch no file.
        max_frames: Largest number of frames to answer; None for no limit.
    """

    source: str = FIRST_CAMERA
    resolution_wh: tuple[int, int] = DEFAULT_RESOLUTION_WH
    fps: float | None = None
    rotation: int = 0
    is_mirrored: bool = False
    allow_static: bool = False
    model: Path | None = None
    labels: list[str] | None = None
    input_range: str | None = None
    segmenter: str = DEFAULT_SEGMENTER
    box: GuideBox = DEFAULT_BOX
    has_window: bool = True
    prints_json: bool = False
    serve: Address | None = None
    allowed_hosts: tuple[str, ...] = ()
    only_changes: bool = False
    record: RecordingRequest | None = None
    log: LogRequest | None = None
    top_k: int = 3
    broker: BrokerAddress | None = None
    collect: CollectRequest | None = None
    watch_model: Path | None = None
    max_frames: int | None = None

    @property
    def output_folders(self) -> tuple[Path, ...]:
        """The folders that the app writes to, as absolute paths."""
        files = (self.record and self.record.path, self.log and self.log.path, self.watch_model)
        folders = [path.absolute().parent for path in files if path]
        return (*folders, *([self.collect.folder.absolute()] if self.collect else []))


@dataclass(frozen=True)
class CameraOutcome:
    """What the camera app did.

    Attributes:
        answered: Number of frames that were answered.
        unreadable: Number of pictures and videos that could not be read as a whole.
        was_stopped: Whether the user ended the app before the source ended.
    """

    answered: int
    unreadable: int
    was_stopped: bool

    @property
    def is_complete(self) -> bool:
        """Whether all could be read, and there was something to answer unless the user ended the app."""
        return self.unreadable == 0 and (self.answered > 0 or self.was_stopped)


def run_camera_app(
    request: CameraRequest, say: Say, compare: Compare | None = None
) -> CameraOutcome:
    """Runs the camera app until the source ends or the user ends it; everything is closed by then.

    Args:
        request: What the user asks for.
        say: Shows the user a sentence while the app runs, such as the name of a picture that cannot be read.
        compare: Compares a new model with the one in use on held-out pictures; None to compare none.

    Raises:
        GarmentliteError: If the source, the model or a sink cannot be opened, or if the last sink failed.
        KeyboardInterrupt: If the user pressed Ctrl-C.
    """
    unreadable: list[str] = []

    def warn(sentence: str) -> None:
        unreadable.append(sentence)
        say(f"Error: {sentence}")

    source = open_source(
        request.source,
        resolution_wh=request.resolution_wh,
        fps=request.fps,
        allow_static=request.allow_static,
        warn=warn,
        note=say,
    )
    recognizer = _recognizer(request, say)
    controls = Controls(
        Settings(box=request.box, rotation=request.rotation, is_mirrored=request.is_mirrored)
    )
    stream = GarmentStream(source, recognizer, controls=controls)
    labels = recognizer.classifier.labels
    collected = CollectedPictures(request.collect, labels, say) if request.collect else None
    swap = (
        ModelSwap(
            request.watch_model, recognizer.classifier, stream.change_model, say,
            labels=request.labels, input_range=request.input_range, collected=collected, compare=compare,
        )
        if request.watch_model
        else None
    )  # fmt: skip
    sinks = _sinks(request, controls, collected, swap, say)
    with swap or nullcontext():
        answered = run(stream, sinks, max_frames=request.max_frames, say=say)
    was_stopped = controls.settings.is_stopped
    if not (answered or unreadable or was_stopped):
        say("Error: The source ended before one of its frames was answered; give it more frames.")
    return CameraOutcome(answered, len(unreadable), was_stopped)


def _recognizer(request: CameraRequest, say: Say) -> Recognizer:
    classifier = _first_classifier(request, say)
    for doubt in classifier.doubts():
        say(f"Note: {doubt}")
    return Recognizer(classifier, request.segmenter, prepare="garment")


def _picture_recognizer(request: CameraRequest, swap: ModelSwap | None) -> Recognizer:
    """Makes a recognizer of the model in use for a picture that is sent to the page."""
    classifier = swap.for_pictures if swap else _chosen_classifier(request)
    return Recognizer(classifier, request.segmenter, prepare="garment")


def _first_classifier(request: CameraRequest, say: Say) -> Classifier:
    """Opens the watched model; while it is missing or cannot be used, the other one."""
    if request.watch_model and request.watch_model.exists():
        try:
            return open_camera_model(request.watch_model, request.labels, request.input_range)
        except ModelError as error:
            say(f"Error: {error} Another model is used until the file has changed.")
    return _chosen_classifier(request)


def _chosen_classifier(request: CameraRequest) -> Classifier:
    return open_camera_model(request.model or default_model(), request.labels, request.input_range)


def _sinks(
    request: CameraRequest,
    controls: Controls,
    collected: CollectedPictures | None,
    swap: ModelSwap | None,
    say: Say,
) -> list[Sink]:
    """Makes the sinks that the user asked for; a new one is a class in `edge/sinks/` and one line here."""
    sinks: list[Sink] = []
    falls_back = False
    if request.has_window:
        try:
            sinks.append(WindowSink(Display(), controls, collected=collected))
        except MissingPartError as obstacle:
            falls_back = request.serve is None
            if falls_back:
                say(f"No window: {obstacle} Printing JSON lines.")
    if request.prints_json or falls_back:
        lines = JsonLinesSink(sys.stdout, top_k=request.top_k)
        sinks.append(OnlyChangesSink(lines) if request.only_changes else lines)
    if request.record:
        sinks.append(RecordingSink(request.record))
    if request.log:
        log = LogSink(request.log, top_k=request.top_k)
        sinks.append(OnlyChangesSink(log) if request.only_changes else log)
    if request.broker:
        sinks.append(MqttSink(request.broker, say))
    collector = CollectedSink(collected) if collected else None
    if collector:
        sinks.append(collector)
    if request.serve is not None:
        hosts = request.allowed_hosts
        sinks.append(
            PageSink(
                request.serve,
                controls,
                partial(_picture_recognizer, request, swap),
                say,
                allowed_hosts=hosts,
                features=_panels(collector, swap),
            )
        )
    watchdog = watchdog_from_environment()
    if watchdog:
        sinks.append(watchdog)
    return sinks


def _panels(collector: CollectedSink | None, swap: ModelSwap | None) -> list[Feature]:
    """Makes the panels of the page that belong to options."""
    # Imported here, since tornado takes a tenth of a second and not every app has a page.
    from garmentlite.edge.page.collected_panel import collected_panel
    from garmentlite.edge.page.model_panel import model_panel

    panels = [collected_panel(collector)] if collector else []
    return panels + ([model_panel(swap)] if swap else [])

"""Recognizes each frame of a source and makes the answers steady over time.

Still pictures are recognized one by one. Frames of a camera or a video are compared with the empty scene.
"""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

from garmentlite.edge.callbacks import Say
from garmentlite.edge.camera_recognizer import NOTHING_MOVED, CameraRecognizer
from garmentlite.edge.camera_state import CameraState, CameraStatus
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.controls import Controls, Settings
from garmentlite.edge.errors import SourceError
from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox
from garmentlite.edge.recognition import Recognition, scores_of
from garmentlite.edge.recognizer import Recognizer
from garmentlite.edge.sinks.interface import Sighting, Sink
from garmentlite.edge.sinks.side_by_side import SideBySide
from garmentlite.edge.smoothing import Smoother
from garmentlite.edge.sources.interface import Frame, Source
from garmentlite.edge.sources.registry import open_source

RATE_FRAMES = 30  # number of frames over which the rate is measured
IDLE_SECONDS = 0.1  # pause between two states while no frame is answered


class GarmentStream:
    """The answers to the frames of a camera or another source.

    A `with` block holds the source open and always closes it, and a `for` loop inside the block reads the
    answers:

        with GarmentStream("0", Recognizer()) as stream:
            for sighting in stream:
                print(sighting.recognition.label)

    Attributes:
        controls: Change the guide box, mirror the frames, pause or stop the stream while it runs.
    """

    def __init__(
        self,
        source: str | int | Path | Source,
        recognizer: Recognizer,
        *,
        smoother: Smoother | None = None,
        box: GuideBox = DEFAULT_BOX,
        controls: Controls | None = None,
    ) -> None:
        """Chooses the source; the `with` block opens it.

        Args:
            source: A text that `open_source` knows, such as "0", the number of a camera, or a source object.
                A picture or video that cannot be read as a whole causes a Python warning.
            recognizer: Names the garment in each frame.
            smoother: Makes the answers steady; None makes one with the model's labels and threshold.
            box: Where a garment is expected in the frames of a camera or a video.
            controls: Change the settings while the stream runs; their `box` takes the place of `box`. None
                makes new ones.

        Raises:
            SourceError: If there is no such source.
        """
        self._source = _source_of(source)
        self._recognizer = recognizer
        self._smoother = smoother or Smoother(
            recognizer.classifier.labels,
            unknown_threshold=recognizer.classifier.unknown_threshold,
        )
        self.controls = controls or Controls(Settings(box=box))
        self._camera_recognizer = CameraRecognizer(recognizer, self.controls.settings.box)
        self._new_models: deque[Classifier] = deque(maxlen=1)
        self._is_open = False

    def change_model(self, classifier: Classifier) -> None:
        """Answers with another model from the next frame on; any thread may call this.

        Args:
            classifier: The model. From now on, nobody else may use it.
        """
        self._new_models.append(classifier)

    def __enter__(self) -> Self:
        """Opens the source; raises `SourceError` if that fails."""
        self._source.__enter__()
        self._is_open = True
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the source."""
        self._is_open = False
        self._source.__exit__(*exception)

    def __iter__(self) -> Iterator[Sighting]:
        """Yields the answer to each frame until the source ends; a camera that is lost is waited for.

        Raises:
            SourceError: If no frame of a video can be read.
            RuntimeError: If the stream is not open.
        """
        yield from (event for event in self.events() if isinstance(event, Sighting))

    def events(self) -> Iterator[Sighting | CameraState]:
        """Yields the answer to each frame, and the state of the camera while its frames are not answered.

        A state is yielded when it changes, and about ten times a second for as long as no frame is answered.

        Raises:
            SourceError: If no frame of a video can be read.
            RuntimeError: If the stream is not open.
        """
        if not self._is_open:
            raise RuntimeError(
                "The stream is not open; read it inside 'with GarmentStream(...) as stream:'."
            )
        rate = FrameRate()
        view: tuple[object, ...] | None = None  # another one shows another scene
        self._smoother.reset()
        self._camera_recognizer.forget()
        for item, capture_ms in _timed(self._source):
            if isinstance(item, CameraState):
                if self.controls.settings.is_stopped:
                    return
                if item.status is not CameraStatus.OK:
                    rate = FrameRate()
                    self._forget(item)
                    yield item
                continue
            if self.controls.settings.is_paused:
                yield from self._paused(item.time)
                rate = FrameRate()
                if self._source.camera is not None:  # this frame is old by now
                    continue
            settings = self.controls.settings
            if settings.is_stopped:
                return
            self._take_new_model()
            last_view, view = view, (item.name, settings.rotation, settings.is_mirrored)
            if view != last_view:
                self._smoother.reset()
                self._camera_recognizer.forget()
            yield self._sighting(item, settings, capture_ms, rate)

    def _sighting(
        self, frame: Frame, settings: Settings, capture_ms: float, rate: FrameRate
    ) -> Sighting:
        """Turns a frame as the settings say, and answers it."""
        frame = frame.turned(settings.rotation)
        if settings.is_mirrored:
            frame = frame.mirrored()
        self._camera_recognizer.box = settings.box
        recognition = self._answer_to(frame)
        return Sighting(
            frame=frame,
            recognition=self._steadied(recognition, frame.time, capture_ms),
            answer_to_frame=recognition,
            frames_per_second=rate.tick(time.perf_counter()),
            clock=time.time(),
            camera=self._source.camera,
            guide_box=settings.box if frame.name is None else None,
        )

    def _forget(self, camera: CameraState) -> None:
        """Forgets what a camera showed before its frames could not be answered."""
        self._smoother.reset()
        # A camera that was opened again may see something else.
        if camera.status in (CameraStatus.LOST, CameraStatus.FROZEN):
            self._camera_recognizer.forget()

    def _paused(self, seconds: float) -> Iterator[CameraState]:
        """Yields the state until the user goes on or stops."""
        camera = self._source.camera or CameraState(CameraStatus.PAUSED, since=seconds)
        state = replace(camera, status=CameraStatus.PAUSED, message="The app is paused.")
        while self.controls.settings.is_paused and not self.controls.settings.is_stopped:
            self._smoother.reset()
            yield state
            time.sleep(IDLE_SECONDS)

    def _take_new_model(self) -> None:
        """Answers with the model that `change_model` was called with, if it was called."""
        try:
            classifier = self._new_models.pop()
        except IndexError:
            return
        self._recognizer.classifier = classifier
        self._camera_recognizer.change_classifier(classifier)
        self._smoother = Smoother(classifier.labels, unknown_threshold=classifier.unknown_threshold)

    def _answer_to(self, frame: Frame) -> Recognition:
        """Recognizes a still picture by itself, and any other frame as one of a fixed camera."""
        if frame.name is not None:
            return self._recognizer.recognize(frame.picture())
        return self._camera_recognizer.recognize(frame.bgr, frame.time)

    def _steadied(self, recognition: Recognition, seconds: float, capture_ms: float) -> Recognition:
        """Replaces the label and the probabilities of one frame by the steady ones."""
        if recognition.reason == NOTHING_MOVED:
            self._smoother.reset()
        steady = self._smoother.update(seconds, recognition.probabilities)
        probabilities, labels = steady.probabilities, self._recognizer.classifier.labels
        return replace(
            recognition,
            label=steady.label,
            confidence=0.0 if probabilities is None else float(probabilities.max()),
            scores=[] if probabilities is None else scores_of(probabilities, labels),
            probabilities=probabilities,
            latency_ms={"capture": capture_ms, **recognition.latency_ms},
        )


def run(
    stream: GarmentStream,
    sinks: Sequence[Sink],
    *,
    max_frames: int | None = None,
    say: Say = warnings.warn,
) -> int:
    """Sends answers to sinks until the stream ends or is stopped, or no sink wants more.

    The stream and the sinks are always closed, even after an exception such as KeyboardInterrupt. A sink that
    fails or wants no more is closed alone, and the others go on. When none wants more, the stream's controls
    are stopped.

    Args:
        stream: Opened here.
        sinks: Opened here after the stream, at least one. Each of them gets each answer.
        max_frames: Largest number of frames to answer, at least 1, after which it ends; None for no limit.
        say: Called with one sentence for each sink that fails while others go on.

    Returns:
        The number of frames that were answered.

    Raises:
        SourceError: If the source cannot be opened.
        GarmentliteError: If a sink cannot be opened, or if the last sink fails.
    """
    answered = 0
    with stream, SideBySide(sinks, say) as side_by_side:
        for event in stream.events():
            if isinstance(event, Sighting):
                answered += 1
                wants_more = side_by_side.show(event)
            else:
                wants_more = side_by_side.show_state(event)
            if not wants_more:
                stream.controls.change(is_stopped=True)
            if stream.controls.settings.is_stopped or answered == max_frames:
                break
    return answered


class FrameRate:
    """Measures frames per second over the last `RATE_FRAMES` frames."""

    def __init__(self) -> None:
        """Starts without a frame."""
        self._ticks: deque[float] = deque(maxlen=RATE_FRAMES)

    def tick(self, seconds: float) -> float:
        """Adds the time of a frame; returns the rate, or 0 after the first frame."""
        self._ticks.append(seconds)
        span = self._ticks[-1] - self._ticks[0]
        # There are n - 1 intervals between n frames.
        return (len(self._ticks) - 1) / span if span > 0 else 0.0


def _source_of(source: object) -> Source:
    """Makes a source of what a program passes as one."""
    if isinstance(source, str | int | Path) and not isinstance(source, bool):
        return open_source(str(source))
    if hasattr(source, "__enter__") and hasattr(source, "__iter__"):
        return source  # type: ignore[return-value]
    raise SourceError(
        f"{source!r} is no source of frames; give the number of a camera, a text such as 'test-pattern', a "
        "path or a source object."
    )


def _timed(
    items: Iterable[Frame | CameraState],
) -> Iterator[tuple[Frame | CameraState, float]]:
    """Yields each item with the milliseconds that were spent waiting for it."""
    iterator = iter(items)
    while True:
        start = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        yield item, (time.perf_counter() - start) * 1000

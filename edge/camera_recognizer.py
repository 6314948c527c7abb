"""Names the garment that is held up before a fixed camera, and runs no network while nothing changes.

These modules share the work, from the frame to the pixel:

    camera_recognizer   decides whether a frame needs a new answer, and asks the network for it
    camera_segmenter    finds the garment in a frame, by the empty scene and the search
    empty_scene         learns what the scene looks like without a garment, and what differs from it
    scene_model         compares a frame with one scene: exposure, noise and edges of each pixel
    held_garment        tells whether somebody holds the garment, or has left it in the scene
    garment_search      chooses the windows of the frame that the segmentation network looks at
    guide_box           is the part of the frame in which a garment is expected
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from garmentlite.edge.camera_segmenter import CameraSegmenter
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import ModelError
from garmentlite.edge.guide_box import DEFAULT_BOX, GuideBox
from garmentlite.edge.labels import NO_GARMENT
from garmentlite.edge.pictures import MAX_SIDE, Picture
from garmentlite.edge.preparation import TILE
from garmentlite.edge.recognition import Recognition, recognize
from garmentlite.edge.recognizer import Recognizer

NOTHING_NEW = "nothing differs from the empty scene"
NOTHING_MOVED = "what stands out has not moved since it was first seen"


class CameraRecognizer:
    """Names the garment that is held up before a fixed camera.

    The answer to a frame depends on the frames before it: they show what the scene looks like without a
    garment. For single pictures use `Recognizer`.
    """

    def __init__(self, recognizer: Recognizer, box: GuideBox = DEFAULT_BOX) -> None:
        """Starts without a scene.

        Args:
            recognizer: Provides the model and the segmenter.
            box: Where the garment is expected.

        Raises:
            ModelError: If the recognizer does not look for garments, because its model takes other images.
        """
        if recognizer.preparer.way != "garment":
            raise ModelError(
                f"{recognizer.classifier.path} is not asked about garments, and a camera needs a model of "
                f"garments; choose one that takes {TILE}x{TILE} images."
            )
        self._classifier = recognizer.classifier
        self._segmenter = CameraSegmenter(recognizer.segmenter, box)
        self._last: Recognition | None = None

    @property
    def box(self) -> GuideBox:
        """Where the garment is expected; it may be changed between two frames."""
        return self._segmenter.box

    @box.setter
    def box(self, box: GuideBox) -> None:
        self._segmenter.box = box

    def change_classifier(self, classifier: Classifier) -> None:
        """Answers with another model from the next frame on; what is known about the scene stays."""
        self._classifier = classifier
        self._last = None

    def forget(self) -> None:
        """Forgets the scene; call it when another source begins or the camera was opened again."""
        self._segmenter.forget()
        self._last = None

    def recognize(self, frame_bgr: np.ndarray, seconds: float) -> Recognition:
        """Finds the garment that is held up in a frame and names it.

        Args:
            frame_bgr: uint8, shape (H, W, 3), BGR. It is not changed.
            seconds: When the frame was taken; at least the time of the last call.

        Returns:
            The answer. In `latency_ms`, "segment" includes the comparison with the empty scene. "infer" is
            missing for an empty scene and for an unchanged frame, since no network runs then.

        Raises:
            ModelError: If the network computes outputs that are not finite.
            MissingPartError: If OpenCV is not installed.
        """
        start = time.perf_counter()
        # Twice the pixels of a photograph, since the segmenter looks at a part of the frame alone.
        picture = Picture.from_bgr(frame_bgr, least_side=MAX_SIDE)
        difference = self._segmenter.look(picture.rgb, seconds)
        compare_ms = (time.perf_counter() - start) * 1000
        is_computed = False
        if difference.is_empty:
            recognition = self._nothing(frame_bgr.shape)
            self._segmenter.note(None)
        elif difference.is_unchanged and self._last is not None:
            recognition = self._last
            self._segmenter.keep()
        else:
            is_computed = True
            recognition = recognize(picture, self._classifier, self._segmenter)
            self._segmenter.note(None if recognition.image_u8 is None else recognition.mask)
        if is_computed:
            latency_ms = dict(recognition.latency_ms)
            latency_ms["segment"] += compare_ms
        else:
            rest_ms = (time.perf_counter() - start) * 1000 - compare_ms
            latency_ms = {"segment": compare_ms, "prepare": rest_ms}
        self._last = recognition
        if recognition.image_u8 is not None and not self._segmenter.is_held:
            recognition = _withheld(recognition)
        return replace(recognition, latency_ms=latency_ms)

    def _nothing(self, shape: tuple[int, ...]) -> Recognition:
        return Recognition(
            label=NO_GARMENT,
            confidence=0.0,
            scores=[],
            probabilities=None,
            image_u8=None,
            mask=np.zeros(shape[:2], bool),
            box=None,
            reason=NOTHING_NEW,
            form="photo",
            segmenter=self._segmenter.name,
            latency_ms={},
        )


def open_camera_model(
    path: Path, labels: Sequence[str] | None = None, input_range: str | None = None
) -> Classifier:
    """Opens a model of garments and lets it answer once, so that its first frame takes no longer than others.

    Args:
        path: A `.tflite` file.
        labels: Class names in place of those in the file.
        input_range: See `Classifier`.

    Raises:
        ModelError: If it cannot be used, or does not take images of 28x28 pixels.
    """
    classifier = Classifier(path, labels=labels, input_range=input_range)
    if classifier.image_size != (TILE, TILE):
        height, width = classifier.image_size
        raise ModelError(
            f"{path} takes images of {height}x{width} pixels, expected {TILE}x{TILE}; choose a model for "
            "garments."
        )
    classifier.probabilities(np.zeros((1, TILE, TILE), np.uint8))
    return classifier


def _withheld(recognition: Recognition) -> Recognition:
    """Replaces an answer by "no garment" while it is not known whether somebody holds what was found."""
    return replace(
        recognition,
        label=NO_GARMENT,
        confidence=0.0,
        scores=[],
        probabilities=None,
        image_u8=None,
        box=None,
        reason=NOTHING_MOVED,
    )

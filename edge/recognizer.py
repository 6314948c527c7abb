"""The recognizer: a model and a preparation, built once and asked about any number of pictures."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from garmentlite.edge.classifier import Classifier
from garmentlite.edge.errors import PictureError
from garmentlite.edge.opencv import use_one_thread
from garmentlite.edge.pictures import Picture, is_too_small, read_picture, too_small
from garmentlite.edge.preparer import make_preparer
from garmentlite.edge.recognition import Recognition, recognize, recognize_whole
from garmentlite.edge.segmenters.registry import DEFAULT_SEGMENTER, make_segmenter
from garmentlite.edge.shipped import default_model

if TYPE_CHECKING:
    from PIL.Image import Image

    from garmentlite.edge.segmenters.interface import Segmenter


class Recognizer:
    """Names the garment in a picture, or what the picture shows if the model names other things.

    Building one reads the model and sets OpenCV to one thread in this process, see `edge/opencv.py`. One
    recognizer must not be used by two threads at the same time.

    Attributes:
        classifier: The model.
        segmenter: Separates the garment from the background.
        preparer: How a picture becomes the input of the model.
    """

    def __init__(
        self,
        model: str | Path | Classifier | None = None,
        segmenter: str | Segmenter = DEFAULT_SEGMENTER,
        num_threads: int = 1,
        *,
        prepare: str | None = None,
    ) -> None:
        """Reads the model and makes the segmenter.

        Args:
            model: A `.tflite` file, the name of a shipped one, or a classifier. None takes the best shipped
                model for photographs.
            segmenter: The name of a segmenter, such as "network" or "grabcut" (see
                `edge/segmenters/registry.py`), or an object that segments.
            num_threads: Number of CPU threads in which the model computes. It has no effect on a classifier
                that is built already.
            prepare: How a picture becomes the input of the model: "garment" (cut out and brought to the
                form of Fashion-MNIST), "resize" (the whole picture) or "centre-crop" (its middle). None
                takes "garment" for a model of grey 28x28 images and "centre-crop" for others.

        Raises:
            ModelError: If the model cannot be used.
            OptionError: If no segmenter or preparation has this name, or "garment" does not fit the model.
            MissingPartError: If the LiteRT runtime is not installed.
        """
        if not isinstance(model, Classifier):
            model = Classifier(model or default_model(), num_threads=num_threads)
        self.classifier = model
        self.segmenter = make_segmenter(segmenter) if isinstance(segmenter, str) else segmenter
        self.preparer = make_preparer(prepare, model.model_input, self.segmenter)
        use_one_thread()

    def recognize(self, picture: np.ndarray | str | Path | Image | Picture) -> Recognition:
        """Finds the garment in a picture and names it.

        Args:
            picture: A frame in OpenCV's order of channels (uint8, shape (H, W, 3), BGR), the path of a
                picture file, a Pillow image, or a `Picture`. A file and a Pillow image are turned upright.

                Large pictures are reduced before the garment is found. `mask` and `box` refer to the frame
                in its own size, and to a file or a Pillow image reduced to at most 640 pixels.

        Returns:
            The answer. `latency_ms` has the stage "read" for a file or a Pillow image.

        Raises:
            PictureError: If the file cannot be read, or the array is not such a frame.
            ModelError: If the network computes outputs that are not finite.
            MissingPartError: If OpenCV is needed and not installed.
            TypeError: If `picture` has another type.
        """
        if isinstance(picture, np.ndarray):
            picture = _from_frame(picture, self.preparer.least_side)
        if isinstance(picture, Picture):
            return self._answer(picture)
        start = time.perf_counter()
        read = _read(picture, self.preparer.least_side)
        read_ms = (time.perf_counter() - start) * 1000
        recognition = self._answer(read)
        return replace(recognition, latency_ms={**recognition.latency_ms, "read": read_ms})

    def _answer(self, picture: Picture) -> Recognition:
        way = self.preparer.way
        if way == "garment":
            return recognize(picture, self.classifier, self.segmenter)
        return recognize_whole(picture, self.classifier, way)


def _from_frame(frame_bgr: np.ndarray, least_side: int) -> Picture:
    if frame_bgr.dtype == np.uint8 and frame_bgr.ndim == 3 and frame_bgr.shape[2] == 3:
        height, width = frame_bgr.shape[:2]
        if is_too_small(width, height):
            raise PictureError(too_small("The frame", width, height))
        return Picture.from_bgr(frame_bgr, least_side=least_side)
    way_out = "read it with cv2.imread, or pass the path of its file"
    if frame_bgr.dtype != np.uint8:
        way_out = "convert its values to the range 0 to 255 and its type with astype(numpy.uint8)"
    elif frame_bgr.ndim == 2:
        way_out = "convert grey with cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)"
    elif frame_bgr.ndim == 3 and frame_bgr.shape[2] == 4:
        way_out = (
            "remove the fourth channel with cv2.cvtColor(frame, cv2.COLOR_BGRA2BGR), or pass a Pillow "
            "image if its transparency matters"
        )
    raise PictureError(
        f"A frame must be uint8 of shape (height, width, 3) in BGR, got {frame_bgr.dtype} of shape "
        f"{frame_bgr.shape}; {way_out}."
    )


def _read(picture: str | Path | Image, least_side: int) -> Picture:
    if isinstance(picture, str | os.PathLike):
        return read_picture(picture, least_side)
    from PIL.Image import Image as PillowImage

    if not isinstance(picture, PillowImage):
        raise TypeError(
            "picture must be a NumPy array, the path of a file, a Pillow image or a Picture, got "
            f"{type(picture).__name__}"
        )
    return Picture.from_image(picture, least_side)

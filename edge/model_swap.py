"""Takes a new model file while the app runs, compares it with the old one, and can go one step back.

A thread of its own looks at the file once a second. A file that has changed is read and checked there; the
stream takes the finished classifier between two frames.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from garmentlite.edge.callbacks import Say
from garmentlite.edge.camera_recognizer import open_camera_model
from garmentlite.edge.classifier import Classifier
from garmentlite.edge.collected import CollectedPictures
from garmentlite.edge.errors import GarmentliteError, ModelError
from garmentlite.edge.files import read_bytes, sha256, write_bytes
from garmentlite.edge.model_comparison import Compare, ModelComparison
from garmentlite.edge.model_file import LARGEST_BYTES

LOOK_S = 1.0  # between two looks at the file; one that is still being written changes in this time


@dataclass(frozen=True)
class ModelInUse:
    """Which model answers, and how it differs from the previous one.

    Attributes:
        name: Name of the model.
        sha256: Checksum of its file.
        comparison: How it differs from the previous model; None if the two were not compared.
        has_previous: Whether there is a model to go back to.
    """

    name: str
    sha256: str
    comparison: ModelComparison | None = None
    has_previous: bool = False


class ModelSwap:
    """Watches a model file and hands every new version to the app, once it is known to work.

    The version before is kept beside the file, as `NAME.previous.tflite`. A `with` block watches the file.
    """

    def __init__(
        self,
        path: Path,
        in_use: Classifier,
        take: Callable[[Classifier], None],
        say: Say,
        *,
        labels: Sequence[str] | None = None,
        input_range: str | None = None,
        collected: CollectedPictures | None = None,
        compare: Compare | None = None,
    ) -> None:
        """Chooses the file.

        Args:
            path: The file to watch; it may be missing.
            in_use: The classifier that the app begins with, from this file or another one.
            take: Called with a classifier that the app uses from its next frame on, from another thread.
            say: Called with a sentence about a new model, from another thread.
            labels: Class names in place of those in the files.
            input_range: The numbers that stand for the pixels in files of other programs; None to find them
                out.
            collected: Held-out pictures on which the models are compared; None to compare on none.
            compare: Compares two models; None to compare none.

        Raises:
            ModelError: If the file of the classifier in use cannot be used.
        """
        self._path = path
        self._take = take
        self._say = say
        self._labels, self._input_range = labels, input_range
        self._collected = collected
        self._compare = compare
        self._content = _read(in_use.path)
        self._for_pictures = Classifier(in_use.path, labels=labels, input_range=input_range)
        before = self._previous_path
        self._previous = _read(before) if before.exists() else None
        self._state = ModelInUse(
            in_use.name, in_use.sha256, has_previous=self._previous is not None
        )
        self._tried = _signature(path)  # of the version that is in use, or could not be used
        self._lock = threading.Lock()  # held while a model is changed
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="model-swap", daemon=True)

    @property
    def state(self) -> ModelInUse:
        """Which model answers; any thread may ask."""
        return self._state

    @property
    def for_pictures(self) -> Classifier:
        """A second classifier of the model in use, for one thread that names single pictures.

        It does not come from the file at the time of the call, which may be damaged or incomplete.
        """
        return self._for_pictures

    def __enter__(self) -> Self:
        """Begins to watch the file."""
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Ends the watch; waits for a check that is running."""
        self._is_stopped.set()
        self._thread.join()

    def step_back(self) -> ModelInUse:
        """Goes back to the previous model, also in the file; a second call returns to the newer one.

        Raises:
            ModelError: If there is no previous model.
            OutputError: If the files cannot be written.
        """
        with self._lock:
            if self._previous is None:
                raise ModelError("There is no previous model to go back to.")
            previous = self._previous
            write_bytes(self._path, previous)
            checksum = sha256(previous)
            self._use(self._opened(checksum), self._opened(checksum), previous, None)
        self._say(f"The app went back to the model {self._state.name}.")
        return self._state

    def _watch(self) -> None:
        seen = self._tried
        while not self._is_stopped.wait(LOOK_S):
            now = _signature(self._path)
            # A file that has just changed may not be complete.
            if now is not None and now == seen and now != self._tried:
                self._tried = now
                self._try()
            seen = now

    def _try(self) -> None:
        """Checks the file and hands it to the app; says a sentence if it cannot be used."""
        with self._lock:
            try:
                content = _read(self._path)
                if sha256(content) == self._state.sha256:
                    return
                checksum = sha256(content)
                new, second = self._opened(checksum), self._opened(checksum)
                comparison = self._compared(second)
                self._use(new, second, content, comparison)
            except GarmentliteError as error:
                self._say(f"Error: {error} The model in use stays.")
                return
        judged = "" if comparison is None else f" {comparison.in_words()}"
        self._say(f"The app answers with the new model {new.name} now.{judged}")

    def _opened(self, checksum: str) -> Classifier:
        """Opens the watched file."""
        classifier = open_camera_model(self._path, self._labels, self._input_range)
        if classifier.sha256 != checksum:
            raise ModelError(f"{self._path} changed while it was read; copy it again.")
        return classifier

    def _compared(self, new: Classifier) -> ModelComparison | None:
        """Compares a new model with the one in use, with classifiers that nobody else uses."""
        if self._compare is None or self._collected is None:
            return None
        old_path = self._previous_path
        write_bytes(old_path, self._content)
        old = Classifier(old_path, labels=self._labels, input_range=self._input_range)
        return self._compare(old, new, *self._collected.held_out_tiles(old.labels))

    def _use(
        self,
        classifier: Classifier,
        second: Classifier,
        content: bytes,
        comparison: ModelComparison | None,
    ) -> None:
        write_bytes(self._previous_path, self._content)
        self._take(classifier)
        self._for_pictures = second
        if self._collected:
            self._collected.labels = tuple(classifier.labels)
        self._previous, self._content = self._content, content
        self._state = ModelInUse(classifier.name, classifier.sha256, comparison, has_previous=True)

    @property
    def _previous_path(self) -> Path:
        return self._path.with_name(f"{self._path.stem}.previous.tflite")


def _read(path: Path) -> bytes:
    try:
        return read_bytes(path, LARGEST_BYTES)
    except OSError as error:
        raise ModelError(
            f"The model {path} cannot be read ({error.strerror}); copy it again."
        ) from error


def _signature(path: Path) -> tuple[int, ...] | None:
    """Tells versions of a file apart without reading them; None if there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

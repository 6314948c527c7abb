"""Writes the history of a run in TensorBoard's format, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from garmentlite.edge.errors import MissingPartError
from garmentlite.train.history import Epoch


class Log:
    """A folder of events; a run that is resumed adds a file to it."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        """Makes the folder.

        Args:
            folder: The folder for `tensorboard --logdir`.
            labels: Class names in the order of the outputs.

        Raises:
            MissingPartError: If TensorBoard is not installed.
        """
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise MissingPartError(
                f"--tensorboard needs TensorBoard, which cannot be loaded ({error}); run: "
                "pip install 'garmentlite[tensorboard]'"
            ) from error
        self._labels = labels
        self._writer = EventFileWriter(str(folder))

    def write(self, epoch: Epoch) -> None:
        """Adds an epoch, which TensorBoard shows at once."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = {
            "learning rate": epoch.learning_rate,
            "seconds": epoch.seconds,
            "loss/augmented training images": epoch.loss,
            "loss/training images": epoch.train_loss,
            "loss/validation images": epoch.val_loss,
            "accuracy/augmented training images": epoch.accuracy,
            "accuracy/training images": epoch.train_accuracy,
            "accuracy/validation images": epoch.val_accuracy,
        }
        for label, recall in zip(self._labels, epoch.val_recall, strict=True):
            if recall is not None:
                values[f"validation recall/{label}"] = recall
        summary = Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()])
        self._writer.add_event(Event(step=epoch.epoch, summary=summary))
        self._writer.flush()

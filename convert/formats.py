"""Registers the formats that a network can be written in, in the order of the table.

To add a format, write its function and add its entry to `FORMATS`; its option of 'cli convert' comes from
there. TensorFlow is imported inside the functions, because the command line reads this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from garmentlite.convert.export_task import Exported, ExportTask

REFERENCE = "float32"


@dataclass(frozen=True)
class ExportFormat:
    """A format that a network can be written in.

    Attributes:
        name: Name of the format, which is part of the file's name.
        description: What it holds, for the metadata and the documentation.
        help: The help text of its option.
        export: Function that makes the file.
        needs_range_images: Whether images set its quantization ranges.
    """

    name: str
    description: str
    help: str
    export: Callable[[ExportTask], Exported]
    needs_range_images: bool = False

    @property
    def option(self) -> str:
        """The option of 'cli convert' that asks for it."""
        return f"--{self.name}"

    @property
    def parameter(self) -> str:
        """The name of that option's value in the command's function."""
        return self.name.replace("-", "_")


def _to_float32(task: ExportTask) -> Exported:
    from garmentlite.convert import export
    from garmentlite.convert.export_task import Exported

    return Exported(export.to_float32(task.model))


def _to_float16(task: ExportTask) -> Exported:
    from garmentlite.convert import export
    from garmentlite.convert.export_task import Exported

    return Exported(export.to_float16(task.model), task.about(FORMATS["float16"].description))


def _to_int16x8(task: ExportTask) -> Exported:
    from garmentlite.convert import export
    from garmentlite.convert.export_task import Exported
    from garmentlite.train.data import as_input

    flatbuffer = export.to_int16x8(
        task.model,
        as_input(task.range_images.images_u8),
        allow_float=task.allow_float,
    )
    about = task.about(FORMATS["int16x8"].description)
    return Exported(flatbuffer, about | {"calibration": task.manifest(), "seed": task.seed})


def _to_int8_weights(task: ExportTask) -> Exported:
    from garmentlite.convert import export
    from garmentlite.convert.export_task import Exported

    about = task.about(FORMATS["int8-weights"].description)
    return Exported(export.to_int8_weights(task.model), about)


def _to_int8(task: ExportTask) -> Exported:
    from garmentlite.convert import int8_ways

    return int8_ways.to_int8(task)


# In the order of the table, the largest file first.
FORMATS: dict[str, ExportFormat] = {
    one.name: one
    for one in (
        ExportFormat(
            "float32",
            "weights and arithmetic as trained: the reference",
            "Write only the float32 reference, which is also written with every other format.",
            _to_float32,
        ),
        ExportFormat(
            "float16",
            "weights in half precision, arithmetic float32",
            "Write a file with float16 weights, which computes in float32.",
            _to_float16,
        ),
        ExportFormat(
            "int16x8",
            "int16 activations, int8 weights; the runtime has only slow kernels for it",
            "Write a file with int16 activations and int8 weights; the runtime has slow kernels for it.",
            _to_int16x8,
            needs_range_images=True,
        ),
        ExportFormat(
            "int8-weights",
            "int8 weights, activations quantized image by image (dynamic range)",
            "Write a file with int8 weights whose activations are quantized image by image.",
            _to_int8_weights,
        ),
        ExportFormat(
            "int8",
            "integers throughout",
            "Write a file that computes with int8 throughout, for the device.",
            _to_int8,
            needs_range_images=True,
        ),
    )
}


def options() -> str:
    """Lists all options of formats, the smallest file first, for a message."""
    return ", ".join(one.option for one in reversed(FORMATS.values()))

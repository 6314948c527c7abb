"""Checks the record of the images that set a file's quantization ranges: none may be a test image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from garmentlite.convert.material import FASHION_MNIST, Images, from_fashion_mnist
from garmentlite.train.data import FashionMnist


@dataclass(frozen=True)
class RangeImagesCheck:
    """The outcome of a comparison of the record with the data set.

    Attributes:
        passed: Whether the images are those of the record and none is a validation or test image; None where
            that could not be checked.
        sentence: The same in words.
    """

    passed: bool | None
    sentence: str

    def as_document(self) -> dict[str, Any]:
        """Makes a JSON document of the outcome."""
        return {"passed": self.passed, "sentence": self.sentence}


def check_alone(manifest: Any) -> RangeImagesCheck | None:
    """Decides from the record alone; None if the images must be compared."""
    if not isinstance(manifest, dict):
        return RangeImagesCheck(False, "the record is broken (it is not an object)")
    counted = manifest.get("also_in_test")  # by `cli convert`, when the file was made
    if counted:
        return RangeImagesCheck(
            False, f"{counted} of the images were test images too when the file was made"
        )
    # A file without this count was made when only Fashion-MNIST's images could set the ranges.
    if manifest.get("data", FASHION_MNIST if counted is None else None) != FASHION_MNIST:
        counting = (
            "none was a test image when the file was made" if counted == 0 else "nothing is known"
        )
        return RangeImagesCheck(
            None, f"not checked here, because the images are not from Fashion-MNIST; {counting}"
        )
    return None


def check_manifest(manifest: dict[str, Any], data: FashionMnist) -> RangeImagesCheck:
    """Looks up the images of a record and compares them with the validation and the test images.

    They are compared pixel by pixel, so that a copy of a test image is found too. The images of a record
    without `indices` are drawn again from its seed.

    Args:
        manifest: The record: `count`, `seed`, `indices_sha256`, `images_sha256`.
        data: Fashion-MNIST.
    """
    material = from_fashion_mnist(data)
    try:
        used = _images_of(manifest, material.training, data)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        return RangeImagesCheck(False, f"the record is broken ({error!r})")
    actual = used.manifest("", 0)
    if actual["indices_sha256"] != manifest.get("indices_sha256"):
        return RangeImagesCheck(False, "the indices do not match their checksum")
    if actual["images_sha256"] != manifest.get("images_sha256"):
        return RangeImagesCheck(False, "the images at these indices do not match their checksum")
    for part, others in (("test", material.test), ("validation", material.validation)):
        there = {image.tobytes() for image in others.images_u8}
        shared = sum(image.tobytes() in there for image in used.images_u8)
        if shared:
            return RangeImagesCheck(False, f"{shared:,} of the images are {part} images too")
    return RangeImagesCheck(
        True, f"checked: none of the {len(used.y):,} images is a test or a validation image"
    )


def _images_of(manifest: dict[str, Any], training: Images, data: FashionMnist) -> Images:
    """Returns the images in the order in which they were drawn."""
    if "indices" in manifest:
        indices = np.array(manifest["indices"], np.int64)
        if indices.ndim != 1:
            raise ValueError("indices is not a list")
        return Images(data.x_train[indices], data.y_train[indices], indices)
    return training.sample(manifest["count"], manifest["seed"])

"""Changes carried out by tensor operators give the images that Pillow and NumPy give."""

import numpy as np
import pytest

from garmentlite.train.augmentation import Augmentation, changed, draw


@pytest.fixture(scope="module")
def on_device(tensorflow):
    from garmentlite.train import device_augmentation

    return lambda images, changes: np.asarray(
        device_augmentation.changed(
            tensorflow.constant(images), device_augmentation.as_tensors(changes)
        )
    )


@pytest.fixture(scope="module")
def images_u8():
    return np.random.default_rng(0).integers(0, 256, (400, 28, 28), np.uint8)


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(Augmentation(), id="nothing"),
        pytest.param(Augmentation(flip=0.5), id="flip"),
        pytest.param(Augmentation(erase=0.5), id="erase"),
        pytest.param(Augmentation(mixup=0.5), id="mixup"),
        pytest.param(Augmentation(cutmix=0.5), id="cutmix"),
        pytest.param(
            Augmentation(rotation=15, shear=0.2, flip=0.5, erase=0.5, mixup=0.4, cutmix=0.4),
            id="all at once",
        ),
    ],
)
def test_changed_on_the_device_gives_pillows_pixels(on_device, images_u8, limits):
    count, height, width = images_u8.shape
    changes = draw(count, height, width, limits, np.random.default_rng(1))
    expected = changed(images_u8, changes)
    assert (limits == Augmentation()) == np.array_equal(expected, images_u8)
    np.testing.assert_array_equal(on_device(images_u8, changes), expected)


@pytest.mark.parametrize(
    "limits", [Augmentation(shift=0.1), Augmentation(zoom=0.2)], ids=["shift", "zoom"]
)
def test_changed_on_the_device_differs_by_ties_of_places_alone(on_device, images_u8, limits):
    """Pillow counts in doubles here, the device in 1/65536 of a pixel."""
    count, height, width = images_u8.shape
    changes = draw(count, height, width, limits, np.random.default_rng(1))
    differs = (on_device(images_u8, changes) != changed(images_u8, changes)).any(axis=(1, 2))
    # An image has 56 places. One is off by half a unit of 2**-16 for each of up to 28 factors at most, and is
    # decided otherwise if that is more than its distance to the next border, uniform within a pixel.
    probability = 56 * 2 * 28 * 0.5 / 65536
    assert differs.mean() <= probability + 4 * np.sqrt(probability / count)

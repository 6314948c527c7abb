"""The empty scene on drawn rooms: what is learned, what is not, and what makes it learn anew."""

import cv2
import numpy as np
import pytest

from garmentlite.edge import empty_scene, held_garment
from garmentlite.edge.empty_scene import EmptyScene

FPS = 10
WALL, GARMENT = (150, 160, 140), (60, 40, 130)


def room(seed=0):
    """A wall with pictures and furniture of many colours: float64, shape (96, 128, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.full((96, 128, 3), WALL, np.float64)
    for _ in range(30):
        y, x, high, wide = rng.integers((0, 0, 6, 6), (88, 118, 30, 30))
        picture[y : y + high, x : x + wide] = rng.integers(30, 220, 3)
    return picture


def with_garment(picture, x=44, y=24):
    """A garment of one colour, 40 x 50 pixels, and where it is: a new picture and a mask."""
    picture, mask = picture.copy(), np.zeros(picture.shape[:2], bool)
    mask[y : y + 50, x : x + 40] = True
    picture[mask] = GARMENT
    return picture, mask


class Camera:
    """Shows pictures to an `EmptyScene`, with noise, ten a second."""

    def __init__(self):
        self.scene, self.time, self.rng = EmptyScene(), 0.0, np.random.default_rng(1)

    def show(self, picture, garment=None, gain=1.0):
        self.time += 1 / FPS
        noisy = picture * gain + self.rng.normal(0, 1.5, picture.shape)
        difference = self.scene.compare(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), self.time)
        self.scene.learn(garment)
        return difference

    def show_for(self, seconds, picture, garment=None, gain=1.0):
        for _ in range(round(seconds * FPS)):
            difference = self.show(picture, garment, gain)
        return difference

    def hold(self, seconds, picture, *, is_seen=True, x=44):
        """Holds a garment that sways by two pixels."""
        for number in range(round(seconds * FPS)):
            shown, mask = with_garment(picture, x + round(2 * np.sin(number / 3)))
            difference = self.show(shown, mask if is_seen else None)
        return difference, mask


def test_compare_first_frame_knows_nothing():
    difference = Camera().show(room())
    assert not difference.is_learned
    assert not difference.is_empty
    assert (difference.foreground == 0.5).all()


def test_compare_empty_room_is_learned_within_two_seconds():
    difference = Camera().show_for(2, room())
    assert difference.is_learned
    assert difference.is_empty


def test_compare_garment_held_up_is_the_foreground():
    camera = Camera()
    camera.show_for(2, room())
    shown, mask = with_garment(room())
    difference = camera.show(shown)
    assert not difference.is_empty
    found = difference.foreground > 0.6
    assert (found & mask).sum() / (found | mask).sum() > 0.9


@pytest.mark.parametrize("gain", [0.6, 0.8, 1.25, (0.9, 1.0, 1.15)], ids=str)
def test_compare_exposure_and_white_balance_do_not_make_a_difference(gain):
    camera = Camera()
    camera.show_for(2, room())
    assert camera.show(room(), gain=np.array(gain)).is_empty


def test_compare_exposure_that_follows_the_garment_is_matched():
    camera = Camera()
    camera.show_for(2, room())
    shown, mask = with_garment(room())
    found = camera.show(shown, gain=0.75).foreground > 0.6
    assert (found & mask).sum() / (found | mask).sum() > 0.9


@pytest.mark.slow
def test_compare_daylight_that_fades_slowly_stays_the_empty_scene():
    camera = Camera()
    camera.show_for(2, room())
    # One side of the room darkens over half a minute.
    shade = np.linspace(1, 0.6, 128)[:, np.newaxis]
    for share in np.linspace(0, 1, 30 * FPS):
        difference = camera.show(room() * (1 - share * (1 - shade)))
        assert difference.is_empty


@pytest.mark.slow
def test_learn_held_garment_never_joins_the_scene():
    camera = Camera()
    camera.show_for(2, room())
    difference, mask = camera.hold(1.1 * held_garment.LEFT_SECONDS, room())
    assert difference.foreground[mask].mean() > 0.9


def test_learn_held_garment_that_the_segmenter_misses_never_joins_the_scene():
    camera = Camera()
    camera.show_for(2, room())
    difference, mask = camera.hold(1.5 * empty_scene.FURNITURE_SECONDS, room(), is_seen=False)
    assert difference.foreground[mask].mean() > 0.9


def test_learn_garment_from_the_first_frame_on_never_joins_the_scene_while_it_is_held():
    camera = Camera()
    difference, mask = camera.hold(15, room())
    assert camera.scene.is_held
    assert difference.is_learned  # the room around it
    assert not difference.is_empty
    assert (difference.foreground[mask] > 0.4).mean() > 0.95
    away = np.ones_like(mask)
    away[18:80, 36:92] = False
    assert difference.foreground[away].max() < 0.4


@pytest.mark.slow
def test_learn_garment_left_on_a_chair_joins_the_scene_after_the_stated_time():
    camera = Camera()
    camera.show_for(2, room())
    camera.hold(3, room())
    left, mask = with_garment(room())
    before = camera.show_for(held_garment.LEFT_SECONDS - 3, left, mask)
    assert before.foreground[mask].mean() > 0.9
    assert camera.show_for(5, left, mask).is_empty


def test_learn_what_never_moves_belongs_to_the_room():
    camera = Camera()
    # The segmenter takes a coat on a hook for a garment.
    picture, mask = with_garment(room())
    camera.show_for(1, picture, mask)
    assert not camera.scene.is_held
    assert camera.show_for(3, picture, mask).is_empty


def test_learn_drawn_picture_without_noise_counts_as_held():
    scene, (picture, mask) = EmptyScene(), with_garment(room())
    for number in range(100):
        scene.compare(picture.astype(np.uint8), number / FPS)
        scene.learn(mask)
        assert scene.is_held


def test_learn_moved_furniture_joins_the_scene():
    camera = Camera()
    camera.show_for(2, room())
    moved, _ = with_garment(room())
    assert not camera.show_for(3, moved).is_empty
    assert camera.show_for(empty_scene.FURNITURE_SECONDS, moved).is_empty


def test_compare_lights_switched_off_is_the_same_scene():
    camera = Camera()
    camera.show_for(2, room())
    # A lamp in one corner is left: no gain explains it, but the edges are where they were.
    y, x = np.mgrid[:96, :128]
    lamp = 0.15 + 0.7 * np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / 1500)
    difference = camera.show_for(1, room() * lamp[..., np.newaxis])
    assert difference.is_learned
    assert difference.is_empty
    assert camera.show_for(1, room()).is_empty  # and on again


def test_compare_moved_camera_learns_anew():
    camera = Camera()
    camera.show_for(2, room(0))
    assert not camera.show_for(1, room(7)).is_learned
    assert camera.show_for(2, room(7)).is_empty


def test_compare_camera_that_pans_is_never_empty():
    camera, wide = Camera(), np.concatenate([room(seed) for seed in range(4)], axis=1)
    for number in range(60):
        difference = camera.show(wide[:, 5 * number : 5 * number + 128])
        assert not difference.is_empty


def test_learn_what_covers_most_of_the_picture_is_not_taken_for_noise():
    camera = Camera()
    camera.show_for(2, room())
    for number in range(10 * FPS):  # all but the border is covered by somebody who sways
        shown = room()
        shown[12:84, 14 + number % 3 : 112 + number % 3] = GARMENT
        camera.show(shown)
    camera.show_for(1, room())
    picture, mask = room(), with_garment(room())[1]
    picture[mask] -= 30  # grey levels: a garment that does not differ much from the wall
    assert camera.show(picture).foreground[mask].mean() > 0.9


def test_compare_former_scene_is_known_again_at_once():
    camera = Camera()
    camera.show_for(2, room())
    camera.show_for(1, np.full_like(room(), 40))  # something covers the lens
    assert camera.show(room()).is_empty


def test_compare_trembling_camera_stays_the_empty_scene():
    camera = Camera()
    fine = cv2.resize(room(), (640, 480), interpolation=cv2.INTER_NEAREST)
    for number in range(40):
        # In pixels of the full size.
        shift = np.float64([[1, 0, np.sin(number)], [0, 1, np.cos(1.7 * number)]])
        moved = cv2.warpAffine(fine, shift, (640, 480), borderMode=cv2.BORDER_REPLICATE)
        difference = camera.show(cv2.resize(moved, (128, 96), interpolation=cv2.INTER_AREA))
    assert difference.is_empty


def test_forget_knows_nothing():
    camera = Camera()
    camera.show_for(2, room())
    camera.scene.forget()
    assert not camera.show(room()).is_learned


def test_compare_frame_of_another_size_begins_anew():
    camera = Camera()
    camera.show_for(2, room())
    assert not camera.show(room()[:72]).is_learned


def test_remember_tells_the_same_frame_from_another():
    camera = Camera()
    camera.show_for(2, room())
    shown, mask = with_garment(room())
    camera.show(shown, mask)
    camera.scene.remember()
    assert camera.show(shown, mask).is_unchanged  # its noise is another
    assert camera.show(shown, mask, gain=1.03).is_unchanged  # light that flickers
    assert not camera.show(with_garment(room(), x=47)[0], mask).is_unchanged


@pytest.mark.parametrize("level", [0, 128, 255])
def test_compare_frames_of_one_colour_are_empty_in_the_end(level):
    camera = Camera()
    assert camera.show_for(2, np.full((96, 128, 3), level, np.float64)).is_empty

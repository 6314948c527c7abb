"""The clips of benchmarks/held_garments.py: the same each time, with the truth about each frame."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from garmentlite.train.scenes import Scene

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def held_clips(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("held_clips")


@pytest.fixture
def garment(held_clips):
    """A red square of 60 x 60 pixels."""
    rgba = np.full((60, 60, 4), (200, 20, 20, 255), np.uint8)
    return held_clips.Garment("square.jpg", "Dress", frozenset({"Dress"}), rgba)


@pytest.fixture
def scenes():
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(3)]
    kinds = {"interior": "aws_00", "room": "flat", "person behind": "person B"}
    return {kind: [Scene(place, frames)] for kind, place in kinds.items()}


def test_clips_of_a_garment_cover_all_kinds_and_half_begin_empty(held_clips, garment):
    clips = held_clips.clips_of(garment)
    assert len({(clip.kind, clip.size) for clip in clips}) == len(clips) == 12
    assert sum(clip.begins_empty for clip in clips) == 6
    assert 0 < sum(clip.has_hands for clip in clips) < 12


@pytest.mark.slow
def test_frames_of_a_clip_are_the_same_each_time(held_clips, garment, scenes):
    clip = held_clips.Clip(garment, "room", 0.5, False, True)
    first, second = (list(held_clips.frames_of(clip, scenes)) for _ in range(2))
    assert len(first) == round(held_clips.HELD_SECONDS * held_clips.FPS)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.bgr, other.bgr)
        assert np.array_equal(one.mask, other.mask)


@pytest.mark.parametrize("kind", ["plain wall", "interior", "person behind"])
def test_frames_begin_empty_and_then_show_the_garment_where_the_mask_says(
    held_clips, garment, scenes, kind
):
    clip = held_clips.Clip(garment, kind, 0.5, True, False)
    frames = list(held_clips.frames_of(clip, scenes))
    empty = round(held_clips.EMPTY_SECONDS * held_clips.FPS)
    assert [frame.mask is None for frame in frames] == [n < empty for n in range(len(frames))]
    last = frames[-1]
    assert last.bgr.shape == (480, 640, 3)
    rows, _ = np.nonzero(last.mask)
    # 0.5 of 480 pixels, 4% of breathing and 5 degrees of turning (sin 5 = 0.09).
    assert np.ptp(rows) + 1 == pytest.approx(240, rel=0.04 + 0.09 + 0.01)
    blue, _, red = last.bgr[last.mask].mean(axis=0)
    assert red > 2 * blue


def test_hands_hide_a_part_of_the_garment(held_clips, garment, scenes):
    bare, held = (
        next(held_clips.frames_of(held_clips.Clip(garment, "room", 0.5, False, hands), scenes))
        for hands in (False, True)
    )
    assert 0.5 < held.mask.sum() / bare.mask.sum() < 1

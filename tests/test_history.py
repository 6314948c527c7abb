"""Tests of the history of a run."""

import pytest

from garmentlite.train.history import Epoch, epochs_since_best, epochs_since_change


@pytest.mark.parametrize(
    ("best", "rates", "since_best", "since_change"),
    [
        pytest.param([], [], 0, 0, id="nothing-yet"),
        pytest.param([1], [1], 0, 0, id="first"),
        pytest.param([1, 0], [1, 1], 1, 1, id="one-worse"),
        pytest.param([1, 0, 0], [1, 1, 1], 2, 2, id="two-worse"),
        pytest.param([1, 0, 0, 0], [1, 1, 1, 0.3], 3, 1, id="fell-and-worse"),
        pytest.param([1, 0, 0, 0, 0], [1, 1, 1, 0.3, 0.3], 4, 2, id="fell-and-worse-twice"),
        pytest.param([1, 0, 0, 1], [1, 1, 1, 0.3], 0, 0, id="fell-and-better"),
        pytest.param([1, 0, 0, 1, 0], [1, 1, 1, 0.3, 0.3], 1, 1, id="better-then-worse"),
    ],
)
def test_epochs_are_counted_since_the_best_and_since_the_rate_fell(
    best, rates, since_best, since_change
):
    history = [
        Epoch(i + 1, rate, 0.0, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5, [], bool(is_best))
        for i, (is_best, rate) in enumerate(zip(best, rates, strict=True))
    ]
    assert (epochs_since_best(history), epochs_since_change(history)) == (since_best, since_change)


def test_in_words_names_photographs_only_where_there_are_any():
    epoch = Epoch(7, 0.1, 12.4, 0.5, 0.9, 0.4, 0.91, 0.25, 0.925, [], best=False)
    line = "epoch   7: loss 0.5000, validation loss 0.2500, accuracy 92.50%, 12 s"
    assert epoch.in_words() == line
    both = Epoch(
        7,
        0.1,
        12.4,
        0.5,
        0.9,
        0.4,
        0.91,
        0.25,
        0.925,
        [],
        False,
        photo_loss=1.25,
        photo_accuracy=0.5,
    )
    assert both.in_words() == line.replace(", 12 s", ", photographs 1.2500, 50.00%, 12 s")
    assert both.selection_loss == 0.75

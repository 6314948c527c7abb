"""The diagrams of a run are drawn, are the same each time, and hide nothing."""

from types import SimpleNamespace

import numpy as np
import pytest

from garmentlite.edge import metrics
from garmentlite.edge.errors import OutputError
from garmentlite.train.compare import Measured
from garmentlite.train.compare_networks import TradeOff


@pytest.fixture(scope="module")
def plots():
    pytest.importorskip("matplotlib")
    from garmentlite.train import plots

    return plots


@pytest.fixture
def figures(plots, monkeypatch):
    """Figures as they are when written."""
    seen = []
    write = plots._write
    monkeypatch.setattr(
        plots, "_write", lambda figure, path: (seen.append(figure), write(figure, path))
    )
    return seen


@pytest.fixture
def history():
    losses = [0.9, 0.5, 0.6]
    return [
        SimpleNamespace(
            epoch=i + 1,
            loss=loss,
            train_loss=loss,
            val_loss=loss,
            accuracy=0.5,
            train_accuracy=0.7,
            val_accuracy=0.6,
            best=i < 2,
        )
        for i, loss in enumerate(losses)
    ]


def size_of(path):
    image = pytest.importorskip("PIL.Image")
    with image.open(path) as opened:
        opened.load()
        return opened.size


def test_learning_curves_mark_the_epoch_that_is_kept(plots, figures, history, tmp_path):
    plots.learning_curves(history, tmp_path / "curves.png")
    assert min(size_of(tmp_path / "curves.png")) > 300
    (figure,) = figures
    assert len(figure.axes) == 2
    assert "kept: epoch 2" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_learning_curves_of_no_epoch_are_drawn(plots, tmp_path):
    plots.learning_curves([], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").exists()


def test_plots_twice_give_the_same_bytes(plots, history, tmp_path):
    for name in ("a.png", "b.png"):
        plots.learning_curves(history, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_of_metrics_writes_both_pictures_with_every_count(plots, figures, tmp_path):
    labels = ["Bag", "Coat", "Never seen"]
    y_true, y_pred = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    summary = metrics.summary(y_true, np.eye(3)[y_pred], labels)
    plots.of_metrics(summary, tmp_path / "confusion_matrix.png", tmp_path / "per_class.png")
    assert {path.name for path in tmp_path.iterdir()} == {"confusion_matrix.png", "per_class.png"}
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["1", "1", "0", "1", "2", "0", "0", "0", "0"]
    assert axes.get_title() == "accuracy 60.00% on 5 images"


def test_before_and_after_shows_both_and_every_difference(plots, figures, tmp_path):
    before, after = np.array([[5, 1], [2, 4]]), np.array([[3, 3], [2, 4]])
    plots.before_and_after(before, after, ["old", "new"], ["Bag", "Coat"], tmp_path / "both.png")
    width, height = size_of(tmp_path / "both.png")
    assert width > 2 * height
    first, second, third = figures[0].axes
    assert (first.get_title(), second.get_title()) == ("before: old", "after: new")
    assert [text.get_text() for text in second.texts] == ["3", "3", "2", "4"]
    assert [text.get_text() for text in third.texts] == [
        "-2",
        "+2",
        "\N{MIDDLE DOT}",
        "\N{MIDDLE DOT}",
    ]


def test_before_and_after_of_equal_matrices_is_drawn(plots, tmp_path):
    same = np.eye(2, dtype=int)
    plots.before_and_after(same, same, ["a", "b"], ["Bag", "Coat"], tmp_path / "both.png")
    assert (tmp_path / "both.png").exists()


def test_trade_off_draws_a_line_for_each_network_and_a_mark_for_each_run(plots, figures, tmp_path):
    runs = [
        Measured(name, tmp_path, ("Bag", "Coat"), np.array(matrix), None)
        for name, matrix in (("kept", [[8, 2], [1, 9]]), ("stored", [[9, 1], [3, 7]]))
    ]
    curve = TradeOff(np.array([0.0, 0.5, 1.0]), np.array([0.5, 0.9, 0.6]), (0.5, 0.9))
    plots.trade_off(runs, {"kept": curve}, 1, tmp_path / "curve.png")
    (axes,) = figures[0].axes
    line, here, *tested = axes.get_lines()
    assert line.get_xydata().tolist() == [[0, 0.5], [0.5, 0.9], [1, 0.6]]
    assert here.get_xydata().tolist() == [[0.5, 0.9]]
    assert [mark.get_xydata().tolist() for mark in tested] == [[[0.9, 0.85]], [[0.7, 0.8]]]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["kept, validation", "kept, test", "stored, test"]
    # Every point lies within what is shown.
    for x, y in [(0.5, 0.9), (0.9, 0.85), (0.7, 0.8)]:
        assert axes.get_xlim()[0] < x < axes.get_xlim()[1]
        assert axes.get_ylim()[0] < y < axes.get_ylim()[1]


@pytest.mark.parametrize(
    ("recall", "bottom"),
    [
        pytest.param([0.9, 0.8], 0.5, id="all-good"),
        pytest.param([0.9, 0.4], 0, id="one-low"),
        pytest.param([0.9, 0.0], 0, id="one-lost"),
        pytest.param([0.9, None], 0.5, id="one-undefined"),
        pytest.param([None, None], 0, id="none"),
    ],
)
def test_per_class_hides_no_bar_below_its_axis(plots, figures, tmp_path, recall, bottom):
    plots.per_class(recall, recall, ["Bag", "Coat"], tmp_path / "bars.png")
    assert figures[0].axes[0].get_ylim() == (bottom, 1)


def test_plot_into_a_file_is_one_sentence(plots, history, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="Cannot write"):
        plots.learning_curves(history, tmp_path / "file" / "curves.png")

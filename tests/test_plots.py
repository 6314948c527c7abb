"""The pictures of a run: that they are drawn, the same each time, and hide nothing."""

from types import SimpleNamespace

import numpy as np
import pytest

from edge import metrics
from edge.errors import OutputError


@pytest.fixture(scope="module")
def plots():
    pytest.importorskip("matplotlib")
    from train import plots

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
            epoch=i + 1, loss=loss, val_loss=loss, accuracy=0.5, val_accuracy=0.6, best=i < 2
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
    plots.of_metrics(metrics.summary(y_true, np.eye(3)[y_pred], labels), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"confusion_matrix.png", "per_class.png"}
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["1", "1", "0", "1", "2", "0", "0", "0", "0"]
    assert axes.get_title() == "accuracy 60.00% on 5 images"


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

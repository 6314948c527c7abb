"""Predictions of teachers are softened, averaged over networks and mirror images, and mixed with labels."""

import numpy as np
import pytest

from garmentlite.edge.errors import DataError, ModelError
from garmentlite.edge.probabilities import softmax
from garmentlite.train.data import as_input
from garmentlite.train.prediction import predict_logits


@pytest.fixture(scope="module")
def distillation(tensorflow):
    from garmentlite.train import distillation

    return distillation


@pytest.fixture
def images(made_data):
    return made_data.x_train[:60], made_data.y_train[:60]


def test_soft_targets_are_what_the_formula_says(distillation, fit, trained, images):
    x, y = images
    teacher = distillation.Teacher([trained], ("a",))
    targets = distillation.soft_targets(teacher, x, y)

    def softened(pictures):
        exponentials = np.exp(predict_logits(trained, pictures) / distillation.TEMPERATURE)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    mean = (softened(x) + softened(x[:, :, ::-1])) / 2
    expected = distillation.SHARE * mean + (1 - distillation.SHARE) * np.eye(10)[y]
    np.testing.assert_allclose(targets, expected, atol=1e-5)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)


def test_soft_targets_of_two_teachers_are_their_mean(distillation, networks, tiny, trained, images):
    other = networks.network_named(tiny).build(10)
    alone = [
        distillation.soft_targets(distillation.Teacher([one], ("a",)), *images)
        for one in (trained, other)
    ]
    both = distillation.soft_targets(distillation.Teacher([trained, other], ("a", "b")), *images)
    np.testing.assert_allclose(both, np.mean(alone, axis=0), atol=1e-6)


def test_soft_targets_are_kept_and_not_asked_for_again(
    distillation, trained, images, tmp_path, monkeypatch
):
    teacher, cache = distillation.Teacher([trained], ("a",)), tmp_path / "teacher.npz"
    seen = []
    first = distillation.soft_targets(
        teacher, *images, cache=cache, on_progress=lambda *step: seen.append(step)
    )
    assert seen[-1] == (60, 60)
    monkeypatch.setattr(distillation, "predict_logits", lambda *_: pytest.fail("asked again"))
    np.testing.assert_array_equal(distillation.soft_targets(teacher, *images, cache=cache), first)


def test_soft_targets_of_other_teachers_images_or_a_broken_file_are_refused(
    distillation, trained, images, tmp_path
):
    x, y = images
    cache = tmp_path / "teacher.npz"
    distillation.soft_targets(distillation.Teacher([trained], ("a",)), x, y, cache=cache)
    with pytest.raises(DataError, match="of other teachers"):
        distillation.soft_targets(distillation.Teacher([trained], ("b",)), x, y, cache=cache)
    with pytest.raises(DataError, match="to other images"):
        distillation.soft_targets(distillation.Teacher([trained], ("a",)), x + 1, y, cache=cache)
    cache.write_bytes(cache.read_bytes()[:100])
    with pytest.raises(DataError, match="delete it"):
        distillation.soft_targets(distillation.Teacher([trained], ("a",)), x, y, cache=cache)


def test_load_reads_files_and_runs_and_refuses_other_classes(distillation, trained_keras, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.keras").write_bytes(trained_keras.read_bytes())
    teacher = distillation.load([trained_keras, folder], 10)
    assert len(teacher.models) == 2
    assert len(set(teacher.sha256)) == 1
    with pytest.raises(ModelError, match=r"to \(None, 10\), expected .* to \(None, 4\)"):
        distillation.load([trained_keras], 4)


def test_consistent_teacher_answers_the_mean_of_the_softened_probabilities(
    distillation, networks, tiny, trained, images
):
    other = networks.network_named(tiny).build(10)
    x = as_input(images[0])
    answers = np.asarray(
        distillation.ConsistentTeacher(distillation.Teacher([trained, other], ("a", "b")))(x)
    )
    expected = np.mean(
        [
            softmax(predict_logits(model, images[0]), distillation.TEMPERATURE)
            for model in (trained, other)
        ],
        axis=0,
    )
    np.testing.assert_allclose(answers, expected, atol=1e-5)

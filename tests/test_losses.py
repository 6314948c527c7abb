"""The losses of training are compared with the same losses in NumPy and Keras."""

import numpy as np

from garmentlite.train import photo_figures


def test_group_cross_entropy_is_that_of_numpy_and_of_keras_for_soft_targets(keras):
    from garmentlite.train import losses

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 5, (40, 6)).astype(np.float32)
    groups = rng.random((40, 6)) < 0.6
    groups[:, :2] = True  # of two classes at least
    given = np.asarray(losses.group_cross_entropy(groups.astype(np.float32), logits))
    expected = photo_figures.group_cross_entropy(logits, groups)
    np.testing.assert_allclose(given, expected, atol=1e-5)  # sums in float32
    soft = rng.dirichlet(np.ones(6), 40).astype(np.float32)
    expected = keras.losses.categorical_crossentropy(soft, logits, from_logits=True)
    np.testing.assert_allclose(losses.group_cross_entropy(soft, logits), expected, atol=1e-4)
    hits = np.asarray(losses.group_hits(groups.astype(np.float32), logits))
    np.testing.assert_array_equal(hits, groups[np.arange(40), logits.argmax(axis=1)])

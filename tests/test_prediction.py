"""Tests of the answers of a Keras network to images."""

import numpy as np

from garmentlite.train.prediction import predict_logits


def test_predict_logits_in_parts_are_those_of_the_whole(networks, tiny, images):
    model = networks.NETWORKS[tiny].build(10)
    logits = predict_logits(model, images[2], batch_size=7)
    assert logits.dtype == np.float32
    # Matrix products of another size may be added in another order: some float32 roundings.
    np.testing.assert_allclose(logits, predict_logits(model, images[2]), atol=1e-5)

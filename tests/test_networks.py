"""Tests of the registry of networks, and of the form of network that folding and int8 need."""

import numpy as np
import pytest

from garmentlite.edge.errors import OptionError


def test_weighted_cnn_is_that_of_the_experiment(networks):
    model = networks.published.weighted_cnn(10)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [
        "InputLayer",
        "Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D", "Dropout",
        "Conv2D", "BatchNormalization", "ReLU", "MaxPooling2D", "Dropout",
        "Flatten", "Dense", "BatchNormalization", "ReLU", "Dropout", "Dense",
    ]  # fmt: skip
    by_kind = [layer for layer in model.layers if type(layer).__name__ in ("Conv2D", "Dense")]
    assert [getattr(layer, "filters", None) or layer.units for layer in by_kind] == [
        64,
        128,
        256,
        10,
    ]
    rates = [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"]
    assert rates == [0.25, 0.35, 0.5]
    # Kernels 9*64 + 9*64*128 + 7*7*128*256 + 256*10, last bias 10, batch-norms 4 * (64 + 128 + 256).
    assert model.count_params() == 576 + 73_728 + 1_605_632 + 2_560 + 10 + 4 * 448


def test_garment_net_has_at_most_300_000_parameters_and_averages_what_its_shortcuts_leave_out(
    networks,
):
    model = networks.garment_net(10)
    folded = sum(
        int(np.prod(layer.kernel.shape)) + layer.kernel.shape[-1]
        for layer in model.layers
        if hasattr(layer, "kernel")
    )
    assert 250_000 < folded <= 300_000
    # The size is halved by a convolution on one way and by averages on the other.
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("AveragePooling2D") == 2
    assert kinds.count("Add") == 4


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param("compact-cnn", 394_530, id="as-published"),
        # 150 + 4 * 6, 2,400 + 4 * 16, 576 * 128 + 128, 128 * 32 + 32, 32 * 10 + 10
        pytest.param("lenet-bn", 174 + 2_464 + 73_856 + 4_128 + 330, id="lenet-bn"),
        pytest.param("shallow", 784 * 128 + 128 + 1_290, id="shallow"),
    ],
)
def test_published_network_has_its_number_of_parameters(networks, name, parameters):
    assert networks.NETWORKS[name].build(10).count_params() == parameters


def test_weighted_cnn_has_its_experiments_protocol(networks):
    network = networks.network_named("weighted-cnn")
    assert network.class_weights == {"Shirt": 2.0, "T-shirt/top": 1.2}
    limits = network.recipe.augmentation
    assert (limits.rotation, limits.shift, limits.zoom) == (5, 0.05, 0.1)
    assert 0 < limits.shear <= 0.1


def test_every_network_goes_from_pixels_to_logits(networks, keras):
    for name, network in networks.NETWORKS.items():
        model = network.build(10)
        assert (model.input_shape, model.output_shape) == ((None, 28, 28, 1), (None, 10)), name
        assert model.layers[-1].activation is keras.activations.linear, name
        assert not any(type(layer).__name__ == "Rescaling" for layer in model.layers), name
        row = np.asarray(model(np.random.default_rng(0).uniform(size=(1, 28, 28, 1))))
        assert abs(row.sum() - 1) > 1e-3, name  # no softmax in disguise


def test_every_network_answers_the_same_when_it_is_folded(networks, folding, keras2, keras):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2, 28, 28, 1)).astype(np.float32)
    for name, network in networks.NETWORKS.items():
        model = network.build(10)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):  # as after some training
                layer.set_weights([rng.uniform(0.5, 1.5, one.shape) for one in layer.get_weights()])
        expected = np.asarray(model(x, training=False))
        twin = keras2.build_twin(folding.fold(model))
        kinds = {type(layer).__name__ for layer in twin.layers}
        assert not kinds & {"BatchNormalization", "Dropout"}, name
        # Some hundred roundings of float32, 6e-8 each, as a share of the largest logit.
        folded = keras2.predict_logits(twin, x)
        np.testing.assert_allclose(
            folded, expected, atol=1e-5 * np.abs(expected).max(), err_msg=name
        )


def test_every_network_is_weighted_by_labels_that_exist(networks):
    from garmentlite.edge.labels import FASHION_MNIST_LABELS

    for network in networks.NETWORKS.values():
        assert set(network.class_weights) <= set(FASHION_MNIST_LABELS)


@pytest.mark.parametrize("number", [2, 10])
def test_weighted_cnn_has_as_many_logits_as_classes(networks, number):
    assert networks.published.weighted_cnn(number).output_shape == (None, number)


def test_network_named_of_a_mistyped_name_proposes_the_nearest(networks):
    with pytest.raises(OptionError, match="'weigthed_cnn'; did you mean 'weighted-cnn'"):
        networks.network_named("weigthed_cnn")


def test_network_named_of_a_name_like_none_lists_all(networks):
    with pytest.raises(OptionError, match=r"'xyz'; there are: .*weighted-cnn"):
        networks.network_named("xyz")

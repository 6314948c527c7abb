"""A network with folded batch-norm computes the same; a layer that cannot be folded is named."""

import numpy as np
import pytest

from garmentlite.edge.errors import ModelError


@pytest.fixture(scope="module")
def twin_difference(folding, keras2):
    """Largest difference between a network and its folded twin, as a share of the largest logit."""

    def measure(model) -> float:
        x = np.random.default_rng(1).uniform(0, 1, (50, *model.input_shape[1:])).astype(np.float32)
        twin = keras2.build_twin(folding.fold(model))
        expected = np.asarray(model(x, training=False))
        found = keras2.predict_logits(twin, x, batch_size=20)
        assert found.shape == expected.shape
        return float(np.abs(found - expected).max() / np.abs(expected).max())

    return measure


@pytest.fixture(scope="module")
def shaken(keras):
    """Gives a network random weights and batch statistics, as if it had been trained."""

    def shake(model):
        rng = np.random.default_rng(0)
        for layer in model.layers:
            if type(layer).__name__ == "BatchNormalization":
                for variable in layer.weights:
                    low, high = (0.3, 2.0) if "variance" in variable.path else (-0.5, 1.5)
                    variable.assign(rng.uniform(low, high, variable.shape))
            elif getattr(layer, "bias", None) is not None:
                layer.bias.assign(rng.normal(0, 0.5, layer.bias.shape))
        return model

    return shake


def residual_net(keras):
    """What the layers of `convert.folding` allow, in the order of a modern network."""
    layers = keras.layers

    def conv_bn_relu(x, filters, strides=1):
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        return layers.ReLU()(layers.BatchNormalization(epsilon=1e-5)(x))

    inputs = keras.Input((28, 28, 1))
    x = conv_bn_relu(inputs, 8)
    shortcut = x
    x = conv_bn_relu(x, 8)
    x = layers.BatchNormalization(scale=False)(layers.Conv2D(8, 1)(x))
    x = layers.ReLU()(layers.Add()([x, shortcut]))
    x = layers.DepthwiseConv2D(3, 2, padding="same", depth_multiplier=2)(x)
    x = layers.ReLU()(layers.BatchNormalization(center=False)(x))
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2D(12, 3, activation="relu")(x)
    x = layers.Dropout(0.3)(x)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Conv2D(6, 1)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


# Float32 roundings, 6e-8 each, over up to a thousand products: the limit that `cli convert` has too.
TOLERANCE = 1e-5


def test_fold_of_weighted_cnn_is_the_same_network(networks, shaken, twin_difference):
    assert twin_difference(shaken(networks.NETWORKS["weighted-cnn"].build(10))) < TOLERANCE


def test_fold_of_a_residual_depthwise_network_is_the_same_network(keras, shaken, twin_difference):
    assert twin_difference(shaken(residual_net(keras))) < TOLERANCE


def test_twin_with_statistics_left_out_would_be_seen(networks, shaken, folding, keras2):
    """The two tests above can fail: the same twin with one bias as it was is far off."""
    model = shaken(networks.NETWORKS["weighted-cnn"].build(10))
    x = np.random.default_rng(1).uniform(0, 1, (10, 28, 28, 1)).astype(np.float32)
    operations = folding.fold(model)
    operations[1].bias[:] = 0
    found = keras2.predict_logits(keras2.build_twin(operations), x)
    expected = np.asarray(model(x, training=False))
    assert np.abs(found - expected).max() / np.abs(expected).max() > 100 * TOLERANCE


def test_fold_of_weighted_cnn_leaves_five_kinds_and_no_batch_norm(networks, folding):
    operations = folding.fold(networks.NETWORKS["weighted-cnn"].build(10))
    assert [(one.kind, one.relu) for one in operations] == [
        ("input", False), ("conv", True), ("max_pool", False), ("conv", True), ("max_pool", False),
        ("flatten", False), ("dense", True), ("dense", False),
    ]  # fmt: skip
    assert operations[0].options["shape"] == (28, 28, 1)
    assert {str(one.kernel.dtype) for one in operations if one.kernel is not None} == {"float32"}


def test_fold_of_hand_made_numbers_is_the_formula(keras, folding):
    inputs = keras.Input((2,))
    dense = keras.layers.Dense(1)
    norm = keras.layers.BatchNormalization(epsilon=0.0)
    model = keras.Model(inputs, norm(dense(inputs)))
    dense.set_weights([np.array([[3.0], [-1.0]]), np.array([2.0])])
    # gamma 4, beta 1, mean 5, variance 0.25: s = 4 / 0.5 = 8, W' = W * 8, b' = (2 - 5) * 8 + 1
    norm.set_weights([np.array([4.0]), np.array([1.0]), np.array([5.0]), np.array([0.25])])
    kernel, bias = folding.fold(model)[-1].weights
    np.testing.assert_array_equal(kernel, [[24.0], [-8.0]])
    np.testing.assert_array_equal(bias, [-23.0])


def test_fold_does_not_change_the_network(networks, shaken, folding):
    model = shaken(networks.NETWORKS["weighted-cnn"].build(10))
    before = [weight.copy() for weight in model.get_weights()]
    folding.fold(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fold_of_a_sequential_network_is_the_same_network(keras, shaken, twin_difference):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)), layers.Conv2D(4, 3), layers.BatchNormalization(),
            layers.ReLU(), layers.MaxPooling2D(3), layers.Flatten(), layers.Dense(10),
        ]
    )  # fmt: skip
    assert twin_difference(shaken(model)) < TOLERANCE


def test_fold_of_a_network_called_again_is_still_possible(keras, shaken, twin_difference, networks):
    model = networks.NETWORKS["weighted-cnn"].build(10)
    keras.Model(inputs := keras.Input((28, 28, 1)), model(inputs))
    assert twin_difference(shaken(model)) < TOLERANCE


# --- average pools in front of 1x1 convolutions


def pool_net(keras, pool, convolution, *, beside=False):
    """A pool with a convolution behind it, and if asked for another consumer of the pool."""
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    pooled = layers.AveragePooling2D(**pool)(x)
    x = layers.Conv2D(4, use_bias=False, **convolution)(pooled)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    if beside:
        x = layers.Add()([x, pooled])
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param({"pool_size": 2}, id="2x2"),
        pytest.param({"pool_size": (3, 2), "strides": (1, 3)}, id="overlapping"),
        pytest.param({"pool_size": 3, "strides": 4}, id="gaps"),
    ],
)
def test_fold_of_a_pool_before_a_1x1_convolution_is_one_convolution(
    keras, folding, shaken, twin_difference, pool
):
    model = shaken(pool_net(keras, pool, {"kernel_size": 1}))
    assert [one.kind for one in folding.fold(model)] == [
        "input",
        "conv",
        "conv",
        "flatten",
        "dense",
    ]
    assert twin_difference(model) < TOLERANCE


@pytest.mark.parametrize(
    ("pool", "convolution", "beside"),
    [
        pytest.param({"pool_size": 2}, {"kernel_size": 3}, False, id="3x3"),
        pytest.param({"pool_size": 2}, {"kernel_size": 1, "strides": 2}, False, id="strided"),
        pytest.param({"pool_size": 3, "padding": "same"}, {"kernel_size": 1}, False, id="same"),
        pytest.param({"pool_size": 4}, {"kernel_size": 1}, False, id="large"),
        pytest.param({"pool_size": 2}, {"kernel_size": 1}, True, id="wanted-elsewhere"),
    ],
)
def test_fold_of_a_pool_that_is_no_convolution_keeps_it(
    keras, folding, shaken, twin_difference, pool, convolution, beside
):
    model = shaken(pool_net(keras, pool, convolution, beside=beside))
    assert "average_pool" in [one.kind for one in folding.fold(model)]
    assert twin_difference(model) < TOLERANCE


# --- who else wants the result in between


def test_relu_beside_another_consumer_stays_an_operation_of_its_own(
    keras, folding, shaken, twin_difference
):
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs))
    x = layers.Add()([x, layers.ReLU()(x)])  # the result before the ReLU is wanted too
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    assert "relu" in [one.kind for one in folding.fold(model)]
    assert twin_difference(shaken(model)) < TOLERANCE


def test_batch_norm_beside_another_consumer_is_refused(keras, folding):
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.Add()([x, layers.BatchNormalization(name="one_of_two")(x)])
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    with pytest.raises(ModelError, match="the batch-norm 'one_of_two' does not directly follow"):
        folding.fold(model)


def test_batch_norm_behind_a_dropout_beside_another_consumer_is_refused(keras, folding):
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.Conv2D(4, 3)(inputs)
    normed = layers.BatchNormalization(name="behind_dropout")(layers.Dropout(0.1)(x))
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(layers.Add()([x, normed]))))
    with pytest.raises(
        ModelError, match="the batch-norm 'behind_dropout' does not directly follow"
    ):
        folding.fold(model)


def test_batch_norm_behind_a_dropout_alone_is_folded(keras, shaken, twin_difference):
    layers = keras.layers
    inputs = keras.Input((28, 28, 1))
    x = layers.BatchNormalization()(layers.Dropout(0.1)(layers.Conv2D(4, 3)(inputs)))
    model = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
    assert twin_difference(shaken(model)) < TOLERANCE


# --- what cannot be folded


def broken_networks():
    """Each with the name of the layer that the message must give."""

    def behind(*layers):
        """Builds a network of layers given by name and arguments."""

        def build(keras):
            x = inputs = keras.Input((28, 28, 1))
            for name, *arguments, options in layers:
                x = getattr(keras.layers, name)(*arguments, **options)(x)
            x = keras.layers.Flatten()(x)
            return keras.Model(inputs, keras.layers.Dense(10)(x))

        return build

    here = {"name": "here"}
    conv = ("Conv2D", 2, 3, {})
    norm = ("BatchNormalization", here)
    conv_relu, relu6 = ("Conv2D", 2, 3, {"activation": "relu"}), ("ReLU", 6, here)
    written = "the batch-norm 'here' .* write conv -> batch-norm -> ReLU"
    plain = "'here' is not a plain ReLU"
    return [
        pytest.param(behind(norm), written, id="norm-first"),
        pytest.param(behind(conv_relu, norm), written, id="norm-after-activation"),
        pytest.param(behind(conv, ("ReLU", {}), norm), written, id="norm-after-relu"),
        pytest.param(behind(conv, ("MaxPooling2D", {}), norm), written, id="norm-after-pool"),
        pytest.param(behind(("Lambda", abs, here)), "'here' is a Lambda", id="lambda"),
        pytest.param(behind(("Rescaling", 2.0, here)), "'here' is a Rescaling", id="rescaling"),
        pytest.param(behind(("SeparableConv2D", 2, 3, here)), "'here' is a Sep", id="unknown"),
        pytest.param(behind(relu6), plain, id="relu6"),
        pytest.param(behind(conv, relu6), plain, id="relu6-behind-conv"),
        pytest.param(behind(("ReLU", None, 0.1, here)), plain, id="leaky-relu"),
        pytest.param(
            behind(("Conv2D", 2, 3, {"activation": "relu6", **here})),
            "'here' has .* 'relu6'", id="activation-relu6",
        ),
        pytest.param(
            behind(("Conv2D", 2, 3, {"dilation_rate": 2, **here})),
            "'here' has dilation", id="dilation",
        ),
        pytest.param(
            behind(conv, ("Conv2D", 4, 3, {"groups": 2, **here})),
            "'here' has dilation, groups", id="groups",
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(("build", "message"), broken_networks())
def test_fold_of_a_network_that_cannot_be_folded_names_the_layer(keras, folding, build, message):
    with pytest.raises(ModelError, match=message):
        folding.fold(build(keras))


def test_fold_of_a_softmax_at_the_end_names_it(keras, folding):
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax", name="last")(x))
    with pytest.raises(ModelError, match=r"'last' has .* the activation 'softmax'"):
        folding.fold(model)


def test_fold_of_a_shared_layer_names_it(keras, folding):
    inputs = keras.Input((28, 28, 1))
    shared = keras.layers.Conv2D(1, 3, padding="same", name="twice")
    x = keras.layers.Flatten()(shared(shared(inputs)))
    with pytest.raises(ModelError, match="'twice' is used more than once"):
        folding.fold(keras.Model(inputs, keras.layers.Dense(10)(x)))


def test_fold_of_a_network_within_a_network_names_it(keras, folding, networks):
    inputs = keras.Input((28, 28, 1))
    inner = networks.NETWORKS["weighted-cnn"].build(10)
    with pytest.raises(ModelError, match=f"'{inner.name}' is a Functional"):
        folding.fold(keras.Model(inputs, inner(inputs)))


def test_fold_of_a_subclass_says_how_to_write_it(keras, folding):
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ModelError, match="only functional and sequential networks"):
        folding.fold(Own())


def test_weights_of_an_operation_without_any_are_refused(folding):
    with pytest.raises(TypeError, match="'pool' is of kind 'max_pool', without weights"):
        folding.Operation("pool", "max_pool", ()).weights  # noqa: B018 - the look is what is tested

"""Training with the images on the device takes the same steps as with images changed by Pillow.

Both run on JAX in a process of its own, on the CPU, so that only the order of float32 sums differs.
"""

import json
import os

import numpy as np
import pytest

SCRIPT = """
import json, os, signal, sys, threading
from dataclasses import replace
from pathlib import Path
import keras, numpy as np
sys.path.insert(0, "tests")
from conftest import made_images
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import device_batches, distillation, distribution, fit, networks
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.config import TrainConfig

def build(num_classes):
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(8, 5, strides=4, use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(inputs, keras.layers.Dense(num_classes)(keras.layers.Flatten()(x)))

networks.NETWORKS = {"small": networks.Network(build)}
device_batches.DeviceBatches.steps_per_call = 4
images = (*made_images(64, seed=1), *made_images(10, seed=2))  # 640 images: ten batches, 2.5 calls
plain = TrainConfig(
    network="small", labels=FASHION_MNIST_LABELS, class_weights={"Shirt": 2.0},
    seed=0, epochs=3, batch_size=64, learning_rate=1e-2, optimizer="sgd", schedule="cosine",
    averaging=0.5, weight_decay=5e-3, augmentation=Augmentation(rotation=5, flip=0.5, erase=0.5),
)
mixed = replace(plain, augmentation=replace(plain.augmentation, mixup=0.4, cutmix=0.4))
teacher = distillation.Teacher([fit.train(plain, *images).model], ("a",))
ways = {
    "plain": (plain, {}),
    "mixed": (mixed, {}),
    "taught": (mixed, {"answers": distillation.ConsistentTeacher(teacher)}),
}
document = {"curves": {}, "accelerator": distribution.has_accelerator()}
for name, (config, given) in ways.items():
    document["curves"][name] = [
        [
            [epoch.loss, epoch.accuracy, epoch.val_loss]
            for epoch in fit.train(config, *images, images_on_device=on_device, **given).history
        ]
        for on_device in (False, True)
    ]

def broken_off_at(epoch, step):
    def on_step(now, done, of):
        if (now, done) == (epoch, step):
            raise KeyboardInterrupt
    return on_step

# Images rest from the fourth epoch on; 19 images of the 640 fill no batch of 27.
resting = replace(plain, rest=0.5, epochs=5, batch_size=27)
seen = []
whole = fit.train(
    resting, *images, images_on_device=True, on_step=lambda *step: seen.append(step)
)
path = Path(sys.argv[1])
fit.train(
    resting, *images, images_on_device=True, checkpoint=path, save_every_s=0,
    on_step=broken_off_at(4, 8),
)
again = fit.train(resting, *images, images_on_device=True, checkpoint=path)
document["resumed"] = [
    bool(np.array_equal(*pair))
    for pair in zip(whole.model.get_weights(), again.model.get_weights(), strict=True)
]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it

def signalled(now, done, of):
    if (now, done) == (2, 4):  # the signal comes while JAX takes the next steps
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()

long = replace(plain, epochs=5000)
document["ended"] = fit.train(long, *images, images_on_device=True, on_step=signalled).ended
document["steps"] = [step for epoch, *step in seen if epoch == 1]
document["steps_of_the_fourth"] = [step for epoch, *step in seen if epoch == 4]
print(json.dumps(document))
"""


@pytest.fixture(scope="module")
def document(tensorflow, run_python, tmp_path_factory):
    pytest.importorskip("jax", reason="jax, the backend of this test, is not installed")
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    path = tmp_path_factory.mktemp("device") / "checkpoint.npz"
    ran = run_python("-c", SCRIPT, str(path), env=environment)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["plain", "mixed", "taught"])
def test_train_with_images_on_the_device_takes_the_steps_of_the_cpu(document, way):
    on_cpu, on_device = np.array(document["curves"][way])
    assert on_cpu[-1, 0] < 0.95 * on_cpu[0, 0]  # it learned: the curves are not flat
    # float32 roundings of 30 steps; another image or step changes the loss in its third digit.
    np.testing.assert_allclose(on_device, on_cpu, rtol=1e-5)


@pytest.mark.slow
def test_run_with_images_on_the_device_broken_off_within_an_epoch_ends_with_the_same_weights(
    document,
):
    assert all(document["resumed"])


@pytest.mark.slow
def test_train_with_images_on_the_device_reports_calls_and_leaves_out_what_fills_no_batch(document):
    assert document["steps"] == [[4, 23], [8, 23], [12, 23], [16, 23], [20, 23], [23, 23]]
    assert document["steps_of_the_fourth"][0][1] < 23  # images rested


@pytest.mark.slow
def test_ctrl_c_while_the_device_computes_ends_the_training(document):
    assert document["ended"] == "interrupted"


@pytest.mark.slow
def test_has_accelerator_on_a_cpu_is_false(document):
    assert document["accelerator"] is False

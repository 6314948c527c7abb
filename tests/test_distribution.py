"""Two devices, or two machines, take the same steps as one; tested on the CPU in separate processes."""

import json
import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from garmentlite.edge.errors import OptionError
from garmentlite.train.distribution import Devices

ROOT = Path(__file__).resolve().parent.parent

# Trains a small network (no dropout, whose masks would differ) on two devices and on one.
SCRIPT = """
import dataclasses, json, sys
import keras
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, "tests")
from conftest import made_images
from garmentlite.edge.labels import FASHION_MNIST_LABELS
from garmentlite.train import distribution, fit, networks
from garmentlite.train.augmentation import Augmentation
from garmentlite.train.config import TrainConfig

def build(num_classes):
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(8, 5, strides=4, use_bias=False)(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(16, 3, use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(num_classes)(keras.layers.Flatten()(x)))

networks.NETWORKS = {"small": networks.Network(build)}
x, y = made_images(52, seed=1)  # 520 images: eight batches of 64 and one of 8
x_validation, y_validation = made_images(10, seed=2)
config = TrainConfig(
    network="small", labels=FASHION_MNIST_LABELS, class_weights={"Shirt": 2.0},
    seed=0, epochs=3, batch_size=64, learning_rate=1e-2, optimizer="sgd", schedule="cosine",
    averaging=0.1, weight_decay=5e-3, augmentation=Augmentation(flip=0.5),
)
distribution.join_machines()  # if the variables name any
found = distribution.all_devices()
curves = []
for devices in (distribution.ONE_DEVICE, found):
    history = fit.train(config, x, y, x_validation, y_validation, devices=devices).history
    curves.append([[epoch.loss, epoch.train_loss, epoch.val_loss] for epoch in history])
print(json.dumps({"devices": found.count, "curves": curves}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_give_the_loss_curves_of_one(tensorflow, run_python, backend):
    if backend == "jax":
        pytest.importorskip("jax", reason="jax, the backend of this test, is not installed")
    environment = os.environ | {
        "KERAS_BACKEND": backend, "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
    }  # fmt: skip
    ran = run_python("-c", SCRIPT, env=environment)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert_two_take_the_steps_of_one(ran.stdout)


@pytest.mark.slow
def test_two_machines_give_the_loss_curves_of_one(tensorflow):
    pytest.importorskip("jax", reason="jax, the backend of this test, is not installed")
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        addresses = ",".join(f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other))
    environment = os.environ | {
        "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu",
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": addresses, "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    }  # fmt: skip
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env=environment | {"KERAS_DISTRIBUTION_PROCESS_ID": str(number)},
        )
        for number in range(2)
    ]  # fmt: skip
    try:
        for machine in machines:
            printed, errors = machine.communicate(timeout=300)
            assert machine.returncode == 0, errors[-2000:]
            assert_two_take_the_steps_of_one(printed)
    finally:
        for machine in machines:
            machine.kill()


def assert_two_take_the_steps_of_one(printed):
    document = json.loads(printed.splitlines()[-1])
    assert document["devices"] == 2
    one, two = np.array(document["curves"])
    assert one[-1, 0] < 0.8 * one[0, 0]  # it learned: the curves are not flat
    # float32 roundings of 27 steps: 2e-7 seen. Batch-norm over half a batch each is off by 7e-4 or more.
    np.testing.assert_allclose(two, one, rtol=1e-5)


def test_all_devices_on_another_backend_is_refused(keras, monkeypatch):
    from garmentlite.train import distribution

    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(OptionError, match="--distribute works on TensorFlow and JAX"):
        distribution.all_devices()


def test_join_machines_on_another_backend_than_jax_is_refused(keras, monkeypatch):
    from garmentlite.train import distribution

    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    with pytest.raises(OptionError, match="on JAX only; set KERAS_BACKEND=jax, or unset it"):
        distribution.join_machines()


def test_share_of_machines_is_the_whole_batch_in_order():
    batch = np.arange(12)
    shares = [Devices(6, nullcontext, machine, 3).share_of(batch) for machine in range(3)]
    assert np.concatenate(shares).tolist() == batch.tolist()
    assert {len(share) for share in shares} == {4}

"""A small ResNet, a small MobileNet and a net that takes samples of sound beside PyTorch in float64: the losses of 50 steps agree to 1e-8."""

import numpy as np
import pytest

import nnfast
from nnfast import applications, layers

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
functional = torch.nn.functional


class Net:
    """Weights in the order of the model's, taken one after the other."""

    def __init__(self, model):
        self.parameters = []
        for layer, weight in [(owner, weight) for owner in model.layers for weight in owner.trainable_weights]:
            array = weight.numpy()
            if "Depthwise" in type(layer).__name__:
                array = array.transpose(2, 3, 0, 1)
            elif array.ndim >= 3:
                array = np.moveaxis(array, (-1, -2), (0, 1))
            elif array.ndim == 2:
                array = array.T
            self.parameters.append(torch.tensor(np.ascontiguousarray(array), requires_grad=True))
        self.next = 0

    def take(self):
        self.next += 1
        return self.parameters[self.next - 1]

    def convolved(self, x, epsilon, strides=1, padding=0, groups=1):
        x = functional.conv2d(x, self.take(), None, strides, padding, 1, groups)
        return functional.batch_norm(x, None, None, self.take(), self.take(), training=True, eps=epsilon)

    def dense(self, x):
        return functional.linear(x.mean((2, 3)), self.take(), self.take())


def resnet(net, x):
    x = functional.relu(net.convolved(x, 1e-5, 2, 3))
    x = functional.max_pool2d(x, 3, 2, 1)
    for strides in (1, 2):
        y = functional.relu(net.convolved(x, 1e-5, strides, 1))
        y = net.convolved(y, 1e-5, 1, 1)
        x = functional.relu(y + (net.convolved(x, 1e-5, strides) if strides == 2 else x))
    return net.dense(x)


def bottlenecks(net, x):
    x = functional.relu(net.convolved(x, 1e-5, 1, 1))
    for strides in (1, 2):
        y = functional.relu(net.convolved(x, 1e-5))
        y = functional.relu(net.convolved(y, 1e-5, strides, 1))
        y = net.convolved(y, 1e-5)
        x = functional.relu(y + net.convolved(x, 1e-5, strides))
    return net.dense(x)


BLOCKS = ((6, 1), (8, 2), (8, 1))


def mobilenet(net, x):
    x = functional.relu6(net.convolved(x, 1e-3, 1, 1))
    for _, strides in BLOCKS:
        # "same" pads an even image at its end alone where the stride is 2
        given, padding = (functional.pad(x, (0, 1, 0, 1)), 0) if strides == 2 else (x, 1)
        x = functional.relu6(net.convolved(given, 1e-3, strides, padding, x.shape[1]))
        x = functional.relu6(net.convolved(x, 1e-3))
    return net.dense(x)


def hearing():
    """Raw samples, their spectrogram, two convolutions over time, a dense layer."""
    return nnfast.Sequential(
        [
            nnfast.Input((400,)),
            layers.STFTSpectrogram("log", 64, 16, 64),
            layers.Conv1D(8, 5, strides=2, activation="relu"),
            layers.BatchNormalization(epsilon=1e-5),
            layers.Conv1D(6, 3, activation="tanh"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(5),
        ]
    )


def listening(net, x):
    window = torch.hann_window(64, periodic=False, dtype=torch.float64)
    spectra = torch.stft(x, 64, 16, window=window / window.square().sum().sqrt(), center=False, return_complex=True)
    x = spectra.abs().square().clamp(min=1e-7).sqrt().log()
    x = functional.relu(functional.conv1d(x, net.take(), net.take(), 2))
    x = functional.batch_norm(x, None, None, net.take(), net.take(), training=True, eps=1e-5)
    x = torch.tanh(functional.conv1d(x, net.take(), net.take()))
    return functional.linear(x.mean(2), net.take(), net.take())


LOGITS = {"classes": 5, "classifier_activation": None}
NETS = {
    "resnet": (lambda: applications.ResNet((1, 1), (4, 8), input_shape=(8, 8, 3), **LOGITS), resnet),
    "bottlenecks": (
        lambda: applications.ResNet((1, 1), (2, 4), True, (8, 8, 3), stem="cifar", **LOGITS), bottlenecks
    ),
    "mobilenet": (
        lambda: applications.MobileNet((8, 8, 3), dropout=0.0, first=(4, 1), blocks=BLOCKS, **LOGITS), mobilenet
    ),
    "sound": (hearing, listening),
}  # fmt: skip


@pytest.fixture
def one_torch_thread():
    """Two teams of threads that wait for each other's processors take ten times longer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", NETS)
def test_the_curve_of_pytorch(name, float64, one_torch_thread):
    nnfast.set_random_seed(7)
    make, forward = NETS[name]
    model = make()
    model.compile(
        nnfast.optimizers.SGD(0.02, momentum=0.9), nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    net = Net(model)
    optimizer = torch.optim.SGD(net.parameters, lr=0.02, momentum=0.9)
    rng = np.random.default_rng(3)
    x, labels = rng.standard_normal((80, *model.inputs[0].shape[1:])), rng.integers(0, 5, 80)
    channels_first = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
    found, wanted = [], []
    for step in range(50):
        rows = slice(step % 5 * 16, step % 5 * 16 + 16)
        found.append(float(model.train_on_batch(x[rows], labels[rows])))
        optimizer.zero_grad()
        net.next = 0
        logits = forward(net, torch.tensor(np.ascontiguousarray(channels_first[rows])))
        assert net.next == len(net.parameters)
        loss = functional.cross_entropy(logits, torch.tensor(labels[rows]))
        loss.backward()
        optimizer.step()
        wanted.append(float(loss.detach()))
    assert wanted[-1] < wanted[0]
    np.testing.assert_allclose(found, wanted, 1e-8)

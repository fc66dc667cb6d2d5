"""The same nets, first weights and batches as in PyTorch, in float64: loss curves agree to 1e-9 over 200 steps with every optimizer,
and over 20 steps with every activation and every loss that both have."""

from itertools import pairwise

import numpy as np
import pytest
from checks import kinds

import nnfast
from nnfast import layers, losses, optimizers

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
F = torch.nn.functional
torch.set_num_threads(1)

RNG = np.random.default_rng(0)
ROWS, FEATURES, CLASSES, BATCH = 640, 20, 5, 32
X = RNG.standard_normal((ROWS, FEATURES))
LABELS = X[:, :CLASSES].argmax(1)  # can be learned
ONE_HOT = np.eye(CLASSES)[LABELS]
REAL = RNG.standard_normal((ROWS, CLASSES))
DISTRIBUTION = np.exp(REAL) / np.exp(REAL).sum(1, keepdims=True)
BITS = (REAL > 0).astype(float)
RATE = 0.01

OPTIMIZERS = {
    "sgd": (optimizers.SGD(0.05), torch.optim.SGD, {"lr": 0.05}),
    "momentum": (optimizers.SGD(0.05, momentum=0.9), torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "nesterov": (
        optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        torch.optim.SGD,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    ),
    "adam": (optimizers.Adam(RATE, epsilon=1e-8), torch.optim.Adam, {"lr": RATE, "eps": 1e-8}),
    "adam with Keras' epsilon": (optimizers.Adam(RATE), torch.optim.Adam, {"lr": RATE, "eps": 1e-7}),
    "adamw": (
        optimizers.AdamW(RATE, weight_decay=0.05, epsilon=1e-8),
        torch.optim.AdamW,
        {"lr": RATE, "weight_decay": 0.05, "eps": 1e-8},
    ),
    "rmsprop": (
        optimizers.RMSprop(RATE, rho=0.99, epsilon=1e-8),
        torch.optim.RMSprop,
        {"lr": RATE, "alpha": 0.99, "eps": 1e-8},
    ),
    "rmsprop with momentum": (
        optimizers.RMSprop(1e-3, rho=0.9, momentum=0.8, epsilon=1e-8),
        torch.optim.RMSprop,
        {"lr": 1e-3, "alpha": 0.9, "momentum": 0.8, "eps": 1e-8},
    ),
    "rmsprop, centered": (
        optimizers.RMSprop(1e-3, rho=0.95, centered=True, epsilon=1e-6),
        torch.optim.RMSprop,
        {"lr": 1e-3, "alpha": 0.95, "centered": True, "eps": 1e-6},
    ),
    "adagrad": (
        optimizers.Adagrad(0.05, initial_accumulator_value=0.1, epsilon=1e-10),
        torch.optim.Adagrad,
        {"lr": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-10},
    ),
}

ACTIVATIONS = {
    "relu": F.relu, "relu6": F.relu6, "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": F.elu, "selu": F.selu,
    "sigmoid": torch.sigmoid, "tanh": torch.tanh, "gelu": F.gelu, "silu": F.silu, "softplus": F.softplus,
    "softsign": F.softsign, "mish": F.mish, "hard_sigmoid": F.hardsigmoid, "hard_silu": F.hardswish,
    "exponential": torch.exp, "linear": lambda x: x, "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
}  # fmt: skip

# loss, activation before it, targets, and the loss in PyTorch on (activated output, output, targets)
LOSSES = {
    "sparse, logits": (
        losses.SparseCategoricalCrossentropy(from_logits=True), None, LABELS, lambda p, z, y: F.cross_entropy(z, y),
    ),
    "sparse, probabilities": ("sparse_categorical_crossentropy", "softmax", LABELS, lambda p, z, y: F.cross_entropy(z, y)),
    "categorical, logits": (
        losses.CategoricalCrossentropy(from_logits=True), None, ONE_HOT, lambda p, z, y: F.cross_entropy(z, y),
    ),
    "categorical, smoothed": (
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), None, ONE_HOT,
        lambda p, z, y: F.cross_entropy(z, y, label_smoothing=0.1),
    ),
    "categorical, probabilities": ("categorical_crossentropy", "softmax", DISTRIBUTION, lambda p, z, y: F.cross_entropy(z, y)),
    "binary, logits": (
        losses.BinaryCrossentropy(from_logits=True), None, BITS,
        lambda p, z, y: F.binary_cross_entropy_with_logits(z, y),
    ),
    "binary, probabilities": ("binary_crossentropy", "sigmoid", BITS, lambda p, z, y: F.binary_cross_entropy_with_logits(z, y)),
    "mse": ("mse", None, REAL, lambda p, z, y: F.mse_loss(z, y)),
    "mae": ("mae", None, REAL, lambda p, z, y: F.l1_loss(z, y)),
    "huber": (losses.Huber(delta=0.7), None, REAL, lambda p, z, y: F.huber_loss(z, y, delta=0.7)),
    "kl_divergence": (
        "kl_divergence", "softmax", DISTRIBUTION, lambda p, z, y: F.kl_div(F.log_softmax(z, -1), y, reduction="batchmean"),
    ),
    "poisson": (
        "poisson", "exponential", BITS, lambda p, z, y: F.poisson_nll_loss(z, y, log_input=True),
    ),
    "cosine_similarity": ("cosine_similarity", None, REAL, lambda p, z, y: -F.cosine_similarity(z, y, dim=-1).mean()),
    "hinge": ("hinge", None, 2 * BITS - 1, lambda p, z, y: torch.relu(1 - y * z).mean()),
}  # fmt: skip


def close(curve, expected, tolerance=1e-9):
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(curve, expected, rtol=tolerance, atol=1e-12)


def copy_weights(model, net):
    """Give PyTorch's Linear layers the weights of the Dense layers."""
    weights = [torch.tensor(array) for array in model.get_weights()]
    with torch.no_grad():
        for layer, kernel, bias in zip(linear_layers(net), weights[::2], weights[1::2], strict=True):
            layer.weight.copy_(kernel.T)
            layer.bias.copy_(bias)


def linear_layers(net):
    return [layer for layer in net.modules() if isinstance(layer, torch.nn.Linear)]


def torch_net(*sizes, activation=torch.tanh):
    """Linear layers with an activation between them."""

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(a, b).double() for a, b in pairwise(sizes))

        def forward(self, x):
            for layer in self.layers[:-1]:
                x = activation(layer(x))
            return self.layers[-1](x)

    return Net()


def batches(steps):
    for step in range(steps):
        rows = np.arange(step * BATCH, (step + 1) * BATCH) % ROWS
        yield rows


def curves(model, net, optimizer, loss, targets, steps):
    """Losses of both over the same batches."""
    ours, theirs = [], []
    for rows in batches(steps):
        ours.append(model.train_on_batch(X[rows], targets[rows]))
        optimizer.zero_grad()
        value = loss(net(torch.tensor(X[rows])), torch.tensor(targets[rows]))
        value.backward()
        optimizer.step()
        theirs.append(value.item())
    return ours, theirs


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_optimizers_over_200_steps(case, float64):
    optimizer, torch_optimizer, settings = OPTIMIZERS[case]
    model = nnfast.Sequential(
        [nnfast.Input((FEATURES,)), layers.Dense(32, "tanh"), layers.Dense(16, "relu"), layers.Dense(CLASSES)]
    )
    model.compile(optimizer, losses.SparseCategoricalCrossentropy(from_logits=True))
    net = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, 32), torch.nn.Tanh(), torch.nn.Linear(32, 16), torch.nn.ReLU(), torch.nn.Linear(16, CLASSES),
    ).double()  # fmt: skip
    copy_weights(model, net)
    theirs = torch_optimizer(net.parameters(), **settings)
    ours, expected = curves(model, net, theirs, F.cross_entropy, LABELS, 200)
    assert np.mean(expected[-20:]) < 0.8 * expected[0]  # they learn something
    close(ours, expected)
    for kernel, layer in zip(model.get_weights()[::2], linear_layers(net), strict=True):
        np.testing.assert_allclose(kernel, layer.weight.detach().numpy().T, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("clip", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_clipping(clip, float64):
    limit = {"clipvalue": 0.01, "clipnorm": 0.05, "global_clipnorm": 0.1}[clip]
    model = nnfast.Sequential([nnfast.Input((FEATURES,)), layers.Dense(16, "tanh"), layers.Dense(CLASSES)])
    model.compile(optimizers.SGD(0.5, **{clip: limit}), losses.SparseCategoricalCrossentropy(from_logits=True))
    net = torch_net(FEATURES, 16, CLASSES)
    copy_weights(model, net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    ours, theirs = [], []
    for rows in batches(50):
        ours.append(model.train_on_batch(X[rows], LABELS[rows]))
        optimizer.zero_grad()
        loss = F.cross_entropy(net(torch.tensor(X[rows])), torch.tensor(LABELS[rows]))
        loss.backward()
        for group in [[p] for p in net.parameters()] if clip != "global_clipnorm" else [list(net.parameters())]:
            clip_gradients(group, clip, limit)
        optimizer.step()
        theirs.append(loss.item())
    close(ours, theirs)


def clip_gradients(parameters, kind, limit):
    if kind == "clipvalue":
        torch.nn.utils.clip_grad_value_(parameters, limit)
        return
    norm = torch.sqrt(sum((p.grad**2).sum() for p in parameters))
    for p in parameters:
        p.grad *= limit / max(norm, limit)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_a_model(name, float64):
    model = nnfast.Sequential(
        [nnfast.Input((FEATURES,)), layers.Dense(12, name), layers.Dense(9, name), layers.Dense(CLASSES)]
    )
    model.compile(optimizers.SGD(1e-3), "mse")
    net = torch_net(FEATURES, 12, 9, CLASSES, activation=ACTIVATIONS[name])
    model.set_weights([0.3 * array for array in model.get_weights()])  # exp(exp(...)) stays finite
    copy_weights(model, net)
    close(*curves(model, net, torch.optim.SGD(net.parameters(), lr=1e-3), F.mse_loss, REAL, 20))


def test_every_activation_that_pytorch_has_is_compared():
    from nnfast import serialization

    aliases = {"hard_swish", "swish"}
    ours = {
        name
        for name in serialization.known_names("activation")
        if name == name.lower() and kinds.is_ours(serialization.lookup("activation", name))
    }  # other tests register activations of their own
    assert set(ACTIVATIONS) == ours - aliases


@pytest.mark.parametrize("case", LOSSES)
def test_losses_in_a_model(case, float64):
    loss, activation, targets, torch_loss = LOSSES[case]
    model = nnfast.Sequential([nnfast.Input((FEATURES,)), layers.Dense(12, "tanh"), layers.Dense(CLASSES, activation)])
    model.compile(optimizers.SGD(0.05), loss)
    net = torch_net(FEATURES, 12, CLASSES)
    copy_weights(model, net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    # Keras keeps probabilities, predictions and norms away from 0 by small numbers, PyTorch does not
    tolerance = 1e-6 if case in ("kl_divergence", "poisson", "cosine_similarity") else 1e-9
    ours, expected = curves(model, net, optimizer, lambda z, y: torch_loss(z, z, y), targets, 20)
    close(ours, expected, tolerance)


def test_gradients_of_a_branching_model(float64):
    """Two outputs, a shared layer, a product of branches: value and gradients as PyTorch's."""
    x = nnfast.Input((FEATURES,))
    shared = layers.Dense(7, "tanh")
    a, b = shared(x), shared(x * 0.5 - 1.0)
    joined = layers.Concatenate()([a * b, a])
    model = nnfast.Model(x, [layers.Dense(CLASSES)(joined), layers.Dense(1, "sigmoid")(joined)])
    mse, sparse = losses.MeanSquaredError(), losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss(x, labels, reals):
        first, second = model(x)
        return sparse(labels, first) + 0.3 * mse(reals, second)

    given = X[:50], LABELS[:50], REAL[:50, :1]
    value, gradients = nnfast.value_and_grad(loss, wrt=model)(*given)

    weights = [torch.tensor(array, requires_grad=True) for array in model.get_weights()]
    k, c, k1, c1, k2, c2 = weights
    t = torch.tensor(given[0])
    a, b = torch.tanh(t @ k + c), torch.tanh((t * 0.5 - 1.0) @ k + c)
    joined = torch.cat([a * b, a], -1)
    expected = F.cross_entropy(joined @ k1 + c1, torch.tensor(given[1]))
    expected = expected + 0.3 * F.mse_loss(torch.sigmoid(joined @ k2 + c2), torch.tensor(given[2]))
    expected.backward()
    close(value, expected.item(), 1e-12)
    for gradient, weight in zip(gradients, weights, strict=True):
        np.testing.assert_allclose(gradient, weight.grad.numpy(), rtol=1e-9, atol=1e-13)


def test_a_wrong_gradient_is_caught(float64, monkeypatch):
    """The comparison itself: an update that is wrong by 0.05 % must not pass."""
    model = nnfast.Sequential([nnfast.Input((FEATURES,)), layers.Dense(8, "tanh"), layers.Dense(CLASSES)])
    model.compile(optimizers.SGD(0.05 * 1.0005), "mse")
    net = torch_net(FEATURES, 8, CLASSES)
    copy_weights(model, net)
    ours, expected = curves(model, net, torch.optim.SGD(net.parameters(), lr=0.05), F.mse_loss, REAL, 20)
    with pytest.raises(AssertionError):
        close(ours, expected)

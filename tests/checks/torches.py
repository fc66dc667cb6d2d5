"""One layer beside PyTorch in float64: outputs, and gradients with respect to the input and the weights."""

import numpy as np
import torch

import nnfast


def compare(layer, x, function, weights=(), training=True, limit=1e-10):
    """`function(x, *weights)` in PyTorch gives what the layer gives. weights: the layer's, in order, or a part of them."""
    layer(nnfast.Input(x.shape[1:], dtype="float64"))
    rng = np.random.default_rng(0)
    for weight in weights:
        weight.assign(weight.numpy() + rng.uniform(0.5, 1.5, weight.shape))
    given = [torch.tensor(a, requires_grad=True) for a in (x, *(w.numpy() for w in weights))]
    wanted = function(*given)
    factor = rng.standard_normal(tuple(wanted.shape))
    (wanted * torch.tensor(factor)).sum().backward()

    found = layer(x, training=training)
    close(found, wanted.detach().numpy(), limit)
    total = lambda z: nnfast.ops.sum(layer(z) * factor)  # noqa: E731
    for wrt, tensors in ((None, given[:1]), (list(weights), given[1:])):
        if wrt == []:
            continue
        value, gradients = nnfast.value_and_grad(total, wrt, training=training)(x)
        close(value, float((wanted * torch.tensor(factor)).sum().detach()), limit)
        for gradient, tensor in zip(gradients, tensors, strict=True):
            close(gradient, tensor.grad.numpy(), limit)
    return found


def close(found, wanted, limit):
    """Equal relative to the largest number."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape, f"{found.shape} in place of {wanted.shape}"
    assert found.dtype == np.float64 or found.ndim == 0
    error = np.abs(found - wanted).max(initial=0) / max(np.abs(wanted).max(initial=0), 1)
    assert error <= limit, f"{error:.2e} off"

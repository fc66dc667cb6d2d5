"""Training steps against the NumPy reference: forward, gradients and Adam's update of multilayer networks."""

import pytest

from nnfast.cli.bench import NETWORKS, make_network
from nnfast.cli.steps import check_step, make_steps


@pytest.mark.parametrize("library", ["nnfast", "numpy"])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: "-".join(map(str, network.sizes)))
def test_training_step(benchmark, network, library):
    model, x, y = make_network(network)
    check_step(model, x, y, network.batch_size)
    steps = make_steps(model, x, y, network.batch_size)
    benchmark.group = f"{'-'.join(map(str, network.sizes))}, batches of {network.batch_size}"
    benchmark(steps[library])

"""What is measured: every case of `nnfast bench` and of bench/, as sizes and nothing else.

Out: CASES, in the order of the table. How a case is computed stands in peers/, its arrays in inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from nnfast.benchmark import images, sequences
from nnfast.benchmark.images import Sizes

REAL = 4  # bytes of a float32


@dataclass(frozen=True)
class Case:
    """One line of the table.

    kind: what is computed; sizes: m, k, n of a product, rows and columns, elements, the layers of a network, or of a convolution batch,
    pixels of a side, channels, outputs, taps of a side and strides (taps // 2 pixels of padding), or of causal attention and its gradients
    batch, length, heads and head size. network: one on images, by its name in
    images, or on sequences, by its name in sequences; sizes are then the shape of an input.
    """

    group: str
    kind: str
    sizes: tuple[int, ...]
    batch: int = 0  # rows of a network's batch
    optimizer: str = ""
    quick: bool = False  # also in the short run
    network: str = ""

    @property
    def name(self) -> str:
        """A name that no other case has.

        >>> Case("products", "x w", (32, 784, 256)).name
        'x w 32x784x256'
        """
        if self.network:
            return f"{self.kind} {self.network} batch {self.batch}"
        sizes = ("-" if self.batch else "x").join(map(str, self.sizes))
        return f"{self.kind} {sizes}" + (f" batch {self.batch}" if self.batch else "")

    @property
    def flops(self) -> float:
        """Multiplications and additions that the work needs; an elementwise function counts as what is in FUNCTIONS."""
        if self.kind in PRODUCTS:
            return 2.0 * prod(self.sizes)
        if self.kind in CONVOLUTIONS:
            batch, _, channels, outputs, taps, _ = self.sizes
            return 2.0 * batch * self.out**2 * outputs * channels * taps**2
        if (
            self.kind == "attention"
        ):  # two products and the five of the gradients, of the half of all scores that is seen
            batch, length, heads, size = self.sizes
            return 7.0 * batch * heads * length * (length + 1) * size
        if self.kind in FUNCTIONS:
            return float(FUNCTIONS[self.kind] * self.sizes[0])
        if self.kind in ROWS:
            return 8.0 * prod(self.sizes)
        if self.kind in UPDATES:
            return float(UPDATES[self.kind][2] * self.sizes[0])
        if self.network:
            found = sizes_of(self.network)
            if self.kind == "decode":
                return self.batch * found.flops / self.sizes[0]
            return self.batch * (found.flops if self.group == "inference" else 3 * found.flops - found.first)
        products = sum(2.0 * self.batch * a * b for a, b in pairwise(self.sizes))
        if self.group == "inference":
            return products
        return 3 * products - 2.0 * self.batch * self.sizes[0] * self.sizes[1]  # no gradient of the inputs

    @property
    def out(self) -> int:
        """Pixels of a side of a convolution's output."""
        _, pixels, _, _, taps, strides = self.sizes
        return (pixels + taps // 2 * 2 - taps) // strides + 1

    @property
    def traffic(self) -> tuple[float, float]:
        """Bytes read and bytes written at least, if nothing stays in registers from one call to the next."""
        if self.kind in PRODUCTS:
            m, k, n = self.sizes
            arrays = {"x w": (m * k + k * n, m * n), "x^T dy": (m * k + m * n, k * n), "dy w^T": (m * n + k * n, m * k)}
            read, written = arrays[self.kind if self.kind in arrays else "x w"]
        elif self.kind in CONVOLUTIONS:
            batch, pixels, channels, outputs, taps, _ = self.sizes
            x, y, w = batch * pixels**2 * channels, batch * self.out**2 * outputs, channels * outputs * taps**2
            read, written = {"conv": (x + w, y), "conv dx": (y + w, x), "conv dw": (x + y, w)}[self.kind]
        elif self.kind == "attention":
            read = written = 4 * prod(self.sizes)
        elif self.kind in FUNCTIONS or self.kind in ROWS:
            read = written = prod(self.sizes)
        elif self.kind in UPDATES:
            read, written = (count * self.sizes[0] for count in UPDATES[self.kind][:2])
        else:
            weights = sum((a + 1) * b for a, b in pairwise(self.sizes))
            if self.network:
                shapes = sizes_of(self.network).weights
                weights = sum(
                    min(shape[0], self.batch) * shape[1] if kind == "table" else prod(shape) for kind, shape in shapes
                )
            read, written = weights, 0
            if self.group != "inference":
                read, written = (count * weights for count in TRAFFIC[self.optimizer][:2])
        return float(REAL * read), float(REAL * written)

    @property
    def memory(self) -> float:
        """Bytes of all arrays: what must fit into a cache for the work to run from it."""
        read, written = self.traffic
        return read if self.kind in UPDATES or self.batch else read + written


def sizes_of(network: str) -> Sizes:
    """Weights and flops of a network on images or sequences."""
    return (sequences if network in sequences.NETWORKS else images).sizes(network)


PRODUCTS = ("x w", "x^T dy", "dy w^T", "kernels.matmul")
CONVOLUTIONS = ("conv", "conv dx", "conv dw")
# Elementwise functions and their cost in multiply-adds, divisions and comparisons of their polynomials.
FUNCTIONS = {"relu": 1, "add": 1, "exp": 16, "log": 22, "tanh": 28, "sigmoid": 24, "gelu": 46}
ROWS = ("softmax", "sparse cross-entropy")
# Arrays read, arrays written, operations per element.
UPDATES = {"sgd": (2, 1, 2), "sgd_momentum": (3, 2, 4), "adam": (4, 3, 14)}
TRAFFIC = {**UPDATES, "adamw": (4, 3, 16)}

SQUARES = (32, 64, 128, 256, 512, 1024, 2048)
FORWARD = (
    *((n, n, n) for n in SQUARES),
    *((1, 64, 64), (1, 784, 512), (1, 512, 512), (1, 1024, 1024), (1, 4096, 1000), (1, 4096, 4096)),
    *((2, 256, 256), (2, 1024, 1024), (2, 2048, 512)),
    *((4, 64, 64), (4, 784, 256), (4, 1024, 4096)),
    *((8, 128, 128), (8, 1024, 1024), (8, 512, 2048)),
    *((16, 64, 256), (16, 784, 512), (16, 1024, 1024)),
    *((32, 20, 64), (32, 64, 64), (32, 784, 256), (32, 1024, 1024), (32, 256, 10), (32, 4096, 1024)),
    *((64, 100, 10), (64, 784, 128), (64, 512, 512), (64, 2048, 512)),
    *((128, 10, 256), (128, 256, 10), (128, 512, 256), (128, 784, 512), (128, 1024, 1024), (128, 4096, 512)),
    *((256, 30, 100), (256, 128, 64), (256, 784, 1024), (256, 1024, 4096), (256, 4096, 4096), (256, 4096, 1000)),
    *((7, 77, 777), (17, 1023, 31), (33, 65, 129), (100, 300, 70), (127, 255, 513), (200, 20, 100), (1000, 1000, 1000)),
)
BACKWARD = (
    *((1, 1024, 1024), (4, 64, 64), (32, 64, 64), (32, 784, 256), (32, 1024, 1024), (33, 65, 129)),
    *((128, 256, 10), (128, 512, 256), (128, 784, 512), (256, 1024, 4096), (256, 4096, 1000), (1024, 1024, 1024)),
)
PLAIN = (
    *((n, n, n) for n in SQUARES[:-1]),
    *((1, 1024, 1024), (8, 1024, 1024), (32, 784, 256), (32, 1024, 1024), (64, 512, 512), (127, 255, 513)),
    *((128, 256, 10), (128, 784, 512), (256, 4096, 1000)),
)
IN_L1, OUT_OF_CACHE = 4096, 8 << 20  # elements
IMAGES = (  # of ResNet-18, for ImageNet and CIFAR-10; a small net; 5 x 5; odd sizes
    *((1, 56, 64, 64, 3, 1), (1, 28, 128, 128, 3, 1), (1, 14, 256, 256, 3, 1), (1, 7, 512, 512, 3, 1)),
    *((32, 56, 64, 64, 3, 1), (32, 28, 128, 128, 3, 1), (32, 14, 256, 256, 3, 1), (32, 7, 512, 512, 3, 1)),
    *((32, 32, 64, 64, 3, 1), (32, 4, 512, 512, 3, 1), (32, 56, 64, 128, 3, 2), (32, 56, 64, 128, 1, 2)),
    *(
        (8, 224, 3, 64, 7, 2),
        (64, 28, 1, 32, 3, 1),
        (64, 26, 32, 64, 3, 1),
        (16, 24, 48, 64, 5, 1),
        (3, 13, 100, 130, 3, 1),
    ),
)
NETWORKS = (
    ((20, 64, 64, 2), 32, "adam"),
    ((4, 64, 64, 2), 4, "adam"),
    ((784, 512, 256, 10), 128, "adam"),
    ((1024, 4096, 4096, 1000), 256, "sgd_momentum"),
)
SHORT = {(64, 64, 64), (256, 256, 256), (32, 784, 256), (1, 512, 512)}  # products of the short run


def _products() -> Iterable[Case]:
    for sizes in FORWARD:
        yield Case("products", "x w", sizes, quick=sizes in SHORT)
    for kind in ("x^T dy", "dy w^T"):
        for sizes in BACKWARD:
            yield Case("training products", kind, sizes, quick=sizes == (32, 784, 256))
    for sizes in PLAIN:
        yield Case("plain products", "kernels.matmul", sizes, quick=sizes in SHORT)


def _convolutions() -> Iterable[Case]:
    for kind in CONVOLUTIONS:
        for sizes in IMAGES:
            if kind != "conv dx" or sizes[2] > 3:  # images themselves need no gradient
                yield Case("convolutions", kind, sizes, quick=sizes == (1, 14, 256, 256, 3, 1))


def _others() -> Iterable[Case]:
    for length in (512, 2048):
        yield Case("attention", "attention", (1, length, 6, 64), quick=length == 512)
    for kind in FUNCTIONS:
        for count in (IN_L1, OUT_OF_CACHE):
            yield Case("elementwise", kind, (count,), quick=count == IN_L1 and kind in ("relu", "exp"))
    for kind, sizes in (
        ("softmax", ((32, 10), (128, 1000), (8192, 1000))),
        ("sparse cross-entropy", ((32, 10), (128, 1000))),
    ):
        for size in sizes:
            yield Case("rows", kind, size, quick=size == (32, 10))
    for kind in UPDATES:
        for count in (10_000, OUT_OF_CACHE):
            yield Case("updates", kind, (count,), quick=count == 10_000 and kind == "adam")


def _networks() -> Iterable[Case]:
    for sizes, batch, optimizer in NETWORKS:
        yield Case("steps", "fit", sizes, batch, optimizer, quick=sizes[0] == 20)
        yield Case("steps", "train_on_batch", sizes, batch, optimizer)
    yield Case("steps", "fit", (30, 64, 2), 256, "adam")
    yield Case("steps", "whole training", (20, 100, 3), 200, "adam")
    for sizes, batch, _ in NETWORKS:
        for rows in (1, batch):
            yield Case("inference", "predict", sizes, rows, quick=sizes[0] == 20)
    for name, network in images.NETWORKS.items():
        yield Case("steps", "fit", network.shape, network.batch, network.optimizer, network=name)
        for rows in (1, network.batch):
            yield Case("inference", "predict", network.shape, rows, network=name)
    for name, described in sequences.NETWORKS.items():
        for rows in sequences.TRAINED.get(name, (32,)):
            optimizer = "adamw" if name in sequences.ADAMW else "adam"
            yield Case("steps", "fit", described.shape, rows, optimizer, network=name)
        for rows in sequences.PREDICTED.get(name, ()):
            yield Case("inference", "predict", described.shape, rows, network=name)
    for name in sequences.DECODED:
        yield Case("inference", "decode", sequences.NETWORKS[name].shape, 1, network=name)


CASES = (*_products(), *_convolutions(), *_others(), *_networks())
GROUPS = tuple(dict.fromkeys(case.group for case in CASES))
BY_NAME = {case.name: case for case in CASES}
TRAINING_ROWS, TRAINING_EPOCHS = 10_000, 5  # of the case "whole training"

"""MNIST and Fashion-MNIST: where they lie, and how their files can be told."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from nnfast.datasets import idx

Split = tuple[NDArray[Any], NDArray[Any]]

MNIST = idx.IdxDataset(
    title="MNIST",
    folder="mnist",
    address="https://storage.googleapis.com/cvdf-datasets/mnist/",
    files=(
        idx.IdxFile(
            "train-images-idx3-ubyte.gz",
            (60000, 28, 28),
            archive="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            content="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        idx.IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60000,),
            archive="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            content="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        idx.IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10000, 28, 28),
            archive="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            content="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        idx.IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10000,),
            archive="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            content="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

FASHION_MNIST = idx.IdxDataset(
    title="Fashion-MNIST",
    folder="fashion_mnist",
    address="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    files=(
        idx.IdxFile(
            "train-images-idx3-ubyte.gz",
            (60000, 28, 28),
            archive="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        idx.IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60000,),
            archive="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        idx.IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10000, 28, 28),
            archive="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        idx.IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10000,),
            archive="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    ),
)


def load_mnist() -> tuple[Split, Split]:
    """MNIST: 28 x 28 images of handwritten digits, 60,000 for training and 10,000 for testing.

    Looked for in `mnist/` of the folder that NNFAST_DATA names, then in the cache, else downloaded (extra `data`).

    Returns:
        ((x_train, y_train), (x_test, y_test)): uint8; x of shape (60000, 28, 28) and (10000, 28, 28), y 0..9.

    Raises:
        DataError: a file is damaged, or is not there and cannot be downloaded.
        MissingExtraError: a file is not there and pooch is not installed.

    Source: Y. LeCun, C. Cortes and C. Burges; CC BY-SA 3.0.

    >>> (x_train, y_train), _ = load_mnist()  # doctest: +SKIP
    """
    return _splits(MNIST)


def load_fashion_mnist() -> tuple[Split, Split]:
    """Fashion-MNIST: 28 x 28 images of clothes in 10 classes, 60,000 for training and 10,000 for testing.

    Looked for in `fashion_mnist/` of the folder that NNFAST_DATA names, then in the cache, else downloaded (extra
    `data`).

    Returns:
        As load_mnist. The classes: T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot.

    Raises:
        DataError, MissingExtraError: as load_mnist.

    Source: H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747 (2017); MIT licence.

    >>> (x_train, y_train), _ = load_fashion_mnist()  # doctest: +SKIP
    """
    return _splits(FASHION_MNIST)


def _splits(dataset: idx.IdxDataset) -> tuple[Split, Split]:
    x_train, y_train, x_test, y_test = idx.load(dataset)
    return (x_train, y_train), (x_test, y_test)

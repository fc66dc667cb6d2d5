"""Real data sets: images, sound, text, tables and series, each with a fixed split."""

from nnfast.datasets.adult import load_adult
from nnfast.datasets.digits import load_digits
from nnfast.datasets.donkeycar import load_donkeycar
from nnfast.datasets.fsdd import load_fsdd
from nnfast.datasets.mnist import load_fashion_mnist, load_mnist
from nnfast.datasets.pneumonia_mnist import load_pneumonia_mnist
from nnfast.datasets.shakespeare import load_shakespeare
from nnfast.datasets.spam import load_spam
from nnfast.datasets.turbofan import load_turbofan

__all__ = [
    "load_adult",
    "load_digits",
    "load_donkeycar",
    "load_fashion_mnist",
    "load_fsdd",
    "load_mnist",
    "load_pneumonia_mnist",
    "load_shakespeare",
    "load_spam",
    "load_turbofan",
]

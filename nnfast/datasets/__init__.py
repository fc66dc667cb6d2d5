"""Real data sets: the UCI digits that the package carries, MNIST and Fashion-MNIST."""

from nnfast.datasets.digits import load_digits
from nnfast.datasets.mnist import load_fashion_mnist, load_mnist

__all__ = ["load_digits", "load_fashion_mnist", "load_mnist"]

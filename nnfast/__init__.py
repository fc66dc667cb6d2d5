"""nnfast: neural networks on multicore CPUs, one compiled plan per step, the same bits on any number of threads."""

import sys

from nnfast import (
    activations,
    applications,
    callbacks,
    data,
    datasets,
    errors,
    explain,
    initializers,
    io,
    kernels,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    random,
    regularizers,
    schedules,
)
from nnfast._version import __version__
from nnfast.augmentation import AugmentedData
from nnfast.boundary import guard as _guard
from nnfast.boundary import guard_methods as _guard_methods
from nnfast.columns import Columns
from nnfast.config import floatx, get_num_threads, num_threads, set_floatx, set_num_threads, show_config
from nnfast.generation import generate
from nnfast.gradient import value_and_grad
from nnfast.layers import Input
from nnfast.model import Model
from nnfast.precision import numerics
from nnfast.random import set_random_seed
from nnfast.receipt import verify
from nnfast.saving import load_model
from nnfast.sentences import SentenceEncoder
from nnfast.sequential import Sequential
from nnfast.tokenizers import BytePairTokenizer
from nnfast.training.groups import recompute
from nnfast.variable import Variable

__all__ = [
    "AugmentedData",
    "BytePairTokenizer",
    "Columns",
    "Input",
    "Model",
    "SentenceEncoder",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "applications",
    "callbacks",
    "data",
    "datasets",
    "errors",
    "explain",
    "floatx",
    "generate",
    "get_num_threads",
    "initializers",
    "kernels",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "num_threads",
    "numerics",
    "ops",
    "optimizers",
    "random",
    "recompute",
    "regularizers",
    "set_floatx",
    "set_num_threads",
    "set_random_seed",
    "show_config",
    "value_and_grad",
    "verify",
]

_guard(
    [sys.modules[__name__], activations, applications, callbacks, data, datasets, explain, initializers, io, kernels, layers, losses, metrics, ops,
     optimizers, random, regularizers, schedules]
)  # fmt: skip
_guard_methods(Model, ("compile", "evaluate", "fit", "load_weights", "predict", "save", "save_weights", "summary"))
_guard_methods(layers.Layer, ("set_weights",))

"""Layers: what a model is made of.

In: tensors with the batch as first axis. Out: tensors. A layer keeps weights and says in `call`, with nnfast.ops, what it computes.
"""

from nnfast.layers import operation  # noqa: F401  (arithmetic on symbols)
from nnfast.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from nnfast.layers.augmentation import (
    CenterCrop,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)
from nnfast.layers.base import Layer
from nnfast.layers.batch_normalization import BatchNormalization, GroupNormalization, InstanceNormalization
from nnfast.layers.colour import RandomBrightness, RandomContrast, RandomErasing
from nnfast.layers.dense import Dense
from nnfast.layers.function import Lambda
from nnfast.layers.input import Input
from nnfast.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from nnfast.layers.mixing import CutMix, MixUp
from nnfast.layers.normalization import (
    LayerNormalization,
    RMSNormalization,
    SpectralNormalization,
    UnitNormalization,
)
from nnfast.layers.preprocessing import Normalization, Rescaling
from nnfast.layers.regularization import ActivityRegularization, Dropout, GaussianNoise
from nnfast.layers.reshaping import Flatten, Identity, Permute, Reshape
from nnfast.layers.sound import RandomTimeShift, SpecAugment

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianNoise",
    "GroupNormalization",
    "Identity",
    "Input",
    "InstanceNormalization",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "Reshape",
    "Rescaling",
    "Softmax",
    "SpectralNormalization",
    "Subtract",
    "UnitNormalization",
    "add",
    "average",
    "concatenate",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
    "CenterCrop",
    "CutMix",
    "MixUp",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "RandomBrightness",
    "RandomContrast",
    "RandomErasing",
    "RandomTimeShift",
    "SpecAugment",
]

"""Layers: what a model is made of.

In: tensors with the batch as first axis. Out: tensors. A layer keeps weights and says in `call`, with nnfast.ops, what it computes.
"""

from nnfast.layers import operation  # noqa: F401  (arithmetic on symbols)
from nnfast.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from nnfast.layers.attention import GroupedQueryAttention, MultiHeadAttention
from nnfast.layers.augmentation import CenterCrop, RandomCrop, RandomFlip, RandomRotation, RandomTranslation, RandomZoom
from nnfast.layers.base import Layer
from nnfast.layers.batch_normalization import BatchNormalization, GroupNormalization, InstanceNormalization
from nnfast.layers.bert import BertEncoder
from nnfast.layers.categories import CategoryEncoding, Discretization, Hashing
from nnfast.layers.colour import RandomBrightness, RandomContrast, RandomErasing
from nnfast.layers.conv import Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Conv3D, Conv3DTranspose
from nnfast.layers.dense import Dense
from nnfast.layers.depthwise import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from nnfast.layers.dot_attention import AdditiveAttention, Attention
from nnfast.layers.embedding import Embedding, EmbeddingBag, ReversibleEmbedding
from nnfast.layers.function import Lambda
from nnfast.layers.input import Input
from nnfast.layers.masking import Masking
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
from nnfast.layers.noise import (
    AlphaDropout,
    GaussianDropout,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
    StochasticDepth,
)
from nnfast.layers.normalization import LayerNormalization, RMSNormalization, SpectralNormalization, UnitNormalization
from nnfast.layers.pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from nnfast.layers.positions import PositionEmbedding, RotaryEmbedding, SinePositionEncoding
from nnfast.layers.preprocessing import Normalization, Rescaling
from nnfast.layers.recurrent import GRU, LSTM, RNN, SimpleRNN
from nnfast.layers.recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from nnfast.layers.recurrent_conv import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from nnfast.layers.regularization import ActivityRegularization, Dropout, GaussianNoise
from nnfast.layers.reshaping import Flatten, Identity, Permute, RepeatVector, Reshape
from nnfast.layers.sound import RandomTimeShift, SpecAugment
from nnfast.layers.spatial import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    PixelShuffle,
    Resizing,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from nnfast.layers.spectrogram import MFCC, MelSpectrogram, STFTSpectrogram
from nnfast.layers.transformer import TransformerDecoder, TransformerEncoder
from nnfast.layers.vocabulary import IntegerLookup, StringLookup, TextVectorization
from nnfast.layers.wrappers import Bidirectional, TimeDistributed

__all__ = [
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "BertEncoder",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CutMix",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dropout",
    "ELU",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "GRU",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupedQueryAttention",
    "Hashing",
    "Identity",
    "Input",
    "InstanceNormalization",
    "IntegerLookup",
    "LSTM",
    "LSTMCell",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MFCC",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "MelSpectrogram",
    "Minimum",
    "MixUp",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "PixelShuffle",
    "PositionEmbedding",
    "RMSNormalization",
    "RNN",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomRotation",
    "RandomTimeShift",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "ReversibleEmbedding",
    "RotaryEmbedding",
    "STFTSpectrogram",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "SinePositionEncoding",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpecAugment",
    "SpectralNormalization",
    "StackedRNNCells",
    "StochasticDepth",
    "StringLookup",
    "Subtract",
    "TextVectorization",
    "TimeDistributed",
    "TransformerDecoder",
    "TransformerEncoder",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "add",
    "average",
    "concatenate",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]

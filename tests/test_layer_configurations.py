"""Configurations: get_config gives JSON that makes the same layer again, for every layer."""

import numpy as np
import pytest
from checks.spatial_layers import SPATIAL_CONFIGURED

from nnfast import layers, serialization

CONFIGURED = [
    layers.Dense(
        3, "relu", False, "he_normal", kernel_regularizer="l2", activity_regularizer="l1", name="d", trainable=False
    ),
    layers.Dense(3, dtype="float64"),
    layers.Activation("softmax"),
    layers.ReLU(6.0, 0.1, 0.2),
    layers.LeakyReLU(0.1),
    layers.PReLU("ones", "l2", [1]),
    layers.ELU(0.5),
    layers.Softmax(1),
    layers.Dropout(0.3, (None, 1), 4),
    layers.GaussianNoise(0.3, 4),
    layers.ActivityRegularization(0.1, 0.2),
    layers.Flatten(),
    layers.Reshape((2, -1)),
    layers.Permute((2, 1)),
    layers.Identity(),
    layers.Add(),
    layers.Subtract(),
    layers.Multiply(),
    layers.Average(),
    layers.Maximum(),
    layers.Minimum(),
    layers.Concatenate(1),
    layers.Rescaling([0.5, 2.0], 1.0),
    layers.Normalization(None, 1.0, np.float32(2.0), True),
    layers.CenterCrop(2, 3),
    layers.RandomFlip("vertical", 3),
    layers.RandomCrop(2, 3, 4, 1),
    layers.RandomTranslation((-0.1, 0.2), 0.3, "wrap", "nearest", 3, 0.5),
    layers.RandomRotation(0.1, "constant", "nearest", 3, 0.5),
    layers.RandomZoom((-0.1, 0.2), 0.3, "wrap", "nearest", 3, 0.5),
    layers.RandomBrightness((-0.1, 0.2), (0, 1), 3),
    layers.RandomContrast(0.2, (0, 1), 3),
    layers.RandomErasing(0.5, (0.1, 0.2), 3.0, (0, 1), 3),
    layers.RandomTimeShift(0.2, "wrap", 3),
    layers.SpecAugment(1, 0.2, 3, 0.4, 0.5, 6),
    layers.MixUp(0.3, 4),
    layers.CutMix(0.3, 4),
    layers.Masking(-1.0),
    *SPATIAL_CONFIGURED,
    layers.Conv1D(4, 3, 2, "causal", None, 1, 2, "relu", False),
    layers.Conv2D(4, (3, 2), data_format="channels_first", kernel_initializer="he_normal", kernel_regularizer="l2"),
    layers.Conv3D(2, 3, padding=((1, 0), (0, 2), (1, 1)), dilation_rate=2, bias_initializer="ones"),
    layers.Conv1DTranspose(4, 3, 2, "same", 1),
    layers.Conv2DTranspose(4, 3, (2, 1), activation="tanh", bias_regularizer="l2"),
    layers.Conv3DTranspose(4, 3, kernel_regularizer="l1"),
    layers.DepthwiseConv1D(3, depth_multiplier=2, depthwise_regularizer="l2"),
    layers.DepthwiseConv2D((3, 5), (2, 2), "same", depthwise_initializer="ones"),
    layers.SeparableConv1D(4, 3, depth_multiplier=2, pointwise_initializer="ones"),
    layers.SeparableConv2D(4, 3, use_bias=False, pointwise_regularizer="l2"),
    layers.RepeatVector(3),
    layers.SimpleRNN(3, "relu", False, return_sequences=True, dropout=0.1, seed=3),
    layers.LSTM(3, "tanh", "hard_sigmoid", unit_forget_bias=False, go_backwards=True, stateful=True),
    layers.GRU(3, reset_after=False, return_state=True, recurrent_dropout=0.1, kernel_regularizer="l2"),
    layers.ConvLSTM1D(3, 2, 2, activation="relu", dropout=0.1, seed=2),
    layers.ConvLSTM2D(
        3, (2, 3), padding="same", data_format="channels_first", return_state=True, bias_regularizer="l2"
    ),
    layers.ConvLSTM3D(3, 2, recurrent_activation="hard_sigmoid", unit_forget_bias=False, go_backwards=True),
    layers.SimpleRNNCell(3),
    layers.LSTMCell(3, recurrent_initializer="glorot_uniform"),
    layers.GRUCell(3, dtype="float64"),
    layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(2)]),
    layers.RNN([layers.SimpleRNNCell(3)], zero_output_for_mask=True),
    layers.Bidirectional(layers.GRU(3), "sum"),
    layers.TimeDistributed(layers.Dense(2)),
    layers.Embedding(10, 3, "zeros", "l2", True, True),
    layers.EmbeddingBag(10, 3, "max", "zeros", "l2", True, False),
    layers.ReversibleEmbedding(10, 3, False, "zeros", "l2", True, True),
    layers.PositionEmbedding(10, "zeros"),
    layers.SinePositionEncoding(100.0),
    layers.RotaryEmbedding(100.0, 2.0),
    layers.MultiHeadAttention(2, 4, 3, 0.1, False, 5, None, None, "zeros", "ones", "l1", "l2", True, 100.0, True),
    layers.GroupedQueryAttention(4, 4, 2, 0.1, False, None, "zeros", "ones", "l1", "l2", True, 100.0, True),
    layers.TransformerEncoder(8, 2, 0.1, "gelu", 1e-4, "zeros", "ones", True, 100.0, True),
    layers.TransformerDecoder(8, 2, 0.1, "gelu", 1e-4, "zeros", "ones", True, 100.0, True),
    layers.CategoryEncoding(4, "count"),
    layers.Discretization([0.0, 1.0], None, "one_hot"),
    layers.Hashing(7, "none", 3, "one_hot"),
    layers.StringLookup(9, 2, "", "?", ["a", "b"], False, "count"),
    layers.IntegerLookup(9, 2, 0, -5, [7, 8], False, "count"),
    layers.TextVectorization(9, "lower", "character", 2, "count", 5, ["a", "b"]),
    layers.BertEncoder(9, 1, 2, 8, 16, 10, 3, "mean", False, 1e-5),
    layers.Attention(True, "concat", 0.1),
    layers.AdditiveAttention(False, 0.1),
    layers.STFTSpectrogram("psd", 4, 2, 8, [1.0, 2.0, 2.0, 1.0], True, "spectrum", "same", True, "channels_first"),
    layers.MelSpectrogram(8, 2, 4, "hamming", 8000, 3, 10.0, 3000.0, False, None, 1.0, 1e-9, 2.0),
    layers.MFCC(2, 3, None, 4, fft_length=8, num_mel_bins=3),
]


@pytest.mark.parametrize("layer", CONFIGURED, ids=lambda layer: layer.name)
def test_configuration_gives_the_same_layer_again(layer) -> None:
    import json

    data = serialization.serialize(layer)
    again = serialization.deserialize("layer", json.loads(json.dumps(data)))
    assert type(again) is type(layer)
    assert serialization.serialize(again) == data
    assert again.name == layer.name


def test_every_layer_is_registered_and_configured() -> None:
    abstract = {"Layer", "Lambda"}
    exported = {name for name in layers.__all__ if name[0].isupper()} - abstract
    assert exported == {type(layer).__name__ for layer in CONFIGURED} - {"Input"} | (exported & {"Input"})
    for name in exported - {"Input"}:
        assert serialization.lookup("layer", name) is getattr(layers, name)

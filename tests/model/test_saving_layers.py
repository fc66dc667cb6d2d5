"""Every layer in a model file: the loaded model predicts and trains as the saved one."""

import numpy as np
import pytest
from checks.random_layers import MIXING, RANDOM
from checks.recurrent_layers import RECURRENT
from checks.spatial_layers import SPATIAL

import nnfast
from nnfast import layers, ops, serialization

X = np.random.default_rng(0).standard_normal((48, 4)).astype("float32")


def cube(x):
    return x * x * x


def functional():
    x = nnfast.Input((4,))
    return nnfast.Model(x, layers.Concatenate()([layers.Dense(3)(x), ops.mean(x, axis=-1, keepdims=True)]))


# every class of the registry
LAYERS = {
    "Dense": (lambda: layers.Dense(3, "relu", kernel_regularizer="l2", activity_regularizer="l1"), (4,)),
    "Activation": (lambda: layers.Activation("gelu"), (4,)),
    "ReLU": (lambda: layers.ReLU(max_value=1.0, negative_slope=0.1), (4,)),
    "LeakyReLU": (lambda: layers.LeakyReLU(0.2), (4,)),
    "PReLU": (lambda: layers.PReLU("ones"), (4,)),
    "ELU": (lambda: layers.ELU(0.5), (4,)),
    "Softmax": (lambda: layers.Softmax(), (4,)),
    "Dropout": (lambda: layers.Dropout(0.3, noise_shape=(None, 1)), (4,)),
    "GaussianNoise": (lambda: layers.GaussianNoise(0.2), (4,)),
    "ActivityRegularization": (lambda: layers.ActivityRegularization(l2=0.1), (4,)),
    "Flatten": (lambda: layers.Flatten(), (2, 2)),
    "Reshape": (lambda: layers.Reshape((2, -1)), (4,)),
    "Permute": (lambda: layers.Permute((2, 1)), (2, 2)),
    "Identity": (lambda: layers.Identity(), (4,)),
    "Normalization": (lambda: layers.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 4, 9, 16]), (4,)),
    "Rescaling": (lambda: layers.Rescaling(0.5, [1.0, 2, 3, 4]), (4,)),
    "Lambda": (lambda: layers.Lambda(cube), (4,)),
    "OpLayer": (lambda: layers.Identity(), (4,)),
    "Sequential": (lambda: nnfast.Sequential([layers.Dense(3)]), (4,)),
    "Model": (functional, (4,)),
    "Conv1D": (lambda: layers.Conv1D(3, 2, padding="causal"), (2, 2)),
    "Conv2D": (lambda: layers.Conv2D(3, 2, padding="same", kernel_regularizer="l2"), (2, 2, 1)),
    "Conv3D": (lambda: layers.Conv3D(2, (1, 2, 2), activation="relu"), (1, 2, 2, 1)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(3, 2, 2), (2, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(3, 2, 2, "same"), (2, 2, 1)),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(2, 2), (1, 2, 2, 1)),
    "DepthwiseConv1D": (lambda: layers.DepthwiseConv1D(2, depth_multiplier=2), (2, 2)),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(2, data_format="channels_first"), (1, 2, 2)),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(3, 2, padding="same"), (2, 2)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(3, 2), (2, 2, 1)),
    "STFTSpectrogram": (lambda: layers.STFTSpectrogram("magnitude", 4), (4,)),
    "MelSpectrogram": (lambda: layers.MelSpectrogram(4, 2, num_mel_bins=1), (4,)),
    "MFCC": (lambda: layers.MFCC(1, fft_length=4, sequence_stride=2, num_mel_bins=1), (4,)),
    **RANDOM,
    **RECURRENT,
    **SPATIAL,
}
IDS = np.arange(len(X) * 5).reshape(-1, 5) % 9
TOKENS = {  # made from tokens (5) and their embedding (5, 4)
    "Embedding": lambda t, e: layers.Embedding(9, 3, mask_zero=True, sparse=True)(t),
    "EmbeddingBag": lambda t, e: layers.EmbeddingBag(9, 3, "max", mask_zero=True)(t),
    "ReversibleEmbedding": lambda t, e: (layer := layers.ReversibleEmbedding(9, 4))(layer(t), reverse=True),
    "PositionEmbedding": lambda t, e: layers.PositionEmbedding(7)(e),
    "SinePositionEncoding": lambda t, e: layers.SinePositionEncoding(100)(e),
    "RotaryEmbedding": lambda t, e: layers.RotaryEmbedding(100)(e),
    "MultiHeadAttention": lambda t, e: layers.MultiHeadAttention(2, 3, dropout=0.1)(e, e, use_causal_mask=True),
    "GroupedQueryAttention": lambda t, e: layers.GroupedQueryAttention(4, 2, 1, rotary=50.0, alibi=True)(e, e),
    "Attention": lambda t, e: layers.Attention(True, "concat")([e, e], use_causal_mask=True),
    "AdditiveAttention": lambda t, e: layers.AdditiveAttention()([e, e]),
    "TransformerEncoder": lambda t, e: layers.TransformerEncoder(6, 2, dropout=0.1, normalize_first=True)(e),
    "TransformerDecoder": lambda t, e: layers.TransformerDecoder(6, 2, activation="gelu")(e, e),
    "BertEncoder": lambda t, e: layers.BertEncoder(9, 1, 2, 4, 6, 8, pooling="mean")(t),
    "CategoryEncoding": lambda t, e: layers.CategoryEncoding(9, "count")(t),
    "Discretization": lambda t, e: layers.Discretization([-0.01, 0.01], output_mode="one_hot")(e),
}
BEFORE_A_MODEL = {"Hashing", "IntegerLookup", "StringLookup", "TextVectorization"}  # on arrays of strings and numbers
MERGING = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]


def test_every_layer_is_here():
    known = {
        name
        for name in serialization.known_names("layer")
        if serialization.lookup("layer", name).__module__.startswith("nnfast.")
    }
    assert known - {*MERGING, *TOKENS} - BEFORE_A_MODEL - MIXING == set(LAYERS)


def check_round_trip(model, x, tmp_path):
    model.compile("adam", "mse")
    y = np.zeros((len(X), *model.output_shape[1:]))
    if model.trainable_weights:
        model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.nnf")
    loaded = nnfast.load_model(tmp_path / "model.nnf", custom_objects={"cube": cube})
    assert loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    if model.trainable_weights:
        assert loaded.fit(x, y, verbose=0).history == model.fit(x, y, verbose=0).history


@pytest.mark.parametrize("name", LAYERS)
def test_layers_in_a_file(name, tmp_path):
    make, shape = LAYERS[name]
    x, layer = nnfast.Input(shape), make()
    y = layer(x)
    if y.shape == x.shape:
        y = layer(1.0 - y)  # shared
    check_round_trip(nnfast.Model(x, y), X.reshape(-1, *shape), tmp_path)


@pytest.mark.parametrize("name", TOKENS)
def test_layers_of_tokens_in_a_file(name, tmp_path):
    tokens = nnfast.Input((5,), dtype="int32")
    y = TOKENS[name](tokens, layers.Embedding(9, 4)(tokens))
    check_round_trip(nnfast.Model(tokens, y), IDS, tmp_path)


@pytest.mark.parametrize("name", MERGING)
def test_merging_layers_in_a_file(name, tmp_path):
    x = nnfast.Input((4,))
    check_round_trip(nnfast.Model(x, getattr(layers, name)()([layers.Dense(4)(x), x])), X, tmp_path)


def test_streams_of_layers_made_while_building(tmp_path):
    """Layers that others make when they are built draw the numbers they drew before, whoever else draws some."""
    x = nnfast.Input((3, 4))
    y = layers.TransformerDecoder(5, 2, dropout=0.2)(layers.Dropout(0.3)(x))
    y = layers.TransformerEncoder(6, 2, dropout=0.2)(layers.Dropout(0.3)(y))
    y = layers.TimeDistributed(layers.Bidirectional(layers.GRU(2, recurrent_dropout=0.2)))(layers.Reshape((3, 2, 2))(y))
    check_round_trip(
        nnfast.Model(x, y), np.random.default_rng(1).standard_normal((48, 3, 4)).astype("float32"), tmp_path
    )

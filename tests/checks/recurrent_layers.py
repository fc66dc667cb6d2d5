"""Recurrent layers and masks for the tests of model files: how each is made, and the shape of a row of its input."""

import nnfast
from nnfast import layers


def masked():
    """x * 2 with x as its mask: an AttachMask inside."""
    x = nnfast.Input((4, 1))
    return nnfast.Model(x, layers.GRU(3)(x, mask=layers.Flatten()(x)))


SEQUENCE = (2, 2)
RECURRENT = {
    "Masking": (lambda: nnfast.Sequential([layers.Masking(0.5), layers.LSTM(3)]), SEQUENCE),
    "AttachMask": (masked, (4, 1)),
    "RepeatVector": (lambda: layers.RepeatVector(2), (4,)),
    "SimpleRNN": (lambda: layers.SimpleRNN(3, dropout=0.2, recurrent_dropout=0.2), SEQUENCE),
    "LSTM": (lambda: layers.LSTM(2, return_sequences=True, go_backwards=True), SEQUENCE),
    "GRU": (lambda: layers.GRU(3, reset_after=False, recurrent_regularizer="l2"), SEQUENCE),
    "SimpleRNNCell": (lambda: layers.RNN(layers.SimpleRNNCell(3, "relu")), SEQUENCE),
    "LSTMCell": (lambda: layers.RNN(layers.LSTMCell(3, unit_forget_bias=False)), SEQUENCE),
    "GRUCell": (lambda: layers.RNN(layers.GRUCell(3, use_bias=False)), SEQUENCE),
    "StackedRNNCells": (lambda: layers.RNN(layers.StackedRNNCells([layers.GRUCell(3), layers.LSTMCell(2)])), SEQUENCE),
    "RNN": (lambda: layers.RNN([layers.GRUCell(3), layers.GRUCell(2)], return_sequences=True), SEQUENCE),
    "Bidirectional": (lambda: layers.Bidirectional(layers.LSTM(3), "sum"), SEQUENCE),
    "ConvLSTM1D": (lambda: layers.ConvLSTM1D(2, 1, return_sequences=True, recurrent_dropout=0.2), (2, 2, 1)),
    "ConvLSTM2D": (lambda: layers.ConvLSTM2D(2, 2, padding="same", kernel_regularizer="l2"), (1, 2, 2, 1)),
    "ConvLSTM3D": (lambda: layers.ConvLSTM3D(2, 1, data_format="channels_first"), (2, 2, 1, 1, 1)),
    "TimeDistributed": (lambda: layers.TimeDistributed(layers.Dense(3)), SEQUENCE),
}

"""Callbacks: what happens besides the arithmetic while a model trains. `fit(callbacks=[EarlyStopping(patience=3)])`.

In: the figures of each epoch (or batch). Out: a training that stops, saves, slows down or reports. `History` is in every fit.
"""

from nnfast.callbacks.backup import BackupAndRestore
from nnfast.callbacks.base import Callback, CallbackList
from nnfast.callbacks.checkpoint import ModelCheckpoint
from nnfast.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from nnfast.callbacks.logging import CSVLogger, LambdaCallback
from nnfast.callbacks.stopping import EarlyStopping, TerminateOnNaN
from nnfast.history import History

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]

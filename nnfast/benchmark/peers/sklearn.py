"""scikit-learn: the training of an MLPClassifier from given weights, and its loss in each epoch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import TRAINING_EPOCHS, Case
from nnfast.benchmark.peers import Array, Work, repeated
from nnfast.benchmark.peers.training import LEARNING_RATE


class Peer:
    def __init__(self, threads: int) -> None:
        import sklearn

        self.versions = {"sklearn": sklearn.__version__}

    def make(self, case: Case) -> Work | None:
        """A whole training; the library has no single step."""
        if case.kind != "whole training":
            return None
        x, y = inputs.rows_and_labels(case)

        def result() -> list[Array]:
            return [np.array(fit(self._classifier(case, x, y), x, y).loss_curve_[-TRAINING_EPOCHS:])]

        classifier = self._classifier(case, x, y)
        return Work(repeated(lambda: fit(classifier, x, y)), result)

    def _classifier(self, case: Case, x: Array, y: Array) -> Any:
        from sklearn.neural_network import MLPClassifier

        classifier = MLPClassifier(
            case.sizes[1:-1], batch_size=case.batch, solver="adam", learning_rate_init=LEARNING_RATE, alpha=0.0, epsilon=1e-7,
            shuffle=False, tol=0.0, n_iter_no_change=TRAINING_EPOCHS + 1, max_iter=1, warm_start=True,
        )  # fmt: skip
        fit(classifier, x, y)  # makes the arrays that a warm start begins with
        arrays = inputs.weights(case)
        classifier.coefs_, classifier.intercepts_ = arrays[0::2], arrays[1::2]
        classifier.set_params(max_iter=TRAINING_EPOCHS)
        return classifier


def fit(classifier: Any, x: Array, y: Array) -> Any:
    """Train; that max_iter ends it is what is wanted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return classifier.fit(x, y)

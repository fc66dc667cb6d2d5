"""FrozenModel: a model as it is now, for inference alone, with batch normalisation folded into the weights before it.

In: a model. Out: predictions, plans. Later training of the model does not change it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast import passes, saving
from nnfast.data import as_input_list, check_batch_size
from nnfast.errors import NnfastError
from nnfast.graph.ir import Graph, Node, Value
from nnfast.passes.fold import fold_norms
from nnfast.passes.rewrite import copy_node, rewrite
from nnfast.summary import PlanReport, report
from nnfast.training import loop
from nnfast.training.compiled import PredictPlans
from nnfast.training.step import Signature, planned, predict_graph
from nnfast.variable import Variable


class _FrozenPlans(PredictPlans):
    """Plans of predictions with the frozen weights. Every batch size folds the same weights, made with the first."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self.copies = {variable: _copy(variable.numpy(), variable) for variable in model.weights}
        self.folded: list[Variable] = []

    def make(self, signature: Signature) -> Any:
        """The plan for a batch of these shapes."""
        graph = passes.run(self._with_copies(predict_graph(self.model, signature)), forward=True)
        count = 0

        def replace(array: np.ndarray, like: Value) -> Value:
            nonlocal count
            if count == len(self.folded):
                old = like.payload if like.kind == "variable" else None
                self.folded.append(_copy(array.astype(like.dtype), old))
            count += 1
            return like.graph.variable(self.folded[count - 1])

        return planned(passes.run(fold_norms(graph, replace), forward=False))

    def _with_copies(self, graph: Graph) -> Graph:
        """The graph on the frozen weights."""

        def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value]:
            return copy_node(new, node, [_on(new, value) for value in inputs])

        def _on(new: Graph, value: Value) -> Value:
            return new.variable(self.copies[value.payload]) if value.kind == "variable" else value

        frozen = rewrite(graph, visit)
        frozen.outputs = [_on(frozen, value) for value in frozen.outputs]
        return frozen


def _copy(array: np.ndarray, like: Variable | None) -> Variable:
    """A variable that is not trained, in the layout of another one."""
    if like is None:
        return Variable(array.shape, str(array.dtype), array, "folded_bias", trainable=False)
    return Variable(array.shape, like.dtype, array, like.name, trainable=False, layout=like.layout)


class FrozenModel:
    """What `Model.freeze` returns: `predict`, `predict_on_batch`, calling it, `plan` and `save`, on weights that no longer change."""

    def __init__(self, model: Any) -> None:
        if model.inputs is None:
            raise NnfastError(f"model {model.name}: give it an Input, or call it on data once, before freezing it")
        self._model = model
        self._predict = _FrozenPlans(model)

    def __getattr__(self, name: str) -> Any:
        """Names and shapes of inputs and outputs are the model's."""
        if name in ("name", "inputs", "connect_to", "input_names", "input_specs", "output_shapes", "stateful", "reset_state", "output_specs_of", "row_specs", "output_names", "empty_outputs", "pack_outputs"):  # fmt: skip
            return getattr(self._model, name)
        raise AttributeError(
            f"a frozen model has no {name!r}; it is for inference: predict, predict_on_batch, plan and save"
        )

    def predict(
        self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None, callbacks: Any = None
    ) -> Any:  # fmt: skip
        """Outputs for all rows of x, as Model.predict."""
        if loop.at_once(x, batch_size, verbose, steps, callbacks):
            found = self._predict.quick(x)
            if found is not None:
                return self.pack_outputs(found)
        options = {"batch_size": batch_size, "verbose": verbose, "steps": steps, "callbacks": callbacks}
        return loop.predict(self, x, options)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch."""
        found = self._predict.quick(x)
        return self.pack_outputs(found or self.predict_arrays(as_input_list(x, self.input_names)))

    __call__ = predict_on_batch

    def predict_arrays(self, arrays: Sequence[np.ndarray], out: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
        """Outputs for one batch of arrays, in `out` where it is given."""
        return self._predict.run(arrays, out)

    def plan(self, batch_size: int = 32, input_shape: Any = None) -> PlanReport:
        """The plan of a prediction: printed form, peak bytes, flops, bytes moved. input_shape: as for Model.plan."""
        check_batch_size(batch_size)
        return report(self._predict.plan(Signature(batch_size, self.row_specs(input_shape))))

    def save(self, filepath: str | os.PathLike[str]) -> None:
        """Write the frozen model to a file; nnfast.load_model reads it, with the same predictions.

        >>> import nnfast, numpy as np, os, tempfile
        >>> frozen = nnfast.Sequential([nnfast.Input((2,)), nnfast.layers.Dense(1)]).freeze()
        >>> path = os.path.join(tempfile.mkdtemp(), "frozen.nnf")
        >>> frozen.save(path)
        >>> x = np.ones((3, 2), "float32")
        >>> bool((nnfast.load_model(path).predict(x) == frozen.predict(x)).all())
        True
        """
        arrays = [self._predict.copies[variable].numpy() for variable in self._model.weights]
        saving.save_frozen(self._model, arrays, filepath)

    def __repr__(self) -> str:
        return f"<FrozenModel of {self._model.name}>"

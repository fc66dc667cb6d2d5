"""fit, evaluate and predict: epochs, validation, callbacks and progress around the phases.

In: a compiled model and the user's data. Out: History, logs, predictions. What a user passes wrongly is found here, before any step.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np

from nnfast.callbacks.base import CallbackList
from nnfast.data import (
    ArraySource,
    BatchSource,
    BucketedBatches,
    check_batch_size,
    is_array_like,
    is_batch_source,
    make_source,
    split_rows,
    split_validation,
)
from nnfast.errors import DataError, NnfastError
from nnfast.history import History
from nnfast.progress import Progress, resolve_verbose
from nnfast.training.phase import Phase, Totals
from nnfast.training.ragged import in_buckets, in_order, joined, reset_where_asked
from nnfast.training.resume import Checkpoint
from nnfast.training.run import BEFORE, Run, settings_of

DEFAULT_BATCH = 32
# Rows of a batch of predict, where the user names no size. Of 16 to 1024, on one and two threads of a two-core Intel Xeon (AVX-512,
# 2026-11), 512 is within 10 % of the best for five nets from 4-8-1 to 1024-4096-4096-1000; 32 takes 1.1 to 2 times as long.
PREDICT_BATCH = 512
SILENT_SECONDS = 1.0  # verbose="auto": a prediction shows progress from then on


def fit(model: Any, x: Any, y: Any, sample_weight: Any, options: dict[str, Any]) -> History:
    """The work of Model.fit; `options` are its further arguments by name."""
    batch_size = check_batch_size(DEFAULT_BATCH if options["batch_size"] is None else options["batch_size"])
    epochs = _count("epochs", options["epochs"], 0)
    initial_epoch = _count("initial_epoch", options["initial_epoch"], 0)
    steps = _steps("steps_per_epoch", options)
    _steps("validation_steps", options)
    x, y, sample_weight = in_buckets(model, x, y, sample_weight, batch_size, options["shuffle"], initial_epoch)
    source = _source(model, x, y, sample_weight, options["validate"])
    given = source
    source, validation = _validation(model, source, options)
    if options["class_weight"]:
        source = source.with_class_weight(options["class_weight"])
    model.prepare_training(source)
    if validation is not None:
        with _about("validation_data"):
            model.prepare_test(validation)
    history = model.history = History()
    verbose = resolve_verbose(options["verbose"])
    planned = _planned(source, batch_size, steps)
    if isinstance(source, ArraySource) and steps is not None and steps > source.steps(batch_size):
        raise DataError(
            f"steps_per_epoch={steps}: the {source.rows} rows make {source.steps(batch_size)} batches of {batch_size}; "
            "leave it out to use them all, or give more epochs"
        )
    recorders = _recorders(model, given, validation, options)
    callbacks = CallbackList(
        [*_listed(options["callbacks"]), history, *recorders],
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=planned,
    )
    model.stop_training = False
    progress = Progress(verbose, epochs, planned)
    run = Run(settings_of(source, batch_size, steps, options["shuffle"]), initial_epoch, callbacks, model.state, source)
    checkpoint = Checkpoint.wanted(options["resume_from"], callbacks)
    if checkpoint is not None:
        checkpoint.check(run, model)
    model.state.run = run
    callbacks.on_train_begin()
    try:
        if checkpoint is not None:
            checkpoint.resume(run, model, source, steps)
        for epoch in run.epochs(epochs, model):
            progress.begin_epoch(epoch)
            begin = time.perf_counter()
            if run.stage == BEFORE:
                reset_where_asked(model, source)
            run.begin_epoch()
            order = None
            if isinstance(source, ArraySource):
                order = source.order(model.state.seed, epoch) if options["shuffle"] else source.plain_order()
            logs = _run_epoch(model, source, order, batch_size, steps, run, progress)
            if validation is not None and (epoch + 1) % _count("validation_freq", options["validation_freq"], 1) == 0:
                size = options["validation_batch_size"] or batch_size
                found = evaluate_source(model, validation, size, options["validation_steps"], callbacks, None)
                logs |= {f"val_{name}": value for name, value in found.items()}
            progress.end_epoch(logs, time.perf_counter() - begin)
            run.end_epoch(logs)
    finally:
        progress.close()
        for data in (source, validation):
            if isinstance(data, BatchSource):
                data.close()
    callbacks.on_train_end()
    return history


def _recorders(model: Any, given: Any, validation: Any, options: dict[str, Any]) -> list[Any]:
    """What writes the receipt, where one is asked for."""
    if options["receipt"] is None:
        return []
    from nnfast.receipt import Recorder

    return [
        Recorder(
            options["receipt"], model, given, validation if options["validation_data"] is not None else None, options
        )
    ]


def _run_epoch(
    model: Any,
    source: Any,
    order: np.ndarray | None,
    batch_size: int,
    steps: int | None,
    run: Run,
    progress: Progress,
) -> dict[str, Any]:
    """Train over what is left of the source; returns the epoch's logs."""
    state, optimizer, callbacks, totals = model.state, model.optimizer, run.callbacks, run.totals
    phase = Phase(state, model.train_step_for, lambda count: optimizer.rates_of_batches(state.iteration, count), totals)
    singly, looked_at = callbacks.needs_batches, callbacks.needs_batches or callbacks.needs_runs
    if singly:
        phase.before_run = run.begin_batch
    if totals.batches:  # the epoch goes on
        progress.advance(totals.batches)
        if model.stop_training and looked_at and not run.batch_begun:
            return totals.logs()
    for count in phase.run(source, order, batch_size, steps, (lambda: 1) if singly else callbacks.most_batches):
        logs = totals.logs() if looked_at or progress.shows_logs else {}
        if looked_at:
            run.end_batches(count, logs)
        progress.advance(count, logs)
        if model.stop_training and looked_at:
            break
    return totals.logs()


def evaluate_source(
    model: Any, source: Any, batch_size: int, steps: int | None, callbacks: CallbackList, progress: Progress | None
) -> dict[str, Any]:
    """Losses and metrics over a source."""
    totals = Totals()
    reset_where_asked(model, source)
    phase = Phase(model.state, model.test_step_for, None, totals)
    singly = callbacks.needs_batches_of("test")
    order = source.plain_order() if isinstance(source, ArraySource) else None
    callbacks.on_test_begin()
    if singly:
        phase.before_run = lambda: callbacks.on_test_batch_begin(totals.batches)
    for count in phase.run(source, order, check_batch_size(batch_size), steps, (lambda: 1) if singly else None):
        if singly:
            callbacks.on_test_batch_end(totals.batches - 1, totals.logs())
        if progress is not None:
            progress.advance(count, totals.logs() if progress.shows_logs else {})
    logs = totals.logs()
    callbacks.on_test_end(logs)
    return logs


def evaluate(model: Any, x: Any, y: Any, sample_weight: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The work of Model.evaluate."""
    batch_size = check_batch_size(DEFAULT_BATCH if options["batch_size"] is None else options["batch_size"])
    _steps("steps", options)
    x, y, sample_weight = in_buckets(model, x, y, sample_weight, batch_size)
    source = _source(model, x, y, sample_weight, None)
    model.prepare_test(source)
    progress = Progress(resolve_verbose(options["verbose"]), 1, _planned(source, batch_size, options["steps"]))
    callbacks = CallbackList(_listed(options["callbacks"]), model=model)
    begin = time.perf_counter()
    progress.begin_epoch(0)
    try:
        logs = evaluate_source(model, source, batch_size, options["steps"], callbacks, progress)
        progress.end_epoch(logs, time.perf_counter() - begin)
    finally:
        progress.close()
    return logs


def at_once(x: Any, batch_size: Any, verbose: Any, steps: Any, callbacks: Any) -> bool:
    """Whether a prediction is one batch of which nobody asks more than the outputs."""
    one_batch = batch_size is None or (
        type(batch_size) is int and type(x) is np.ndarray and x.ndim > 0 and len(x) <= batch_size
    )
    return one_batch and steps is None and callbacks is None and (verbose == "auto" or verbose == 0)


def predict(model: Any, x: Any, options: dict[str, Any]) -> Any:
    """The work of Model.predict: outputs for all rows, in one array per output."""
    _steps("steps", options)
    x, _, _ = in_buckets(model, x, None, None, check_batch_size(options["batch_size"] or PREDICT_BATCH))
    x = _connected(model, x)
    source = make_source(x, input_names=model.input_names, need_targets=False)
    callbacks = CallbackList(_listed(options["callbacks"]), model=model)
    singly = callbacks.needs_batches_of("predict")
    reset_where_asked(model, source)
    given = options["batch_size"]
    if given is None:
        given = DEFAULT_BATCH if singly or options["steps"] is not None else PREDICT_BATCH
    batch_size = check_batch_size(given)
    progress = Progress(
        resolve_verbose(options["verbose"]), 1, _planned(source, batch_size, options["steps"]), title="predict",
        patience=SILENT_SECONDS if options["verbose"] == "auto" else 0.0,
    )  # fmt: skip
    begin = time.perf_counter()
    callbacks.on_predict_begin()
    progress.begin_epoch(0)
    try:
        if isinstance(source, ArraySource):
            outputs = _predict_rows(model, source, batch_size, options["steps"], callbacks, progress)
        else:
            parts = list(_predict_batches(model, source.epoch(options["steps"]), callbacks, progress))
            outputs = in_order(model, x, parts) if isinstance(x, BucketedBatches) else joined(parts)
        progress.end_epoch({}, time.perf_counter() - begin)
    finally:
        progress.close()
    callbacks.on_predict_end()
    return model.pack_outputs(outputs)


def _predict_rows(
    model: Any, source: ArraySource, batch_size: int, steps: int | None, callbacks: CallbackList, progress: Progress
) -> list[np.ndarray]:
    """Outputs for the rows of arrays, batch by batch into one array. Where nobody looks at the batches, the last of several has the size
    of the others and begins inside the one before: a row has the same bits in any batch, and a plan is saved."""
    rows = source.rows if steps is None else min(source.rows, steps * batch_size)
    whole = model.empty_outputs(source.arrays, rows)
    singly = callbacks.needs_batches_of("predict")
    overlap = not singly and batch_size == PREDICT_BATCH and rows > batch_size and not model.stateful
    for i, first in enumerate(range(0, rows, batch_size)):
        if overlap and first:
            first = min(first, rows - batch_size)
        part = slice(first, min(first + batch_size, rows))
        if singly:
            callbacks.on_predict_batch_begin(i)
        outputs = model.predict_arrays([array[part] for array in source.arrays], [array[part] for array in whole])
        if singly:
            callbacks.on_predict_batch_end(i, {"outputs": outputs})
        progress.advance(1)
    return whole


def _predict_batches(
    model: Any, batches: Iterable[list[np.ndarray]], callbacks: CallbackList, progress: Progress
) -> Iterator[list[np.ndarray]]:
    """Outputs for each of the user's batches."""
    singly = callbacks.needs_batches_of("predict")
    for i, arrays in enumerate(batches):
        if singly:
            callbacks.on_predict_batch_begin(i)
        outputs = model.predict_arrays(arrays)
        if singly:
            callbacks.on_predict_batch_end(i, {"outputs": outputs})
        progress.advance(1)
        yield outputs


def _planned(source: Any, batch_size: int, steps: int | None) -> int | None:
    """Number of batches of an epoch, where it is known."""
    planned: int | None = steps or (source.steps(batch_size) if isinstance(source, ArraySource) else source.length)
    return planned


def _source(model: Any, x: Any, y: Any, sample_weight: Any, validate: str | None) -> ArraySource | BatchSource:
    if validate not in (None, "raise", "warn"):
        raise DataError(f"validate={validate!r}: expected None, 'raise' or 'warn'")
    check = validate == "raise"
    x = _connected(model, x, y)
    source = make_source(
        x, y, sample_weight, input_names=model.input_names, target_names=model.output_names, check_nan=check
    )
    if validate == "warn" and isinstance(source, ArraySource):
        _warn_not_finite(source)
    return source


def _connected(model: Any, x: Any, y: Any = None) -> Any:
    """x as it was given, after a model that waits for its first data has seen it."""
    if model.inputs is not None or x is None or isinstance(x, str):
        return x
    if y is not None or not is_batch_source(x):
        model.connect_to(x)
        return x
    if isinstance(x, Iterator):
        first = next(x, None)
        x = chain([first], x) if first is not None else x
    else:
        first = x[0] if hasattr(x, "__getitem__") and len(x) else next(iter(x), None)
    if first is not None:
        model.connect_to(first[0] if isinstance(first, list | tuple) else first)
    return x


def _warn_not_finite(source: ArraySource) -> None:
    import warnings

    from nnfast.data import check_finite

    for i, array in enumerate(source.arrays):
        try:
            check_finite(array, "x" if i < source.inputs else "y")
        except DataError as error:
            warnings.warn(str(error), stacklevel=5)


def _validation(model: Any, source: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """Training and validation sources."""
    data = options["validation_data"]
    if data is None:
        if not options["validation_split"]:
            return source, None
        if isinstance(source.data if isinstance(source, BatchSource) else None, BucketedBatches):
            return _split_buckets(model, source.data, options["validation_split"])
        if not isinstance(source, ArraySource):
            raise DataError("validation_split works on arrays; for generators and batches give validation_data")
        return split_validation(source, options["validation_split"])
    if is_array_like(data):
        raise DataError("validation_data is a single array: expected (x, y) or (x, y, sample_weight)")
    if isinstance(data, tuple) and len(data) in (2, 3):
        x, y, weight = (*data, None)[:3]
        size = check_batch_size(options["validation_batch_size"] or options["batch_size"] or DEFAULT_BATCH)
        x, y, weight = in_buckets(model, x, y, weight, size)
        return source, _source(model, x, y, weight, None)
    if isinstance(data, tuple | list):
        raise DataError(f"validation_data has {len(data)} parts: expected (x, y) or (x, y, sample_weight)")
    return source, _source(model, data, None, None, None)


def _split_buckets(model: Any, data: BucketedBatches, share: float) -> tuple[BatchSource, BatchSource]:
    """The last of the rows for validation, as of arrays."""
    first, last = split_rows(data.rows, share)
    names = {"input_names": model.input_names, "target_names": model.output_names}
    training = data.part(0, first, data.shuffle)
    training.epoch = data.epoch
    return BatchSource(training, **names), BatchSource(data.part(first, last, False), **names)


@contextmanager
def _about(argument: str) -> Iterator[None]:
    """Errors inside name the argument that they are about."""
    try:
        yield
    except NnfastError as error:
        raise type(error)(f"{argument}: {error}") from None


def _listed(callbacks: Any) -> Sequence[Any]:
    if callbacks is None:
        return []
    return list(
        callbacks.callbacks
        if isinstance(callbacks, CallbackList)
        else callbacks
        if isinstance(callbacks, list | tuple)
        else [callbacks]
    )


def _steps(name: str, options: dict[str, Any]) -> int | None:
    """A number of batches among the options, or None for all."""
    return None if options[name] is None else _count(name, options[name], 1)


def _count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(f"{name}={value!r}: expected an integer of at least {least}")
    return int(value)

"""Losses against their formulas in NumPy, and against PyTorch where it has the same loss."""

import numpy as np
import pytest

import nnfast
from nnfast import losses, metrics, ops, serialization
from nnfast.errors import LabelError, ShapeError, UnknownNameError

RNG = np.random.default_rng(0)
N, C = 7, 5
REAL = RNG.normal(size=(N, C)) * 3
REAL_TRUE = RNG.normal(size=(N, C)) * 3
POSITIVE = RNG.uniform(0.1, 4.0, (N, C))
POSITIVE_TRUE = RNG.uniform(0.0, 4.0, (N, C))
PROBABILITY = np.exp(REAL) / np.exp(REAL).sum(1, keepdims=True)
PROBABILITY_TRUE = np.exp(REAL_TRUE) / np.exp(REAL_TRUE).sum(1, keepdims=True)
LABELS = RNG.integers(0, C, N)
ONE_HOT = np.eye(C)[LABELS]
BITS = RNG.integers(0, 2, (N, C)).astype(float)
SIGNS = 2 * BITS - 1


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_softmax(x):
    return x - x.max(1, keepdims=True) - np.log(np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True))


def bce(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(1)


def huber(error, delta):
    error = np.abs(error)
    return np.where(error <= delta, error**2 / 2, delta * error - delta**2 / 2).mean(1)


def norm(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


CASES = {
    "mse": (losses.MeanSquaredError(), REAL_TRUE, REAL, ((REAL - REAL_TRUE) ** 2).mean(1)),
    "mae": (losses.MeanAbsoluteError(), REAL_TRUE, REAL, np.abs(REAL - REAL_TRUE).mean(1)),
    "mape": (losses.MeanAbsolutePercentageError(), REAL_TRUE, REAL, 100 * np.abs((REAL - REAL_TRUE) / REAL_TRUE).mean(1)),
    "msle": (losses.MeanSquaredLogarithmicError(), POSITIVE_TRUE, POSITIVE, ((np.log1p(POSITIVE) - np.log1p(POSITIVE_TRUE)) ** 2).mean(1)),
    "huber": (losses.Huber(), REAL_TRUE, REAL, huber(REAL - REAL_TRUE, 1.0)),
    "huber_2": (losses.Huber(2.5), REAL_TRUE, REAL, huber(REAL - REAL_TRUE, 2.5)),
    "log_cosh": (losses.LogCosh(), REAL_TRUE, REAL, np.log(np.cosh(REAL - REAL_TRUE)).mean(1)),
    "bce": (losses.BinaryCrossentropy(), BITS, sigmoid(REAL), bce(BITS, sigmoid(REAL))),
    "bce_logits": (losses.BinaryCrossentropy(from_logits=True), BITS, REAL, bce(BITS, sigmoid(REAL))),
    "bce_smooth": (losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2), BITS, REAL, bce(BITS * 0.8 + 0.1, sigmoid(REAL))),
    "cce": (losses.CategoricalCrossentropy(), ONE_HOT, PROBABILITY, -(ONE_HOT * np.log(PROBABILITY)).sum(1)),
    "cce_logits": (losses.CategoricalCrossentropy(from_logits=True), ONE_HOT, REAL, -(ONE_HOT * log_softmax(REAL)).sum(1)),
    "cce_soft": (losses.CategoricalCrossentropy(from_logits=True), PROBABILITY_TRUE, REAL, -(PROBABILITY_TRUE * log_softmax(REAL)).sum(1)),
    "cce_smooth": (losses.CategoricalCrossentropy(True, 0.1), ONE_HOT, REAL, -((0.9 * ONE_HOT + 0.1 / C) * log_softmax(REAL)).sum(1)),
    "scce": (losses.SparseCategoricalCrossentropy(), LABELS, PROBABILITY, -np.log(PROBABILITY)[np.arange(N), LABELS]),
    "scce_logits": (losses.SparseCategoricalCrossentropy(from_logits=True), LABELS, REAL, -log_softmax(REAL)[np.arange(N), LABELS]),
    "hinge": (losses.Hinge(), SIGNS, REAL, np.maximum(1 - SIGNS * REAL, 0).mean(1)),
    "hinge_bits": (losses.Hinge(), BITS, REAL, np.maximum(1 - SIGNS * REAL, 0).mean(1)),
    "squared_hinge": (losses.SquaredHinge(), SIGNS, REAL, (np.maximum(1 - SIGNS * REAL, 0) ** 2).mean(1)),
    "categorical_hinge": (losses.CategoricalHinge(), ONE_HOT, REAL, np.maximum(((1 - ONE_HOT) * REAL).max(1) - (ONE_HOT * REAL).sum(1) + 1, 0)),
    "kld": (losses.KLDivergence(), PROBABILITY_TRUE, PROBABILITY, (PROBABILITY_TRUE * np.log(PROBABILITY_TRUE / PROBABILITY)).sum(1)),
    "poisson": (losses.Poisson(), POSITIVE_TRUE, POSITIVE, (POSITIVE - POSITIVE_TRUE * np.log(POSITIVE + 1e-7)).mean(1)),
    "cosine": (losses.CosineSimilarity(), REAL_TRUE, REAL, -(norm(REAL) * norm(REAL_TRUE)).sum(1)),
}  # fmt: skip


def typed(array, dtype):
    return array if array.dtype.kind == "i" else array.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_mean(case: str, dtype: str) -> None:
    loss, y_true, y_pred, expected = CASES[case]
    # Cross-entropies of probabilities clip and rescale in the working precision.
    tolerance = 2e-5 if dtype == "float32" else 1e-6 if case in ("cce", "scce", "bce") else 1e-11
    values = loss.call(typed(y_true, dtype), typed(y_pred, dtype))
    assert str(values.dtype) == dtype
    np.testing.assert_allclose(values, expected, rtol=tolerance, atol=tolerance)
    result = loss(typed(y_true, dtype), typed(y_pred, dtype))
    assert np.shape(result) == ()
    assert float(result) == pytest.approx(expected.mean(), rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("case", CASES)
def test_reductions_and_weights(case: str) -> None:
    original, y_true, y_pred, expected = CASES[case]
    weight = RNG.uniform(0, 2, N)
    config = original.get_config()

    def reduced(reduction, w):
        return np.asarray(type(original)(**{**config, "reduction": reduction})(y_true, y_pred, sample_weight=w))

    np.testing.assert_allclose(reduced("none", weight), expected * weight, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(reduced(None, None), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(reduced("sum", weight), (expected * weight).sum(), rtol=1e-6)
    np.testing.assert_allclose(reduced("sum_over_batch_size", weight), (expected * weight).mean(), rtol=1e-6)
    np.testing.assert_allclose(
        reduced("mean_with_sample_weight", weight), (expected * weight).sum() / weight.sum(), rtol=1e-6
    )


@pytest.mark.parametrize("case", CASES)
def test_configuration_gives_the_same_loss_again(case: str) -> None:
    loss, y_true, y_pred, _ = CASES[case]
    again = losses.deserialize(losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    np.testing.assert_array_equal(again(y_true, y_pred), loss(y_true, y_pred))


TORCH = {
    "mse": lambda f, p, t: f.mse_loss(p, t),
    "mae": lambda f, p, t: f.l1_loss(p, t),
    "huber_2": lambda f, p, t: f.huber_loss(p, t, delta=2.5),
    "bce_logits": lambda f, p, t: f.binary_cross_entropy_with_logits(p, t),
    "cce_soft": lambda f, p, t: f.cross_entropy(p, t),
    "cce_smooth": lambda f, p, t: f.cross_entropy(p, t.argmax(1), label_smoothing=0.1),
    "scce_logits": lambda f, p, t: f.cross_entropy(p, t),
    "kld": lambda f, p, t: f.kl_div(p.log(), t, reduction="batchmean"),
    "cosine": lambda f, p, t: -f.cosine_similarity(p, t).mean(),
}


@pytest.mark.parametrize("case", TORCH)
def test_against_torch(case: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; the formula tests above still ran")
    loss, y_true, y_pred, _ = CASES[case]
    expected = TORCH[case](torch.nn.functional, torch.from_numpy(y_pred), torch.from_numpy(y_true))
    assert float(loss(y_true, y_pred)) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_gradient_is_the_slope(case: str) -> None:
    loss, y_true, y_pred, _ = CASES[case]
    # Rows of probabilities are scaled to sum 1 inside the loss, so the slope is that of the loss itself, not of the formula.
    values = nnfast.value_and_grad(lambda p: loss(y_true, p))
    gradient = np.asarray(values(y_pred)[1][0])
    step = 1e-6
    for place in [(0, 0), (1, 3), (N - 1, C - 1)]:
        above, below = y_pred.copy(), y_pred.copy()
        above[place] += step
        below[place] -= step
        slope = (float(loss(y_true, above)) - float(loss(y_true, below))) / (2 * step)
        assert gradient[place] == pytest.approx(slope, rel=1e-5, abs=1e-8), place


@pytest.mark.parametrize("case", TORCH)
def test_gradient_against_torch(case: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; the slopes above were still tested")
    loss, y_true, y_pred, _ = CASES[case]
    tensor = torch.from_numpy(y_pred.copy()).requires_grad_()
    TORCH[case](torch.nn.functional, tensor, torch.from_numpy(y_true)).backward()
    gradient = nnfast.value_and_grad(lambda p: loss(y_true, p))(y_pred)[1][0]
    np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mse", losses.MeanSquaredError),
        ("MAE", losses.MeanAbsoluteError),
        ("mean_absolute_percentage_error", losses.MeanAbsolutePercentageError),
        ("msle", losses.MeanSquaredLogarithmicError),
        ("huber", losses.Huber),
        ("logcosh", losses.LogCosh),
        ("binary_crossentropy", losses.BinaryCrossentropy),
        ("categorical_crossentropy", losses.CategoricalCrossentropy),
        ("sparse_categorical_crossentropy", losses.SparseCategoricalCrossentropy),
        ("SparseCategoricalCrossentropy", losses.SparseCategoricalCrossentropy),
        ("kld", losses.KLDivergence),
        ("kl_divergence", losses.KLDivergence),
        ("poisson", losses.Poisson),
        ("cosine_similarity", losses.CosineSimilarity),
        ("hinge", losses.Hinge),
        ("categorical_hinge", losses.CategoricalHinge),
        (losses.mean_squared_error, losses.MeanSquaredError),
        (losses.Huber, losses.Huber),
    ],
)
def test_get(name, expected: type) -> None:
    assert type(losses.get(name)) is expected


def test_get_wraps_a_function_and_refuses_the_rest() -> None:
    def distance(y_true, y_pred):
        return ops.mean(ops.abs(ops.subtract(y_true, y_pred)), axis=-1)

    loss = losses.get(distance)
    assert loss.name == "distance"
    assert float(loss(REAL_TRUE, REAL)) == pytest.approx(np.abs(REAL - REAL_TRUE).mean())
    with serialization.custom_objects({"distance": distance}):
        assert float(losses.deserialize(losses.serialize(loss))(REAL_TRUE, REAL)) == float(loss(REAL_TRUE, REAL))
    with pytest.raises(UnknownNameError, match="distance"):
        losses.deserialize(losses.serialize(loss))
    assert losses.get(None) is None
    with pytest.raises(UnknownNameError, match="did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")
    with pytest.raises(TypeError, match="loss=3"):
        losses.get(3)


def test_targets_of_one_axis_fit_outputs_of_one_unit() -> None:
    y_true, y_pred = REAL_TRUE[:, 0], REAL[:, :1]
    expected = ((y_true - y_pred[:, 0]) ** 2).mean()
    assert float(losses.MeanSquaredError()(y_true, y_pred)) == pytest.approx(expected)
    assert float(losses.MeanSquaredError()(y_true[:, None], y_pred[:, 0])) == pytest.approx(expected)
    assert float(losses.BinaryCrossentropy(from_logits=True)(BITS[:, 0].astype(int), y_pred)) > 0


def test_sparse_labels_may_have_an_axis_of_one() -> None:
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    assert float(loss(LABELS[:, None], REAL)) == float(loss(LABELS, REAL))


def test_sparse_labels_of_sequences_and_of_another_axis() -> None:
    outputs = RNG.normal(size=(2, 3, 4))
    labels = RNG.integers(0, 4, (2, 3))
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none")
    values = np.asarray(loss(labels, outputs))
    expected = -log_softmax(outputs.reshape(6, 4))[np.arange(6), labels.ravel()].reshape(2, 3)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    first = losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none", axis=1)
    np.testing.assert_allclose(first(labels, outputs.transpose(0, 2, 1)), expected, rtol=1e-12)


def test_ignored_class_counts_neither_in_sum_nor_mean() -> None:
    labels = LABELS.copy()
    labels[[1, 4]] = 255
    kept = labels != 255
    expected = -log_softmax(REAL)[np.arange(N), np.where(kept, labels, 0)] * kept
    make = losses.SparseCategoricalCrossentropy
    assert float(make(True, 255)(labels, REAL)) == pytest.approx(expected.sum() / kept.sum())
    assert float(make(True, 255, reduction="sum")(labels, REAL)) == pytest.approx(expected.sum())
    np.testing.assert_allclose(make(True, 255, reduction="none")(labels, REAL), expected, rtol=1e-12)
    assert float(make(True, 255)(np.full(N, 255), REAL)) == 0.0


@pytest.mark.parametrize(("label", "row"), [(C, 3), (-1, 0), (99, N - 1)])
def test_labels_out_of_range_are_named(label: int, row: int) -> None:
    labels = LABELS.copy()
    labels[row] = label
    with pytest.raises(LabelError, match=f"label {label} in row {row}; expected integers from 0 to {C - 1}"):
        losses.SparseCategoricalCrossentropy()(labels, PROBABILITY)
    with pytest.raises(LabelError, match=f"label {label} in row {row}"):
        losses.SparseCategoricalCrossentropy().check_targets(labels[:, None], (None, C))


def test_targets_beyond_zero_and_one_are_named() -> None:
    bits = BITS.copy()
    bits[2, 3] = 2.0
    with pytest.raises(LabelError, match=r"target 2.0 in row 2; expected 0 and 1"):
        losses.BinaryCrossentropy()(bits, PROBABILITY)
    with pytest.raises(LabelError, match="target -1 in row 0"):
        losses.BinaryCrossentropy().check_targets(np.array([-1, 1]), (None, 1))


def test_a_function_gets_targets_in_the_rank_of_the_outputs() -> None:
    loss = losses.get(lambda y_true, y_pred: ops.square(ops.subtract(y_true, y_pred)))
    expected = ((REAL_TRUE[:, 0] - REAL[:, 0]) ** 2).mean()
    assert float(loss(REAL_TRUE[:, 0], REAL[:, :1])) == pytest.approx(expected)
    assert metrics.get(loss.function)(REAL_TRUE[:, 0], REAL[:, :1]) == pytest.approx(expected)


def test_labels_that_are_no_integers_are_named() -> None:
    with pytest.raises(LabelError, match="label 0.5 in row 0"):
        losses.SparseCategoricalCrossentropy()(np.array([0.5]), PROBABILITY[:1])


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match=r"mean_squared_error.*\(7, 5\).*\(7, 4\)"):
        losses.MeanSquaredError()(REAL, REAL[:, :4])
    with pytest.raises(ShapeError, match="SparseCategoricalCrossentropy"):
        losses.CategoricalCrossentropy()(LABELS, PROBABILITY)
    with pytest.raises(ShapeError, match="CategoricalCrossentropy"):
        losses.SparseCategoricalCrossentropy()(ONE_HOT, PROBABILITY)
    with pytest.raises(ShapeError, match=r"sample_weight.*\(3,\)"):
        losses.MeanSquaredError()(REAL, REAL, sample_weight=np.ones(3))


def test_weights_broadcast_along_leading_axes() -> None:
    y_true, y_pred, weight = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 3, 4)), np.array([1.0, 3.0])
    expected = ((y_true - y_pred) ** 2).mean(2) * weight[:, None]
    loss = losses.MeanSquaredError()
    assert float(loss(y_true, y_pred, weight)) == pytest.approx(expected.mean())
    assert float(loss(y_true, y_pred, weight[:, None])) == pytest.approx(expected.mean())
    assert float(loss(y_true[:, 0], y_pred[:, 0], weight[:, None])) == pytest.approx(expected[:, 0].mean())


def test_extreme_values_stay_finite() -> None:
    huge = np.array([[1e4, -1e4]])
    assert float(losses.BinaryCrossentropy(from_logits=True)(np.array([[1.0, 0.0]]), huge)) == 0.0
    assert float(losses.BinaryCrossentropy(from_logits=True)(np.array([[0.0, 1.0]]), huge)) == pytest.approx(1e4)
    assert float(losses.SparseCategoricalCrossentropy(from_logits=True)(np.array([1]), huge)) == pytest.approx(2e4)
    assert float(losses.LogCosh()(np.zeros((1, 2)), huge)) == pytest.approx(1e4 - np.log(2))
    zero_one = np.array([[0.0, 1.0]])
    assert np.isfinite(losses.BinaryCrossentropy()(1 - zero_one, zero_one))
    assert np.isfinite(losses.CategoricalCrossentropy()(1 - zero_one, zero_one))
    assert np.isfinite(losses.KLDivergence()(1 - zero_one, zero_one))
    assert np.isfinite(losses.MeanAbsolutePercentageError()(np.zeros((1, 2)), zero_one))
    assert float(losses.CosineSimilarity()(np.zeros((1, 2)), zero_one)) == 0.0


def test_nan_is_not_hidden() -> None:
    bad = np.array([[np.nan, 0.0]])
    for loss in (losses.MeanSquaredError(), losses.MeanAbsoluteError(), losses.Huber(), losses.LogCosh()):
        assert np.isnan(loss(np.zeros((1, 2)), bad)), loss
    assert np.isnan(losses.SparseCategoricalCrossentropy(from_logits=True)(np.array([0]), bad))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="reduction='average'"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(ValueError, match="label_smoothing=1.5"):
        losses.BinaryCrossentropy(label_smoothing=1.5)
    with pytest.raises(ValueError, match="delta=0"):
        losses.Huber(delta=0)

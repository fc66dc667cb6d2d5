"""Metrics against NumPy, in one batch and in several, and against scikit-learn where it has the same metric."""

import numpy as np
import pytest

from nnfast import losses, metrics, ops
from nnfast.errors import ShapeError, UnknownNameError

RNG = np.random.default_rng(1)
N, C = 60, 4
SCORES = RNG.normal(size=(N, C))
PROBABILITY = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
LABELS = RNG.integers(0, C, N)
ONE_HOT = np.eye(C)[LABELS]
BITS = RNG.integers(0, 2, N).astype(float)
CHANCE = np.clip(0.5 * BITS + RNG.uniform(0, 0.6, N), 0, 1)
REAL, REAL_TRUE = RNG.normal(size=(N, 2)), RNG.normal(size=(N, 2))
WEIGHT = RNG.uniform(0, 2, N)
RANKS = (SCORES[np.arange(N), LABELS][:, None] < SCORES).sum(1)


def average(values, weight=None):
    return np.average(values, weights=weight)


def precision(y, p, w):
    return (w * y * (p > 0.5)).sum() / (w * (p > 0.5)).sum()


def recall(y, p, w):
    return (w * y * (p > 0.5)).sum() / (w * y).sum()


def r2(y, p, w):
    w = w[:, None]
    mean = (w * y).sum(0) / w.sum(0)
    return (1 - (w * (y - p) ** 2).sum(0) / (w * (y - mean) ** 2).sum(0)).mean()


CASES = {
    "accuracy": (metrics.Accuracy, LABELS.astype(float), np.roll(LABELS, 1).astype(float), lambda w: average(np.roll(LABELS, 1) == LABELS, w)),
    "binary": (metrics.BinaryAccuracy, BITS, CHANCE, lambda w: average((CHANCE > 0.5) == BITS, w)),
    "categorical": (metrics.CategoricalAccuracy, ONE_HOT, SCORES, lambda w: average(SCORES.argmax(1) == LABELS, w)),
    "sparse": (metrics.SparseCategoricalAccuracy, LABELS, SCORES, lambda w: average(SCORES.argmax(1) == LABELS, w)),
    "top_k": (lambda: metrics.TopKCategoricalAccuracy(2), ONE_HOT, SCORES, lambda w: average(RANKS < 2, w)),
    "sparse_top_k": (lambda: metrics.SparseTopKCategoricalAccuracy(3), LABELS, SCORES, lambda w: average(RANKS < 3, w)),
    "mse": (metrics.MeanSquaredError, REAL_TRUE, REAL, lambda w: average(((REAL - REAL_TRUE) ** 2).mean(1), w)),
    "mae": (metrics.MeanAbsoluteError, REAL_TRUE, REAL, lambda w: average(np.abs(REAL - REAL_TRUE).mean(1), w)),
    "mape": (metrics.MeanAbsolutePercentageError, REAL_TRUE, REAL, lambda w: average(100 * np.abs((REAL - REAL_TRUE) / REAL_TRUE).mean(1), w)),
    "rmse": (metrics.RootMeanSquaredError, REAL_TRUE, REAL, lambda w: np.sqrt(average(((REAL - REAL_TRUE) ** 2).mean(1), w))),
    "r2": (metrics.R2Score, REAL_TRUE, REAL, lambda w: r2(REAL_TRUE, REAL, w)),
    "precision": (metrics.Precision, BITS, CHANCE, lambda w: precision(BITS, CHANCE, w)),
    "recall": (metrics.Recall, BITS, CHANCE, lambda w: recall(BITS, CHANCE, w)),
    "crossentropy": (metrics.SparseCategoricalCrossentropy, LABELS, PROBABILITY, lambda w: average(-np.log(PROBABILITY[np.arange(N), LABELS]), w)),
    "perplexity": (metrics.Perplexity, LABELS, PROBABILITY, lambda w: np.exp(average(-np.log(PROBABILITY[np.arange(N), LABELS]), w))),
    "perplexity without 2": (lambda: metrics.Perplexity(mask_token_id=2), LABELS, PROBABILITY, lambda w: np.exp(average(-np.log(PROBABILITY[np.arange(N), LABELS]), w * (LABELS != 2)))),
    "cosine": (metrics.CosineSimilarity, REAL_TRUE, REAL, lambda w: average((REAL * REAL_TRUE).sum(1) / np.linalg.norm(REAL, axis=1) / np.linalg.norm(REAL_TRUE, axis=1), w)),
}  # fmt: skip


@pytest.mark.parametrize("sizes", [[N], [1, 19, 40], [20, 20, 20]])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_over_batches(case: str, weighted: bool, sizes: list[int]) -> None:
    make, y_true, y_pred, expected = CASES[case]
    metric = make()
    start = 0
    for size in sizes:
        rows = slice(start, start + size)
        metric.update_state(y_true[rows], y_pred[rows], WEIGHT[rows] if weighted else None)
        start += size
    result = metric.result()
    assert isinstance(result, float)
    assert result == pytest.approx(expected(WEIGHT if weighted else np.ones(N)), rel=1e-6)
    metric.reset_state()
    assert metric.result() == 0.0


@pytest.mark.parametrize("case", CASES)
def test_float32_and_configuration(case: str) -> None:
    make, y_true, y_pred, expected = CASES[case]
    original = make()
    metric = metrics.deserialize(metrics.serialize(original))
    assert metric.get_config() == original.get_config()
    if y_true.dtype.kind == "f":
        y_true = y_true.astype("float32")
    assert metric(y_true, y_pred.astype("float32")) == pytest.approx(expected(np.ones(N)), rel=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_statistics_have_fixed_shapes(case: str) -> None:
    make, y_true, y_pred, _ = CASES[case]
    metric = make()
    one = [np.shape(x) for x in metric.statistics(y_true[:1], y_pred[:1])]
    assert one == [np.shape(x) for x in metric.statistics(y_true, y_pred, WEIGHT)]


SKLEARN = {
    "AUC": (lambda: metrics.AUC(num_thresholds=5000), BITS, CHANCE, lambda m: m.roc_auc_score(BITS, CHANCE), 2e-3),
    "AP": (lambda: metrics.AUC(5000, curve="PR"), BITS, CHANCE, lambda m: m.average_precision_score(BITS, CHANCE), 2e-2),
    "macro": (lambda: metrics.F1Score("macro"), ONE_HOT, SCORES, lambda m: m.f1_score(LABELS, SCORES.argmax(1), average="macro"), 1e-12),
    "micro": (lambda: metrics.F1Score("micro"), ONE_HOT, SCORES, lambda m: m.f1_score(LABELS, SCORES.argmax(1), average="micro"), 1e-12),
    "weighted": (lambda: metrics.F1Score("weighted"), ONE_HOT, SCORES, lambda m: m.f1_score(LABELS, SCORES.argmax(1), average="weighted"), 1e-12),
    "none": (metrics.F1Score, ONE_HOT, SCORES, lambda m: m.f1_score(LABELS, SCORES.argmax(1), average=None), 1e-12),
    "beta": (lambda: metrics.FBetaScore("macro", 2.0), LABELS, SCORES, lambda m: m.fbeta_score(LABELS, SCORES.argmax(1), beta=2.0, average="macro"), 1e-12),
    "r2": (lambda: metrics.R2Score("variance_weighted_average"), REAL_TRUE, REAL, lambda m: m.r2_score(REAL_TRUE, REAL, multioutput="variance_weighted"), 1e-12),
}  # fmt: skip


@pytest.mark.parametrize("case", SKLEARN)
def test_against_sklearn(case: str) -> None:
    peer = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    make, y_true, y_pred, expected, tolerance = SKLEARN[case]
    metric = make()
    metric.update_state(y_true[:13], y_pred[:13])
    metric.update_state(y_true[13:], y_pred[13:])
    np.testing.assert_allclose(metric.result(), expected(peer), rtol=tolerance)


def keras_auc(y, p, count, curve, method):
    """The definition, threshold by threshold."""
    levels = [-1e-7, *((i + 1) / (count - 1) for i in range(count - 2)), 1 + 1e-7]
    tp = np.array([((p > level) * y).sum() for level in levels])
    fp = np.array([((p > level) * (1 - y)).sum() for level in levels])
    hit, false = tp / y.sum(), fp / (1 - y).sum()
    with np.errstate(invalid="ignore"):
        x, height = (false, hit) if curve == "ROC" else (hit, np.where(tp + fp > 0, tp / (tp + fp), 0.0))
    left, right = height[:-1], height[1:]
    heights = {
        "interpolation": (left + right) / 2,
        "minoring": np.minimum(left, right),
        "majoring": np.maximum(left, right),
    }
    return ((x[:-1] - x[1:]) * heights[method]).sum()


@pytest.mark.parametrize("count", [2, 3, 50, 200])
@pytest.mark.parametrize(
    ("curve", "method"),
    [("ROC", "interpolation"), ("ROC", "minoring"), ("ROC", "majoring"), ("PR", "minoring"), ("PR", "majoring")],
)
def test_auc_is_the_riemann_sum(curve: str, method: str, count: int) -> None:
    value = metrics.AUC(count, curve, method)(BITS, CHANCE)
    assert value == pytest.approx(keras_auc(BITS, CHANCE, count, curve, method), rel=1e-12)


def test_auc_at_its_edges() -> None:
    y, p = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.8, 0.9])
    assert metrics.AUC()(y, p) == pytest.approx(1.0)
    assert metrics.AUC()(1 - y, p) == pytest.approx(0.0)
    assert metrics.AUC()(y, np.full(4, 0.5)) == pytest.approx(0.5)
    assert metrics.AUC(curve="PR")(y, p) == pytest.approx(1.0)
    assert metrics.AUC()(np.ones(4), p) == 0.0  # no negatives: no rate of false positives
    assert metrics.AUC(thresholds=[0.5])(y, p) == pytest.approx(1.0)
    logits = np.array([-20.0, -3.0, 3.0, 20.0])
    assert metrics.AUC(from_logits=True)(y, logits) == pytest.approx(1.0)


def test_auc_of_several_labels() -> None:
    y = np.stack([BITS, 1 - BITS], 1)
    p = np.stack([CHANCE, CHANCE], 1)
    first, second = metrics.AUC()(BITS, CHANCE), metrics.AUC()(1 - BITS, CHANCE)
    assert metrics.AUC(multi_label=True)(y, p) == pytest.approx((first + second) / 2)
    assert metrics.AUC(multi_label=True, label_weights=[3.0, 1.0])(y, p) == pytest.approx((3 * first + second) / 4)
    assert metrics.AUC()(y[:, :1], p[:, :1]) == first
    with pytest.raises(ShapeError, match="multi_label"):
        metrics.AUC(multi_label=True)(BITS, CHANCE)


def test_precision_and_recall_at_several_thresholds() -> None:
    levels = [0.2, 0.5, 0.9]
    expected = [BITS[level < CHANCE].mean() if (level < CHANCE).any() else 0.0 for level in levels]
    np.testing.assert_allclose(metrics.Precision(levels)(BITS, CHANCE), expected)
    np.testing.assert_allclose(
        metrics.Recall(levels)(BITS, CHANCE), [((t < CHANCE) * BITS).sum() / BITS.sum() for t in levels]
    )


def test_precision_of_a_class_and_of_the_top() -> None:
    top = np.argsort(-SCORES, 1)[:, :2]
    chosen = np.zeros((N, C), bool)
    chosen[np.arange(N)[:, None], top] = True
    assert metrics.Precision(top_k=2)(ONE_HOT, SCORES) == pytest.approx(ONE_HOT[chosen].mean())
    assert metrics.Recall(top_k=2)(ONE_HOT, SCORES) == pytest.approx((RANKS < 2).mean())
    one = metrics.Recall(top_k=2, class_id=1)(ONE_HOT, SCORES)
    assert one == pytest.approx((ONE_HOT * chosen)[:, 1].sum() / ONE_HOT[:, 1].sum())
    picked = PROBABILITY[:, 2] > 0.5
    assert metrics.Precision(class_id=2)(ONE_HOT, PROBABILITY) == pytest.approx(ONE_HOT[picked, 2].mean())


def test_nothing_found_is_zero() -> None:
    zeros = np.zeros(4)
    assert metrics.Precision()(zeros, zeros) == metrics.Recall()(zeros, zeros) == 0.0
    assert metrics.F1Score("macro", 0.5)(np.zeros((4, 2)), np.zeros((4, 2))) == 0.0
    assert metrics.R2Score()(np.ones((4, 1)), np.zeros((4, 1))) == 0.0
    assert metrics.Mean().result() == 0.0


def test_r2_per_column_adjusted_and_for_vectors() -> None:
    each = [r2(REAL_TRUE[:, [i]], REAL[:, [i]], np.ones(N)) for i in range(2)]
    np.testing.assert_allclose(metrics.R2Score(None)(REAL_TRUE, REAL), each)
    adjusted = 1 - (1 - np.mean(each)) * (N - 1) / (N - 3 - 1)
    assert metrics.R2Score(num_regressors=3)(REAL_TRUE, REAL) == pytest.approx(adjusted)
    assert metrics.R2Score()(REAL_TRUE[:, 0], REAL[:, 0]) == pytest.approx(each[0])


def test_r2_survives_a_large_mean() -> None:
    y_true, y_pred = (1e4 + REAL_TRUE).astype("float32"), (1e4 + REAL_TRUE + 0.1 * REAL).astype("float32")
    expected = r2(y_true.astype(float), y_pred.astype(float), np.ones(N))
    assert metrics.R2Score()(y_true, y_pred) == pytest.approx(expected, rel=1e-6)


def test_mean_and_sum_of_values() -> None:
    mean = metrics.Mean()
    mean.update_state([1.0, 3.0], sample_weight=[1.0, 3.0])
    mean.update_state(6.0)
    assert mean.result() == pytest.approx((1 + 9 + 6) / 5)
    assert metrics.Sum()([1.0, 2.0]) == 3.0


@pytest.mark.parametrize(
    ("true_shape", "pred_shape", "expected"),
    [
        ((None, 1), (None, 1), metrics.BinaryAccuracy),
        ((None,), (None, 1), metrics.BinaryAccuracy),
        ((None,), (None, 10), metrics.SparseCategoricalAccuracy),
        ((None, 1), (None, 10), metrics.SparseCategoricalAccuracy),
        ((None, 10), (None, 10), metrics.CategoricalAccuracy),
        ((None, 5), (None, 5, 10), metrics.SparseCategoricalAccuracy),
    ],
)
def test_accuracy_is_chosen_by_shapes(true_shape, pred_shape, expected: type) -> None:
    for name in ("accuracy", "acc"):
        metric = metrics.get(name, y_pred_shape=pred_shape, y_true_shape=true_shape)
        assert type(metric) is expected
        assert metric.name == name


def test_accuracy_is_chosen_by_the_loss_where_targets_are_unknown() -> None:
    def chosen(loss, units):
        return type(metrics.get("accuracy", loss=loss, y_pred_shape=(None, units)))

    assert chosen(losses.SparseCategoricalCrossentropy(), 3) is metrics.SparseCategoricalAccuracy
    assert chosen(losses.CategoricalCrossentropy(), 3) is metrics.CategoricalAccuracy
    assert chosen(losses.BinaryCrossentropy(), 3) is metrics.BinaryAccuracy
    assert (
        metrics.get("accuracy", loss=losses.BinaryCrossentropy(from_logits=True), y_pred_shape=(None, 1)).threshold
        == 0.0
    )
    assert type(metrics.get("accuracy")) is metrics.Accuracy


def test_crossentropy_is_chosen_too() -> None:
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    metric = metrics.get("ce", loss=loss, y_pred_shape=(None, 3), y_true_shape=(None,))
    assert type(metric) is metrics.SparseCategoricalCrossentropy
    assert metric.from_logits


def test_get_takes_functions_losses_and_names() -> None:
    def bias(y_true, y_pred):
        return ops.subtract(y_pred, y_true)

    metric = metrics.get(bias)
    assert metric.name == "bias"
    assert metric(np.array([1.0, 2.0]), np.array([2.0, 5.0])) == 2.0
    assert metrics.get(losses.Huber())(np.zeros((1, 1)), np.ones((1, 1))) == 0.5
    assert metrics.get("mse").name == "mse"
    assert metrics.get(None) is None
    with pytest.raises(UnknownNameError, match="did you mean 'precision'"):
        metrics.get("precison")
    with pytest.raises(TypeError, match="metric=5"):
        metrics.get(5)


def test_directions() -> None:
    expected = {
        "loss": "down",
        "val_loss": "down",
        "head_loss": "down",
        "val_accuracy": "up",
        "acc": "up",
        "val_auc": "up",
    }
    expected |= {"mse": "down", "val_rmse": "down", "head_mae": "down", "r2_score": "up", "unheard_of": None}
    assert {name: metrics.direction(name) for name in expected} == expected


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match="sparse_categorical_accuracy"):
        metrics.CategoricalAccuracy()(LABELS, SCORES)
    with pytest.raises(ShapeError, match=r"class numbers of shape \(60, 4\)"):
        metrics.SparseCategoricalAccuracy()(ONE_HOT, SCORES)
    with pytest.raises(ShapeError, match="f1_score"):
        metrics.F1Score()(BITS, CHANCE)


@pytest.mark.parametrize(
    "make",
    [
        lambda: metrics.AUC(num_thresholds=1),
        lambda: metrics.AUC(curve="LIFT"),
        lambda: metrics.AUC(summation_method="simpson"),
        lambda: metrics.AUC(thresholds=[1.5]),
        lambda: metrics.Precision(thresholds=2.0),
        lambda: metrics.Recall(top_k=0),
        lambda: metrics.F1Score(average="mean"),
        lambda: metrics.FBetaScore(beta=0.0),
        lambda: metrics.TopKCategoricalAccuracy(k=0),
        lambda: metrics.R2Score("median"),
        lambda: metrics.R2Score(num_regressors=-1),
    ],
)
def test_wrong_settings_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"\(.*=.*\)"):
        make()

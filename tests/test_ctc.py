"""CTC against PyTorch in float64 and against all paths one by one; decoding; the error rates of texts."""

from itertools import product

import numpy as np
import pytest

import nnfast
from nnfast import layers, losses, metrics, ops
from nnfast.errors import DataError, ShapeError

RNG = np.random.default_rng(0)


def collapsed(path, blank=0):
    return tuple(c for i, c in enumerate(path) if c != blank and (i == 0 or c != path[i - 1]))


def by_sequence(logits, blank=0):
    """The probability of each label sequence: the sum over all paths."""
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    found = {}
    for path in product(range(logits.shape[1]), repeat=len(logits)):
        sequence = collapsed(path, blank)
        found[sequence] = found.get(sequence, 0.0) + np.prod(p[np.arange(len(logits)), path])
    return found


@pytest.mark.parametrize("blank", [0, 2])
def test_loss_is_the_sum_over_all_paths(blank):
    logits = RNG.standard_normal((1, 5, 3))
    for sequence, p in by_sequence(logits[0], blank).items():
        target = np.array([[*sequence, *[1] * (5 - len(sequence))]])
        loss = ops.ctc_loss(target, logits, np.array([len(sequence)]), np.array([5]), blank)
        assert loss[0] == pytest.approx(-np.log(p), rel=1e-13)


@pytest.mark.parametrize(("batch", "frames", "classes", "most"), [(3, 20, 5, 6), (4, 60, 30, 12), (2, 200, 9, 90)])
def test_loss_and_gradient_as_pytorch(batch, frames, classes, most):
    torch = pytest.importorskip("torch")
    logits = RNG.standard_normal((batch, frames, classes)) * 3
    labels = RNG.integers(1, classes, (batch, most)).astype(np.int32)
    used = RNG.integers(frames * 3 // 4, frames + 1, batch).astype(np.int32)
    letters = RNG.integers(0, most + 1, batch).astype(np.int32)
    found, (gradient,) = nnfast.value_and_grad(lambda z: ops.sum(ops.ctc_loss(labels, z, letters, used)))(logits)
    z = torch.tensor(logits, requires_grad=True)
    p = torch.log_softmax(z, -1).transpose(0, 1)
    sizes = torch.tensor(used.astype(np.int64)), torch.tensor(letters.astype(np.int64))
    loss = torch.nn.functional.ctc_loss(
        p, torch.tensor(labels.astype(np.int64)), *sizes, reduction="none", zero_infinity=False
    )
    assert torch.isfinite(loss).all()
    loss.sum().backward()
    assert float(found) == pytest.approx(loss.sum().item(), rel=1e-12)
    np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_what_does_not_fit_has_infinite_loss_and_no_gradient():
    logits = RNG.standard_normal((3, 4, 3)).astype(np.float32)
    labels = np.array([[1, 1, 1], [1, 2, 1], [1, 1, 0]], np.int32)  # the first needs five frames

    def loss(z):
        values = ops.ctc_loss(labels, z, np.array([3, 3, 2]), np.array([4, 4, 4]))
        return ops.sum(ops.where(ops.less(values, 1e30), values, 0.0))

    values = ops.ctc_loss(labels, logits, np.array([3, 3, 2]), np.array([4, 4, 4]))
    assert np.isinf(values).tolist() == [True, False, False]
    _, (gradient,) = nnfast.value_and_grad(loss)(logits)
    assert (gradient[0] == 0).all()
    assert np.isfinite(gradient).all()


def test_long_sequences_keep_their_digits_in_float32():
    logits = (RNG.standard_normal((1, 2000, 20)) * 2).astype(np.float32)
    labels = RNG.integers(1, 20, (1, 300))
    arguments = np.array([300]), np.array([2000])
    single, double = (ops.ctc_loss(labels, logits.astype(kind), *arguments) for kind in (np.float32, np.float64))
    np.testing.assert_allclose(single, double, rtol=1e-6)


def test_training_reads_what_it_was_shown():
    """Runs of noise with a letter's pattern in them, and no places of the letters."""
    rng = np.random.default_rng(1)
    patterns = rng.standard_normal((4, 6)).astype(np.float32)
    x = 0.1 * rng.standard_normal((64, 12, 6)).astype(np.float32)
    y = np.zeros((64, 3), np.int32)
    for row, target in zip(x, y, strict=True):
        for i, place in enumerate(np.sort(rng.choice(6, rng.integers(1, 4), replace=False)) * 2):
            target[i] = rng.integers(1, 4)
            row[place] += patterns[target[i]]
    nnfast.set_random_seed(0)
    model = nnfast.Sequential([nnfast.Input((12, 6)), layers.Dense(16, activation="tanh"), layers.Dense(4)])
    rate = metrics.CharacterErrorRate(ctc=True)
    model.compile(nnfast.optimizers.Adam(0.03), losses.CTC(), metrics=[rate, metrics.WordErrorRate(ctc=True)])
    before = model.evaluate(x, y, verbose=0)
    model.fit(x, y, batch_size=16, epochs=40, verbose=0)
    after = model.evaluate(x, y, verbose=0)
    assert after[0] < 0.2 * before[0]
    assert after[1] == after[2] < 0.05
    numbers, _ = ops.ctc_decode(model.predict(x, verbose=0), np.full(64, 12))
    wanted = np.where(y == 0, -1, y)
    assert np.mean((numbers[0][:, :3] == wanted).all(1) & (numbers[0][:, 3:] == -1).all(1)) > 0.9


def test_mask_says_how_many_frames_count():
    x = RNG.standard_normal((2, 6, 3)).astype(np.float32)
    x[1, 4:] = 0
    y = np.array([[1, 2], [2, 0]])
    model = nnfast.Sequential([nnfast.Input((6, 3)), layers.Masking(), layers.Dense(3)])
    model.compile("sgd", losses.CTC())
    logits = model.predict(x, verbose=0)
    expected = ops.ctc_loss(y, logits, np.array([2, 1]), np.array([6, 4]))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(np.mean(expected), rel=1e-6)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([[1, 3]], "is no class"),
        ([[0, 1]], "letters behind a 0"),
        ([[-1, 0]], "is no class"),
        ([[1.5, 0]], "is no class"),
    ],
)
def test_wrong_targets(target, message):
    with pytest.raises(DataError, match=message):
        losses.CTC()(np.array(target), np.zeros((1, 4, 3), np.float32))


def test_wrong_shapes():
    with pytest.raises(ShapeError, match="expected"):
        losses.CTC()(np.array([1, 2]), np.zeros((1, 4, 3), np.float32))
    with pytest.raises(ShapeError, match="blank=3"):
        ops.ctc_loss(np.array([[1]]), np.zeros((1, 4, 3)), np.array([1]), np.array([4]), mask_index=3)


# Decoding


@pytest.mark.parametrize("blank", [0, 1])
def test_wide_beam_finds_the_most_probable_sequences(blank):
    for _ in range(5):
        logits = RNG.standard_normal((1, 6, 3)) * 2
        ranked = sorted(by_sequence(logits[0], blank).items(), key=lambda pair: -pair[1])
        numbers, scores = ops.ctc_decode(logits, [6], "beam_search", beam_width=500, top_paths=4, mask_index=blank)
        for i, (sequence, p) in enumerate(ranked[:4]):
            assert tuple(c for c in numbers[i, 0].tolist() if c >= 0) == sequence
            assert scores[0, i] == pytest.approx(np.log(p), rel=1e-10)


def test_narrow_beam_and_many_frames():
    logits = RNG.standard_normal((2, 300, 8)) * 4
    numbers, scores = ops.ctc_decode(logits, [300, 200], "beam_search", beam_width=8)
    assert (numbers[0, 1, 200:] == -1).all()
    for b, frames in enumerate((300, 200)):
        sequence = numbers[0, b][numbers[0, b] >= 0]
        whole = ops.ctc_loss(sequence[None], logits[b : b + 1], np.array([len(sequence)]), np.array([frames]))
        assert -whole[0] >= scores[b, 0] > -whole[0] - 5  # the beam leaves paths out
        greedy = collapsed(logits[b, :frames].argmax(-1).tolist())
        other = ops.ctc_loss(np.array([greedy]), logits[b : b + 1], np.array([len(greedy)]), np.array([frames]))
        assert whole[0] <= other[0] + 1e-9


def test_greedy():
    path = np.array([[1, 1, 0, 1, 2, 2], [0, 0, 3, 3, 3, 1]])
    logits = np.eye(4)[path]
    numbers, scores = ops.ctc_decode(logits, [6, 4])
    assert numbers.tolist() == [[[1, 1, 2, -1, -1, -1], [3, -1, -1, -1, -1, -1]]]
    assert scores.tolist() == [[-6.0], [-4.0]]
    assert ops.ctc_decode(logits, [6, 4], merge_repeated=False)[0][0, 0].tolist() == [1, 1, 1, 2, 2, -1]


@pytest.mark.parametrize(
    "arguments",
    [
        {"strategy": "best"},
        {"top_paths": 2},
        {"strategy": "beam_search", "beam_width": 2, "top_paths": 3},
        {"mask_index": 4},
    ],
)
def test_wrong_settings_of_decode(arguments):
    with pytest.raises(ValueError, match=r"ctc_decode\("):
        ops.ctc_decode(np.zeros((1, 2, 3)), [2], **arguments)


# Error rates


def test_error_rates_of_texts():
    wanted, found = ["the cat sat", "", "a b c d"], ["the bat sat down", "x", "a c d"]
    assert metrics.WordErrorRate()(wanted, found) == (2 + 1 + 1) / (3 + 0 + 4)
    rate = metrics.CharacterErrorRate()
    rate.update_state(["cat"], np.array(["cats"]))
    rate.update_state(["dog"], ["cot"])
    assert rate.result() == (1 + 2) / (3 + 3)
    with pytest.raises(DataError, match="one for each"):
        rate(["a"], ["a", "b"])


def test_error_rates_and_accuracy_of_numbers():
    y = np.array([[1, 2, 3, 0], [4, 0, 0, 0]])
    found = np.array([[1, 3, 0, 0], [4, 5, 0, 0]])
    rate = metrics.WordErrorRate(mask_token_id=0)
    assert rate(y, found) == (1 + 1) / 4
    assert metrics.WordErrorRate(mask_token_id=0)(y, np.eye(6)[found], np.array([1.0, 3.0])) == (1 + 3) / (3 + 3)
    same = np.array([[1, 2, 3, 9], [4, 5, 0, 0]])
    assert metrics.SequenceAccuracy(mask_token_id=0)(y, same) == 1.0
    assert metrics.SequenceAccuracy()(y, same) == 0.0
    assert metrics.SequenceAccuracy(mask_token_id=0)(y, np.eye(10)[found], np.array([1.0, 3.0])) == 0.75
    places = np.array([[1, 0, 0, 1], [1, 1, 1, 1.0]])
    assert metrics.SequenceAccuracy()(y, np.array([[1, 7, 7, 0], [4, 0, 0, 1]]), places) == 0.5


def test_error_rates_come_back_from_their_configuration():
    for metric in (
        metrics.WordErrorRate(ctc=True),
        metrics.SequenceAccuracy(mask_token_id=3),
        metrics.CharacterErrorRate("c"),
    ):
        again = type(metric).from_config(metric.get_config())
        assert again.get_config() == metric.get_config()

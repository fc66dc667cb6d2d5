"""Windows of time series, batches of them, naive forecasts and the error beside them."""

import numpy as np
import pytest

import nnfast
from nnfast import data, layers, metrics
from nnfast.errors import DataError

SERIES = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)


def test_windows_share_the_memory_of_the_series():
    x, y = data.windows(SERIES, 8, horizon=2, stride=3, rate=2)
    assert np.shares_memory(x, SERIES) and np.shares_memory(y, SERIES)
    assert not x.flags.writeable
    for i in range(len(x)):
        np.testing.assert_array_equal(x[i], SERIES[3 * i : 3 * i + 16 : 2])
        np.testing.assert_array_equal(y[i], SERIES[3 * i + 16 : 3 * i + 20 : 2])
    assert 3 * len(x) + 2 * 9 >= 50 > 3 * (len(x) - 1) + 2 * 9
    changed = SERIES.copy()
    view = data.windows(changed, 5)
    changed[4] = 7
    assert (view[0, 4] == 7).all()


def test_training_reads_the_views_where_they_lie():
    x, y = data.windows(SERIES, 8, horizon=1)
    assert data.as_rows(x, "x").base is not None
    assert np.shares_memory(data.as_rows(x, "x"), SERIES)
    losses = []
    for rows in (x, np.ascontiguousarray(x)):
        nnfast.set_random_seed(0)
        model = nnfast.Sequential([nnfast.Input((8, 3)), layers.GRU(4), layers.Dense(3), layers.Reshape((1, 3))])
        model.compile("adam", "mse")
        losses.append(model.fit(rows, y, epochs=2, verbose=0).history["loss"])
    assert losses[0] == losses[1]


def test_batches_as_keras_makes_them():
    targets = np.arange(10, 60)
    batches = data.timeseries_dataset_from_array(
        SERIES, targets, 4, sequence_stride=2, batch_size=7, start_index=3, end_index=40
    )
    rows = np.concatenate([x for x, _ in (batches[i] for i in range(len(batches)))])
    wanted = np.concatenate([batches[i][1] for i in range(len(batches))])
    starts = np.arange(3, 40 - 3, 2)
    np.testing.assert_array_equal(rows, np.stack([SERIES[s : s + 4] for s in starts]))
    np.testing.assert_array_equal(wanted, targets[starts])
    alone = data.timeseries_dataset_from_array(SERIES, None, 4, batch_size=None)
    assert len(alone) == 47 and alone[46].shape == (4, 3)
    with pytest.raises(IndexError):
        alone[47]


def test_shuffled_batches_differ_by_epoch_and_not_by_run():
    def epochs():
        batches = data.timeseries_dataset_from_array(
            np.arange(30), np.arange(30), 1, batch_size=30, shuffle=True, seed=4
        )
        first = batches[0][1].tolist()
        batches.on_epoch_end()
        return first, batches[0][1].tolist()

    first, second = epochs()
    assert first != second and sorted(first) == sorted(second) == list(range(30))
    assert epochs() == (first, second)


def test_fit_takes_batches_of_windows():
    series = np.sin(np.arange(400) * 0.3).astype(np.float32)
    batches = data.timeseries_dataset_from_array(series[:, None], series[12:], 12, batch_size=32, shuffle=True)
    nnfast.set_random_seed(0)
    model = nnfast.Sequential([nnfast.Input((12, 1)), layers.Flatten(), layers.Dense(1)])
    mase = metrics.MeanAbsoluteScaledError.of_series(series)
    model.compile(nnfast.optimizers.Adam(0.03), "mse", metrics=[mase])
    model.fit(batches, epochs=15, verbose=0)
    x, y = data.windows(series, 12, horizon=1)
    assert model.evaluate(batches, verbose=0)[1] < 0.2
    assert mase(y, data.last_value(x)) == pytest.approx(1.0, abs=0.02)


def test_naive_forecasts():
    x, y = data.windows(np.tile(np.arange(4.0), 5), 6, horizon=9)
    np.testing.assert_array_equal(data.seasonal_naive(x, 9, season=4), y)
    np.testing.assert_array_equal(data.last_value(x, 2), np.stack([x[:, -1]] * 2, 1))
    assert data.seasonal_naive(SERIES[None], 3, 7).shape == (1, 3, 3)


def test_scaled_error():
    series = np.array([1.0, 4.0, 2.0, 8.0])
    assert metrics.MeanAbsoluteScaledError.of_series(series).scale == (3 + 2 + 6) / 3
    seasonal = metrics.MeanAbsoluteScaledError.of_series(series, season=2)
    assert seasonal.scale == (1 + 4) / 2
    assert type(seasonal).from_config(seasonal.get_config()).scale == seasonal.scale
    with pytest.raises(ValueError, match="constant series"):
        metrics.MeanAbsoluteScaledError.of_series(np.ones(5))
    with pytest.raises(ValueError, match="season=5"):
        metrics.MeanAbsoluteScaledError.of_series(np.arange(5.0), season=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, r"length=0"),
        ({"length": 60}, "50 time steps"),
        ({"length": 5, "horizon": -1}, "horizon=-1"),
        ({"length": 5, "stride": 1.5}, "stride=1.5"),
        ({"length": 30, "rate": 2}, "take 59"),
    ],
)
def test_wrong_windows(arguments, message):
    with pytest.raises(DataError, match=message):
        data.windows(SERIES, **arguments)


def test_other_wrong_arguments():
    with pytest.raises(DataError, match="season of 9"):
        data.seasonal_naive(np.ones((2, 5)), 1, 9)
    with pytest.raises(DataError, match="end_index=51"):
        data.timeseries_dataset_from_array(SERIES, None, 4, end_index=51)

"""Data that count epochs themselves: a fit that goes on sets their count, so that batches are those of the fit that was stopped."""

import numpy as np
import pytest
from checks import resumable

import nnfast
from nnfast import callbacks, errors, layers

PARTS = [(resumable.X[i : i + 10], resumable.Y[i : i + 10]) for i in range(0, 100, 10)]


def counting(name):
    """Data of the library that count epochs themselves."""
    if name == "augmented":
        nnfast.set_random_seed(5)
        noise = [layers.GaussianNoise(0.1, seed=2)]
        return nnfast.AugmentedData(resumable.X, resumable.Y, noise, batch_size=16, seed=3)
    if name == "blocks":
        return nnfast.data.BlockShuffled(resumable.X, resumable.Y, batch_size=16, block_rows=8, blocks_at_once=2)
    return Own()


class Own:
    """The user's own: shuffled anew after each epoch, with the two names that fit asks for."""

    def __init__(self):
        self.set_epoch(0)

    def __len__(self):
        return len(PARTS)

    def __getitem__(self, index):
        return PARTS[self.order[index]]

    def set_epoch(self, epoch):
        self.epoch, self.rng, self.order = 0, np.random.default_rng(3), list(range(len(PARTS)))
        for _ in range(epoch):
            self.on_epoch_end()

    def on_epoch_end(self):
        self.epoch += 1
        self.rng.shuffle(self.order)


@pytest.mark.parametrize("name", ["augmented", "blocks", "own"])
def test_data_that_count_epochs(name, tmp_path):
    """The second fit on such data, stopped at some step, goes on with new data of another process and with the very same object."""
    options = {"verbose": 0, "epochs": 3}

    def begun(data):
        model = resumable.model()
        model.fit(data, verbose=0, epochs=2)
        return model

    pattern = str(tmp_path / "{epoch}-{batch}.nnf")
    checkpoint = callbacks.ModelCheckpoint(pattern, save_freq=1)
    data = counting(name)
    model = begun(data)
    wanted = resumable.receipt(model, model.fit(data, callbacks=[checkpoint], **options))
    assert data.epoch == 5
    for file in checkpoint.written[::3]:
        for again in (counting(name), data):  # a new one stands at 0, the used one at 5
            other = nnfast.load_model(file)
            assert resumable.receipt(other, other.fit(again, resume_from=file, **options)) == wanted, file
            assert again.epoch == 5


def test_epochs_are_whole_numbers():
    data = nnfast.data.BlockShuffled(resumable.X)
    for epoch in (-1, True, 1.5, "1"):
        with pytest.raises(errors.DataError, match=r"epoch=.*: expected a whole number from 0 on"):
            data.set_epoch(epoch)

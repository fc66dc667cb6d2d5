"""Batches from files: folders of pictures and recordings, and arrays shuffled by blocks."""

import wave

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.data import BlockShuffled, ImageFolder, WavFolder, read_wav
from nnfast.errors import DataError, MissingExtraError, UnknownNameError

COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, colour in COLOURS.items():
        (tmp_path / name / "deeper").mkdir(parents=True)
        for i in range(4):
            image.new("RGB", (8 + i, 6), colour).save(tmp_path / name / ("deeper" if i % 2 else "") / f"{i}.png")
    (tmp_path / "red" / "notes.txt").write_text("not a picture")
    return tmp_path


def test_pictures(pictures):
    folder = ImageFolder(pictures, batch_size=5, image_size=(4, 6), shuffle=False)
    assert folder.class_names == ["blue", "green", "red"]
    assert len(folder) == 3
    assert folder.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    x, y = folder[1]
    assert (x.shape, x.dtype, y.tolist()) == ((5, 4, 6, 3), np.uint8, [1, 1, 1, 2, 2])
    assert x[0, 0, 0].tolist() == [0, 255, 0]


def test_pictures_are_shuffled_anew(pictures):
    folder = ImageFolder(pictures, batch_size=12, image_size=(2, 2), seed=3)
    first = folder[0][1].tolist()
    assert folder[0][1].tolist() == first
    folder.on_epoch_end()
    assert folder[0][1].tolist() != first
    assert sorted(folder[0][1].tolist()) == sorted(first)


@pytest.mark.parametrize(("mode", "channels"), [("grayscale", 1), ("rgb", 3), ("rgba", 4)])
def test_colour_modes(pictures, mode, channels):
    assert ImageFolder(pictures, color_mode=mode, image_size=(3, 5))[0][0].shape == (12, 3, 5, channels)


def test_label_modes(pictures):
    y = ImageFolder(pictures, "categorical", batch_size=12, shuffle=False)[0][1]
    assert y.sum(axis=0).tolist() == [4, 4, 4]
    x, y = ImageFolder(pictures, "binary", class_names=["red", "blue"], batch_size=8, image_size=(2, 2), shuffle=False)[
        0
    ]
    assert y.tolist() == [[0.0]] * 4 + [[1.0]] * 4
    assert x[0, 0, 0].tolist() == [255, 0, 0]
    assert ImageFolder(pictures, None, batch_size=12, image_size=(2, 2))[0].shape == (12, 2, 2, 3)


def test_validation_split(pictures):
    parts = [
        ImageFolder(pictures, validation_split=0.25, subset=name, seed=1).paths for name in ("training", "validation")
    ]
    assert [len(part) for part in parts] == [9, 3]
    assert not set(parts[0]) & set(parts[1])


def test_crop_keeps_proportions(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "a").mkdir()
    picture = np.zeros((4, 12, 3), np.uint8)
    picture[:, 4:8] = 255
    image.fromarray(picture).save(tmp_path / "a" / "a.png")
    folder = ImageFolder(tmp_path, image_size=(4, 4), crop_to_aspect_ratio=True, interpolation="nearest")
    assert folder[0][0].min() == 255
    assert ImageFolder(tmp_path, image_size=(4, 4), interpolation="nearest")[0][0].min() == 0


def test_training_from_a_folder(pictures):
    nnfast.set_random_seed(0)
    model = nnfast.Sequential(
        [nnfast.Input((2, 2, 3), dtype="uint8"), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)]
    )
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    folder = ImageFolder(pictures, batch_size=4, image_size=(2, 2))
    model.fit(folder, epochs=200, verbose=0)
    assert folder.epoch == 200
    assert model.evaluate(folder, verbose=0)[1] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label_mode": "one-hot"}, "unknown label_mode"),
        ({"label_mode": "binary"}, "needs two classes.*has 3"),
        ({"class_names": ["rde"]}, "did you mean 'red'"),
        ({"color_mode": "bgr"}, "unknown color_mode"),
        ({"interpolation": "sinc"}, "unknown interpolation"),
        ({"image_size": (0, 4)}, "image_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"validation_split": 0.2}, "belong together"),
        ({"validation_split": 2, "subset": "training"}, "between 0 and 1"),
        ({"validation_split": 0.01, "subset": "training", "class_names": []}, "no file"),
        ({"validation_split": 0.5, "subset": "test"}, "unknown subset"),
    ],
)
def test_wrong_arguments(pictures, arguments, message):
    if arguments.get("class_names") == []:
        arguments = {"directory": pictures / "red", "label_mode": None, "validation_split": 0.999, "subset": "training"}
        message = "leaves no file"
    with pytest.raises((DataError, UnknownNameError), match=message):
        ImageFolder(**{"directory": pictures, **arguments})


def test_a_damaged_picture(pictures):
    path = pictures / "red" / "0.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"0\.png: cannot be read as a picture"):
        ImageFolder(pictures, batch_size=12)[0]


def test_no_such_folder(tmp_path):
    pytest.importorskip("PIL")
    with pytest.raises(DataError, match="there is no such folder"):
        ImageFolder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no folders, one per class"):
        ImageFolder(tmp_path)
    with pytest.raises(DataError, match="no file that ends with"):
        ImageFolder(tmp_path, label_mode=None)


def test_without_pillow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"nnfast\[image\]"):
        ImageFolder(tmp_path)


def write_wav(path, samples, width, rate=8000, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        scaled = np.round(samples * (2 ** (8 * width - 1) - 1)).astype(np.int64)
        if width == 1:
            file.writeframes((scaled + 128).astype(np.uint8).tobytes())
        else:
            file.writeframes(b"".join(int(v).to_bytes(width, "little", signed=True) for v in scaled))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_of_every_width(tmp_path, width):
    samples = np.sin(np.linspace(0, 20, 200))
    write_wav(tmp_path / "a.wav", samples, width, rate=44100, channels=2)
    found, rate = read_wav(tmp_path / "a.wav")
    assert rate == 44100
    assert found.shape == (100, 2)
    np.testing.assert_allclose(found.reshape(-1), samples, atol=2.0 ** (2 - 8 * width) + 1e-6)


def test_recordings(tmp_path):
    for name in ("no", "yes"):
        (tmp_path / name).mkdir()
        write_wav(tmp_path / name / "a.WAV", np.full(3, 0.5), 2)
    folder = WavFolder(tmp_path, output_sequence_length=5, sampling_rate=8000, shuffle=False)
    x, y = folder[0]
    assert x.shape == (2, 5, 1)
    np.testing.assert_allclose(x[0, :, 0], [0.5, 0.5, 0.5, 0, 0], atol=1e-4)
    assert y.tolist() == [0, 1]
    with pytest.raises(DataError, match="8000 samples a second, where sampling_rate=16000"):
        WavFolder(tmp_path, sampling_rate=16000)[0]
    (tmp_path / "no" / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"b\.wav: cannot be read as WAV"):
        WavFolder(tmp_path)[0]
    with pytest.raises(DataError, match="output_sequence_length=0"):
        WavFolder(tmp_path, output_sequence_length=0)


@pytest.mark.parametrize(
    ("rows", "batch", "block", "groups"), [(1000, 32, 16, 4), (7, 3, 2, 2), (1, 5, 4, 1), (64, 64, 1, 1)]
)
def test_blocks_give_each_row_once(tmp_path, rows, batch, block, groups):
    x = np.arange(rows * 2).reshape(rows, 2)
    np.save(tmp_path / "x.npy", x)
    data = BlockShuffled(np.load(tmp_path / "x.npy", mmap_mode="r"), x[:, 0] // 2, batch, block, groups)
    seen = []
    for epoch in range(2):
        batches = [data[i] for i in range(len(data))]
        assert all(np.array_equal(bx[:, 0], by * 2) for bx, by in batches)
        seen.append(np.concatenate([by for _, by in batches]))
        assert sorted(seen[-1].tolist()) == list(range(rows))
        assert data[len(data) - 1][1].tolist() == batches[-1][1].tolist()
        data.on_epoch_end()
        assert data.epoch == epoch + 1
    if rows > 1:
        assert seen[0].tolist() != seen[1].tolist()
        assert seen[0].tolist() != list(range(rows))


def test_blocks_read_runs(monkeypatch):
    data = BlockShuffled(np.arange(4096), batch_size=64, block_rows=256, blocks_at_once=2)
    first = np.concatenate([data[i] for i in range(8)])  # one group: two blocks
    assert len(set((first // 256).tolist())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros((0, 2))}, "0 rows"),
        ({"x": np.zeros(3), "y": np.zeros(2)}, "different lengths"),
        ({"x": np.zeros(3), "block_rows": 0}, "block_rows=0"),
        ({"x": np.zeros(3), "blocks_at_once": True}, "blocks_at_once=True"),
    ],
)
def test_wrong_blocks(arguments, message):
    with pytest.raises(DataError, match=message):
        BlockShuffled(**arguments)

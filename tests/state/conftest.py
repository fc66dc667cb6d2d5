"""Each test of this folder starts from the same seed, in float32, and leaves no setting behind."""

import pytest

import nnfast


@pytest.fixture(autouse=True)
def settings():
    nnfast.set_random_seed(0)
    yield
    nnfast.set_floatx("float32")
    nnfast.set_num_threads(None)

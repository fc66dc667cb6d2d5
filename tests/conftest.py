"""What all tests share: the folder `checks` on the path, settings put back after each test, a bounded and repeatable hypothesis."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import hypothesis
from checks import beside

import nnfast
from nnfast import config

WHOLE_SUITE = 5000  # tests, from which on it is one

hypothesis.settings.register_profile(
    "nnfast", derandomize=True, deadline=None, database=None, max_examples=50, print_blob=False
)
hypothesis.settings.load_profile("nnfast")


def pytest_addoption(parser):
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew in place of comparing with it"
    )
    parser.addoption(
        "--fuzz-seconds", type=float, default=0.0, help="how long to make up model files; 0: a fixed number"
    )


def pytest_collection_finish(session):
    """Programs that take minutes begin at once where a test is waited for anyway."""
    if len(session.items) >= WHOLE_SUITE and not session.config.option.collectonly:
        beside.begin_all()


@pytest.fixture(autouse=True)
def _settings_stay():
    """The number of threads and the floating type are the process's: no test leaves them changed."""
    threads, floatx = config._threads, nnfast.floatx()
    yield
    config._threads = threads
    nnfast.set_floatx(floatx)


@pytest.fixture
def update_golden(request):
    return request.config.getoption("--update-golden")

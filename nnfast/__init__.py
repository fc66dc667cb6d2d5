"""nnfast: neural networks on multicore CPUs, one compiled plan per step, the same bits on any number of threads."""

from nnfast._version import __version__
from nnfast.config import get_num_threads, num_threads, set_floatx, set_num_threads, show_config

__all__ = ["__version__", "get_num_threads", "num_threads", "set_floatx", "set_num_threads", "show_config"]

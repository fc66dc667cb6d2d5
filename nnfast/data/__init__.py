"""Data on the way to a plan: whole arrays or batches, checked, in the model's order.

In: what a user passes to fit, evaluate and predict. Out: an ArraySource (arrays) or a BatchSource (batches, made ready
ahead). ImageFolder, WavFolder and BlockShuffled give batches from files, BucketedBatches from sequences of different lengths,
ConsecutiveWindows from long series; windows, of time series.
"""

from nnfast.data.arrays import as_rows, check_finite, find_not_finite, is_array_like
from nnfast.data.batches import BatchSource, is_batch_source, make_source
from nnfast.data.blocks import BlockShuffled
from nnfast.data.buckets import BucketedBatches
from nnfast.data.consecutive import ConsecutiveWindows
from nnfast.data.epochs import CountsEpochs, epoch_of
from nnfast.data.folders import ImageFolder, WavFolder, read_wav
from nnfast.data.order import permutation
from nnfast.data.prefetch import Prefetch
from nnfast.data.ragged import Mask, Padded, Ragged, is_ragged, pad_sequences, ragged
from nnfast.data.series import SeriesBatches, last_value, seasonal_naive, timeseries_dataset_from_array, windows
from nnfast.data.source import ArraySource, as_input_list, check_batch_size, class_weights, split_rows, split_validation
from nnfast.data.structure import as_row_list, as_weight_list

__all__ = [
    "ArraySource",
    "BatchSource",
    "BlockShuffled",
    "BucketedBatches",
    "ConsecutiveWindows",
    "CountsEpochs",
    "ImageFolder",
    "Mask",
    "Padded",
    "Prefetch",
    "Ragged",
    "SeriesBatches",
    "WavFolder",
    "as_input_list",
    "as_row_list",
    "as_rows",
    "as_weight_list",
    "check_batch_size",
    "check_finite",
    "class_weights",
    "epoch_of",
    "find_not_finite",
    "is_array_like",
    "is_batch_source",
    "is_ragged",
    "last_value",
    "make_source",
    "pad_sequences",
    "permutation",
    "ragged",
    "read_wav",
    "split_rows",
    "seasonal_naive",
    "split_validation",
    "timeseries_dataset_from_array",
    "windows",
]

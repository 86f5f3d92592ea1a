"""Bidirectional recurrent text classification: train, evaluate, predict.

>>> import birnn
>>> model = birnn.load()
>>> model.predict(["Not bad at all!"]).tolist()
['positive']

``load`` and ``train`` are functions; ``BiRnnClassifier`` is an estimator of scikit-learn; ``nn`` has recurrent layers on
NumPy arrays; ``spark``, ``ray`` and ``dask`` score what lies there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from birnn import nn
from birnn._keys import KEYS as _KEYS
from birnn._native import VERSION as __version__
from birnn._native import num_threads, set_num_threads
from birnn._progress import EpochReport, StepReport
from birnn.errors import (
    ArgumentError,
    BirnnError,
    BirnnWarning,
    ConfigError,
    DataError,
    DeviceError,
    FileError,
    ModelError,
    TrainingError,
)
from birnn.model import Contribution, Explanation, Model, load
from birnn.training import Run, train

if TYPE_CHECKING:
    from birnn.sklearn import BiRnnClassifier

__all__ = [
    "ArgumentError",
    "BiRnnClassifier",
    "BirnnError",
    "BirnnWarning",
    "ConfigError",
    "Contribution",
    "DataError",
    "DeviceError",
    "EpochReport",
    "Explanation",
    "FileError",
    "Model",
    "ModelError",
    "Run",
    "StepReport",
    "TrainingError",
    "__version__",
    "config_keys",
    "load",
    "nn",
    "num_threads",
    "set_num_threads",
    "train",
]


def config_keys() -> list[str]:
    """All keys of a config that :func:`train` and :class:`BiRnnClassifier` take, as ``train.epochs``.

    >>> "train.epochs" in config_keys()
    True
    """
    return list(_KEYS)


def __getattr__(name: str) -> Any:
    # Only who uses it needs scikit-learn.
    if name == "BiRnnClassifier":
        from birnn.sklearn import BiRnnClassifier

        return BiRnnClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The part of birnn that is compiled."""

import os
from collections.abc import Callable
from typing import Any

# The bytes and the shape of an array.
_Given = tuple[bytes, list[int]]
_Made = tuple[bytearray, list[int]]

VERSION: str

class Model:
    @staticmethod
    def shipped(device_name: str) -> Model: ...
    @staticmethod
    def from_folder(folder: str, device_name: str) -> Model: ...
    @staticmethod
    def from_bytes(
        config: bytes, tokenizer: bytes, weights: bytes, name: str, device_name: str
    ) -> Model: ...
    def files(self) -> list[bytes]: ...
    def hash(self) -> str: ...
    def save(self, folder: str) -> None: ...
    @property
    def name(self) -> os.PathLike[str]: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def has_several_labels(self) -> bool: ...
    @property
    def thresholds(self) -> list[float] | None: ...
    @property
    def temperature(self) -> float: ...
    @property
    def has_ngrams(self) -> bool: ...
    def classify(
        self, texts: Any, allow_missing: bool, threads: int | None
    ) -> dict[str, Any]: ...
    def explain(
        self, text: str, method: str, label: str | None, points: int, threads: int | None
    ) -> str: ...

class Recurrent:
    def __new__(cls, config: str, seed: int) -> Recurrent: ...
    def forward(
        self,
        input: _Given,
        lengths: list[int] | None,
        h: _Given | None,
        c: _Given | None,
        training: tuple[int, int] | None,
    ) -> tuple[_Made, _Made, _Made | None]: ...
    def backward(
        self,
        input: _Given,
        d_output: _Given,
        d_h: _Given | None,
        d_c: _Given | None,
        lengths: list[int] | None,
        h: _Given | None,
        c: _Given | None,
    ) -> dict[str, _Made]: ...
    def state_dict(self) -> dict[str, _Made]: ...
    def load_state_dict(self, values: dict[str, _Given]) -> None: ...
    def config(self) -> str: ...

def config_keys() -> list[str]: ...
def set_num_threads(threads: int | None) -> None: ...
def num_threads() -> int: ...
def main(arguments: list[str]) -> int: ...
def train(
    source: str | None,
    config: str | None,
    overrides: list[tuple[str, str]],
    out: str | None,
    resume: bool,
    force: bool,
    device_name: str,
    threads: int | None,
    handler: Callable[[str, Any], bool],
) -> tuple[str, Model | None]: ...
def fit(
    texts: Any,
    labels: list[list[str]],
    config: str | None,
    overrides: list[tuple[str, str]],
    device_name: str,
    threads: int | None,
    handler: Callable[[str, Any], bool],
) -> tuple[str, Model | None]: ...

"""A trained classifier."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from birnn import _native
from birnn._arrays import made
from birnn.errors import ArgumentError, BirnnWarning

__all__ = ["Contribution", "Explanation", "Model", "load"]

Missing = Literal["error", "null"]
Method = Literal["ig", "gradient", "occlusion"]


@dataclass(frozen=True)
class Contribution:
    """What a part of a text adds to the explained output."""

    text: str
    #: Where it occurs: the first character of each place, and the one after its last.
    places: tuple[tuple[int, int], ...]
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why a model says what it says of a text.

    ``output`` is the logit of ``label`` minus that of ``other`` (of a model for several labels a text, the logit alone). It
    is the sum of ``baseline``, ``head_bias``, and the contributions of ``tokens`` and ``ngrams``, up to ``gap``.
    """

    text: str
    label: str
    other: str | None
    scores: dict[str, float]
    output: float
    baseline: float
    head_bias: float
    gap: float
    method: str
    points: int
    tokens: tuple[Contribution, ...]
    ngrams: tuple[Contribution, ...]

    def top(self, n: int = 10) -> list[Contribution]:
        """The ``n`` tokens and n-grams that add most, or take most away."""
        parts = sorted(self.tokens + self.ngrams, key=lambda part: -abs(part.contribution))
        return parts[:n]


class Model:
    """A classifier: tokenizer, network, classes. Made by :func:`birnn.load` or by training; it never changes.

    Its methods release Python's global lock while they compute, and may be called from several threads.

    >>> model = load()
    >>> model.labels
    ['negative', 'positive']
    >>> model.predict(["Not bad at all!", "I want my money back."]).tolist()
    ['positive', 'negative']
    """

    def __init__(self, native: _native.Model, device: str = "cpu") -> None:
        self._native = native
        self._device = device
        self._names = np.array(native.labels)
        self._hash: str | None = None

    @property
    def labels(self) -> list[str]:
        """The names of the classes, in the order of the columns of :meth:`predict_proba`."""
        return self._native.labels

    @property
    def name(self) -> str:
        """Its name in messages: its folder, or what it is."""
        return str(self._native.name)

    @property
    def has_several_labels(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self._native.has_several_labels

    @property
    def hash(self) -> str:
        """The SHA-256 of the contents of its files, which names this exact model."""
        if self._hash is None:
            self._hash = self._native.hash()
        return self._hash

    def predict(
        self, texts: Any, *, missing: Missing = "error", threads: int | None = None
    ) -> NDArray[Any]:
        """The label of each text, as an array of strings.

        ``texts`` is a list or another sequence of strings, a NumPy array, a column of pandas or polars, or anything with
        Arrow's C data interface. Of a model for several labels a text, each item is a list of labels.

        A missing text (``None``, NaN, a null of Arrow) is an error, or with ``missing="null"`` has the label ``None``.
        ``threads`` is the number of threads that compute, for the calling thread alone; by default all calls share one for
        each processor (see :func:`birnn.set_num_threads`).

        What was cut or is not known of the texts is warned of (:class:`birnn.BirnnWarning`).
        """
        found = self._classify(texts, missing, threads)
        if self.has_several_labels:
            rows = (self._names[row].tolist() for row in found["members"])
            return _objects(None if label < 0 else row for label, row in zip(found["classes"], rows))
        classes = found["classes"]
        if (classes < 0).any():
            return _objects(None if label < 0 else str(self._names[label]) for label in classes)
        labels: NDArray[Any] = self._names[classes]
        return labels

    def predict_proba(
        self, texts: Any, *, missing: Missing = "error", threads: int | None = None
    ) -> NDArray[np.float32]:
        """The probability of each class: float32 ``[texts, classes]``. Arguments as of :meth:`predict`; the row of a missing
        text is NaN.

        >>> load().predict_proba(["Not bad at all!"]).shape
        (1, 2)
        """
        scores: NDArray[np.float32] = self._classify(texts, missing, threads)["scores"]
        return scores

    def predict_logits(
        self, texts: Any, *, missing: Missing = "error", threads: int | None = None
    ) -> NDArray[np.float32]:
        """The output of the model for each class before temperature and softmax: float32 ``[texts, classes]``."""
        logits: NDArray[np.float32] = self._classify(texts, missing, threads)["logits"]
        return logits

    def predict_records(
        self, texts: Any, *, missing: Missing = "error", threads: int | None = None
    ) -> list[dict[str, Any] | None]:
        """All that is known of each text, as ``birnn predict --json`` prints it; ``None`` for a missing text."""
        found = self._classify(texts, missing, threads)
        names = self.labels
        scores, logits = found["scores"].tolist(), found["logits"].tolist()
        records: list[dict[str, Any] | None] = []
        for row, label in enumerate(found["classes"].tolist()):
            if label < 0:
                records.append(None)
                continue
            record: dict[str, Any] = {"label": names[label]}
            if self.has_several_labels:
                record["labels"] = self._names[found["members"][row]].tolist()
            record["score"] = scores[row][label]
            record["scores"] = dict(zip(names, scores[row]))
            record["logits"] = logits[row]
            record["tokens"] = int(found["tokens"][row])
            record["truncated"] = bool(found["read"][row] < found["tokens"][row])
            record["unknown_tokens"] = int(found["unknown_tokens"][row])
            records.append(record)
        return records

    def explain(
        self,
        text: str,
        *,
        method: Method = "ig",
        label: str | None = None,
        points: int = 32,
        threads: int | None = None,
    ) -> Explanation:
        """What each token and each n-gram of a text adds to the prediction, or to that of ``label``.

        ``method`` is ``"ig"`` (integrated gradients with ``points`` points), ``"gradient"`` (times the embedding) or
        ``"occlusion"``.

        >>> explanation = load().explain("Not bad at all!")
        >>> explanation.label
        'positive'
        >>> [part.text for part in explanation.tokens]
        ['Not', 'bad', 'at', 'all', '!']
        """
        if not isinstance(text, str):
            raise ArgumentError(f"text: {type(text).__name__}, but one string is explained at a time")
        found = json.loads(self._native.explain(text, method, label, points, threads))
        to_characters = _characters(text)
        names = found["classes"]
        return Explanation(
            text=text,
            label=found["class"],
            other=found["other"],
            scores=dict(zip(names, found["scores"])),
            output=found["output"],
            baseline=found["baseline"],
            head_bias=found["head_bias"],
            gap=found["gap"],
            method=found["method"],
            points=found["points"],
            tokens=tuple(_contribution(part, to_characters) for part in found["tokens"]),
            ngrams=tuple(_contribution(part, to_characters) for part in found["ngrams"]),
        )

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``config.json``, ``tokenizer.json`` and ``model.safetensors`` to a folder, which is created."""
        self._native.save(os.fspath(folder))

    def to_bytes(self) -> dict[str, bytes]:
        """The contents of its three files by name, which :func:`birnn.load` takes."""
        return dict(zip(_FILES, self._native.files()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._native.files(), self.name, self._device)

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, _: Any) -> Model:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"<birnn.Model {self.name}: {', '.join(self.labels)}>"

    def _classify(self, texts: Any, missing: str, threads: int | None) -> dict[str, Any]:
        if missing not in ("error", "null"):
            raise ArgumentError(f'missing: {missing!r}, but there are "error" and "null"')
        found = self._arrays(texts, missing == "null", threads)
        for line in found["notes"]:
            # The caller of the method that calls this.
            warnings.warn(line, BirnnWarning, stacklevel=3)
        return found

    def _arrays(self, texts: Any, allow_missing: bool, threads: int | None) -> dict[str, Any]:
        """All that one pass finds, as arrays with a row for each text, and ``notes``, of which nobody is warned yet."""
        found = self._native.classify(texts, allow_missing, threads)
        for name, dtype in _DTYPES.items():
            if name in found:
                found[name] = made(found[name], dtype)
        return found


_DTYPES = {
    "classes": np.int64,
    "members": np.bool_,
    "scores": np.float32,
    "logits": np.float32,
    "tokens": np.int64,
    "read": np.int64,
    "unknown_tokens": np.int64,
}
_FILES = ("config.json", "tokenizer.json", "model.safetensors")


def load(model: Any = None, *, device: str = "cpu") -> Model:
    """A trained classifier: without an argument the one that is part of this package, trained on film reviews.

    ``model`` is the folder of a model or of a run, or the contents of a model's files: a dict of ``"config.json"``,
    ``"tokenizer.json"`` and ``"model.safetensors"`` (:meth:`Model.to_bytes`). ``device`` is ``"cpu"``, ``"auto"``, or in
    builds for them ``"cuda"``, ``"cuda:N"`` and ``"metal"``.

    >>> load().labels
    ['negative', 'positive']
    """
    if model is None:
        return Model(_native.Model.shipped(device), device)
    if isinstance(model, (str, os.PathLike)):
        return Model(_native.Model.from_folder(os.fspath(model), device), device)
    if isinstance(model, dict):
        missing = [name for name in _FILES if name not in model]
        if missing:
            raise ArgumentError(f"model: there is no {missing[0]}: a model has {', '.join(_FILES)}")
        config, tokenizer, weights = (bytes(model[name]) for name in _FILES)
        return Model(_native.Model.from_bytes(config, tokenizer, weights, "from bytes", device), device)
    raise ArgumentError(
        f"model: {type(model).__name__}, but a folder or a dict of the contents of a model's files is needed"
    )


def _unpickled(files: Sequence[bytes], name: str, device: str) -> Model:
    config, tokenizer, weights = files
    return Model(_native.Model.from_bytes(config, tokenizer, weights, name, device), device)


def _objects(items: Iterable[Any]) -> NDArray[Any]:
    items = list(items)
    array = np.empty(len(items), dtype=object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def _characters(text: str) -> Any:
    """The number of the character that begins at a byte of the text in UTF-8."""
    if text.isascii():
        return lambda place: place
    places: list[int] = []
    for number, character in enumerate(text):
        places.extend([number] * len(character.encode()))
    places.append(len(text))
    return places.__getitem__


def _contribution(part: dict[str, Any], to_characters: Any) -> Contribution:
    places = tuple((to_characters(start), to_characters(end)) for start, end in part["places"])
    return Contribution(part["text"], places, part["contribution"])

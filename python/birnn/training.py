"""Training from files, directories and data sets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from birnn import _keys, _native
from birnn._progress import Callback, EpochReport, Handler
from birnn.errors import ArgumentError
from birnn.model import Model, load

__all__ = ["Run", "train"]


@dataclass(frozen=True)
class Run:
    """A run of :func:`train`."""

    #: The folder, if it has one: a model directory, which ``birnn.load`` and the command line read.
    path: str | None
    #: Whether a callback stopped it: a run with a folder can then be resumed.
    stopped: bool
    #: The number of steps after which it was stopped.
    step: int | None
    best_epoch: int | None
    best_loss: float | None
    best_accuracy: float | None
    best_macro_f1: float | None
    #: Whether it ended early, as nothing improved any more (``train.patience``).
    early: bool
    #: The result on the test source, if there is one.
    test: dict[str, Any] | None
    train_texts: int | None
    #: The number of texts held out to validate, 0 if all are cross-validated in ``folds`` parts.
    validation_texts: int | None
    folds: int | None
    #: The reports of all epochs.
    history: list[EpochReport] = field(repr=False)
    #: Lines about what was found, decided, skipped and cut.
    notes: list[str] = field(repr=False)
    _model: Model | None = field(repr=False, default=None)
    _device: str = field(repr=False, default="cpu")

    @property
    def model(self) -> Model:
        """The model of the best epoch."""
        if self._model is None and self.path is not None:
            object.__setattr__(self, "_model", load(self.path, device=self._device))
        if self._model is None:
            raise ArgumentError("the run was stopped before there was a model")
        return self._model

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes the model to a folder."""
        self.model.save(folder)


def train(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    validation: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    resume: bool = False,
    force: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    on_step: Callback | None = None,
    on_epoch: Callback | None = None,
    progress: bool = True,
    **keys: Any,
) -> Run:
    """Trains a classifier, as ``birnn train`` does; the same keys give the same bytes.

    ``source`` is a file (CSV, TSV, JSON, Parquet, ...) or several, a folder, or a data set of the Hugging Face hub; by
    default the bundled sample. ``out`` is the folder of the run, from which ``resume=True`` goes on; without it the model is
    only in memory. ``config`` is a TOML file, the name of a recipe, or a dict.

    All other keyword arguments are keys of the config: ``epochs=3``, ``learning_rate=1e-3``, ``label_column="stars"``, or
    ``model={"dropout": 0.3}`` where two have the same name. ``birnn.config_keys()`` lists all.

    ``on_step`` and ``on_epoch`` are called with a :class:`birnn.StepReport` or :class:`birnn.EpochReport` on the calling
    thread; one that returns ``False`` stops the run, one that raises as well. Ctrl-C stops the run, saves it, and raises
    ``KeyboardInterrupt``.

    >>> run = train("sample", epochs=1, progress=False)
    >>> run.model.labels
    ['negative', 'positive']
    """
    if resume:
        _refuse_with_resume(
            out, source=source, config=config, validation=validation, test=test, force=force or None, **keys
        )
    given = dict(keys)
    file: str | None = None
    if isinstance(config, Mapping):
        given = {**config, **keys}
    elif config is not None:
        file = os.fspath(config)
    sources = _source(source)
    pairs = _keys.overrides(given)
    for key, value in (
        ("data.validation_source", validation),
        ("data.test_source", test),
    ):
        if value is not None:
            pairs.append((key, _keys.toml(key, value)))
    handler = Handler(on_step, on_epoch, progress)
    folder = None if out is None else os.fspath(out)
    try:
        ending, native = _native.train(
            sources, file, pairs, folder, resume, force, device, threads, handler
        )
    finally:
        handler.close()
    return _run_of(ending, native, folder, handler, device)


def _run_of(
    ending: str, native: _native.Model | None, folder: str | None, handler: Handler, device: str
) -> Run:
    """The run that ended so."""
    found = json.loads(ending)
    names = (
        "step", "best_epoch", "best_loss", "best_accuracy", "best_macro_f1",
        "test", "train_texts", "validation_texts", "folds",
    )  # fmt: skip
    return Run(
        path=folder,
        stopped=found["stopped"],
        early=bool(found.get("early")),
        history=handler.history,
        notes=handler.notes,
        _model=None if native is None else Model(native, device),
        _device=device,
        **{name: found.get(name) for name in names},
    )


def _refuse_with_resume(out: Any, **others: Any) -> None:
    if out is None:
        raise ArgumentError("resume: there is no folder to go on from: give out=FOLDER")
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise ArgumentError(
            f"resume: a run keeps its sources and its config, so {given[0]} cannot be given with resume=True: leave it out"
        )


def _source(source: Any) -> str | None:
    """The source as the command line has it: of several files a list."""
    if source is None or isinstance(source, str):
        return source
    if isinstance(source, os.PathLike):
        path: str = os.fspath(source)
        return path
    if isinstance(source, (list, tuple)) and source and all(isinstance(part, (str, os.PathLike)) for part in source):
        return ",".join(os.fspath(part) for part in source)
    raise ArgumentError(
        f"source: {type(source).__name__}, but a file, a folder or a data set is needed; texts in memory are trained on by "
        "birnn.BiRnnClassifier().fit(texts, labels)"
    )

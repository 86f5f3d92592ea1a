"""An estimator of scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import type_of_target
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise ImportError("birnn.BiRnnClassifier needs scikit-learn: pip install 'birnn[sklearn]'") from error

from birnn import _keys, _native
from birnn._progress import EpochReport, Handler
from birnn.errors import ArgumentError
from birnn.model import Model

__all__ = ["BiRnnClassifier"]

#: The arguments that are no keys of the config.
_OTHERS = ("config", "device", "threads", "verbose")


class BiRnnClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A bidirectional recurrent classifier of texts, trained in memory.

    ``X`` is what :meth:`birnn.Model.predict` takes: a list of strings, an array, a column. ``y`` has a class for each text
    or, for several labels a text, a list of labels for each or an indicator matrix.

    Parameters
    ----------
    config : a TOML file, the name of a recipe, or a dict of keys; by default the recipe ``text``, which follows from the
        texts: an n-gram head, and a network that begins as the one that is part of this package where the texts are
        English.
    device, threads : as of :func:`birnn.train`.
    verbose : 1 for progress on stderr.

    All others are keys of the config (``docs/configuration.md``); ``None`` leaves a key to the recipe.

    Attributes
    ----------
    classes_ : the classes, sorted, or the labels of several a text.
    model_ : the trained :class:`birnn.Model`.
    history_ : the :class:`birnn.EpochReport` of each epoch.
    notes_ : lines about what was found, decided and cut.
    n_iter_ : the number of epochs.
    best_epoch_, best_accuracy_ : the best epoch, and its accuracy on the texts that were held out or, of few texts, by
        cross-validation.

    >>> texts = ["good", "fine", "nice", "bad", "poor", "awful"] * 5
    >>> classifier = BiRnnClassifier(epochs=2).fit(texts, ([1] * 3 + [0] * 3) * 5)
    >>> classifier.classes_.tolist()
    [0, 1]
    >>> classifier.predict_proba(["good"]).shape
    (1, 2)
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        bias: bool | None = None,
        bidirectional: bool | None = None,
        cell: str | None = None,
        dropout: float | None = None,
        embedding_dropout: float | None = None,
        embedding_size: int | None = None,
        encoder_dropout: float | None = None,
        characters: int | None = None,
        features: int | None = None,
        order: int | None = None,
        weighting: str | None = None,
        num_hiddens: int | None = None,
        num_layers: int | None = None,
        pooling: list[str] | None = None,
        lowercase: bool | None = None,
        max_tokens: int | None = None,
        min_frequency: int | None = None,
        tokenizer: str | None = None,
        truncation: str | None = None,
        vocabulary_size: int | None = None,
        accumulate: int | None = None,
        adversarial_size: float | None = None,
        adversarial_weight: float | None = None,
        batch_size: int | None = None,
        batch_tokens: int | None = None,
        beta1: float | None = None,
        beta2: float | None = None,
        class_weights: str | dict[str, float] | None = None,
        clip_norm: float | None = None,
        ema_decay: float | None = None,
        embedding_deviation: float | None = None,
        embedding_lr_multiplier: float | None = None,
        encoder_lr_multiplier: float | None = None,
        epochs: int | None = None,
        epsilon: float | None = None,
        folds: int | str | None = None,
        forget_bias: float | None = None,
        freeze_embeddings: bool | None = None,
        init_from: str | None = None,
        label_smoothing: float | None = None,
        learning_rate: float | None = None,
        metric: str | None = None,
        ngram_cost: float | str | None = None,
        ngram_text_limit: int | None = None,
        patience: int | None = None,
        schedule: str | None = None,
        steps: int | None = None,
        unfreeze_every: int | None = None,
        vector_epochs: int | None = None,
        vectors: str | None = None,
        virtual_adversarial_weight: float | None = None,
        warmup: float | None = None,
        weight_decay: float | None = None,
        word_dropout: float | None = None,
        validation_fraction: float | None = None,
        validation_limit: int | None = None,
        config: Any = None,
        device: str = "cpu",
        threads: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.seed = seed
        self.bias = bias
        self.bidirectional = bidirectional
        self.cell = cell
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.embedding_size = embedding_size
        self.encoder_dropout = encoder_dropout
        self.characters = characters
        self.features = features
        self.order = order
        self.weighting = weighting
        self.num_hiddens = num_hiddens
        self.num_layers = num_layers
        self.pooling = pooling
        self.lowercase = lowercase
        self.max_tokens = max_tokens
        self.min_frequency = min_frequency
        self.tokenizer = tokenizer
        self.truncation = truncation
        self.vocabulary_size = vocabulary_size
        self.accumulate = accumulate
        self.adversarial_size = adversarial_size
        self.adversarial_weight = adversarial_weight
        self.batch_size = batch_size
        self.batch_tokens = batch_tokens
        self.beta1 = beta1
        self.beta2 = beta2
        self.class_weights = class_weights
        self.clip_norm = clip_norm
        self.ema_decay = ema_decay
        self.embedding_deviation = embedding_deviation
        self.embedding_lr_multiplier = embedding_lr_multiplier
        self.encoder_lr_multiplier = encoder_lr_multiplier
        self.epochs = epochs
        self.epsilon = epsilon
        self.folds = folds
        self.forget_bias = forget_bias
        self.freeze_embeddings = freeze_embeddings
        self.init_from = init_from
        self.label_smoothing = label_smoothing
        self.learning_rate = learning_rate
        self.metric = metric
        self.ngram_cost = ngram_cost
        self.ngram_text_limit = ngram_text_limit
        self.patience = patience
        self.schedule = schedule
        self.steps = steps
        self.unfreeze_every = unfreeze_every
        self.vector_epochs = vector_epochs
        self.vectors = vectors
        self.virtual_adversarial_weight = virtual_adversarial_weight
        self.warmup = warmup
        self.weight_decay = weight_decay
        self.word_dropout = word_dropout
        self.validation_fraction = validation_fraction
        self.validation_limit = validation_limit
        self.config = config
        self.device = device
        self.threads = threads
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> BiRnnClassifier:
        """Trains on texts and their labels."""
        labels = self._read_labels(y)
        keys = {name: value for name, value in self.get_params(deep=False).items() if name not in _OTHERS}
        file: str | None = None
        if isinstance(self.config, Mapping):
            keys = {**self.config, **{name: value for name, value in keys.items() if value is not None}}
        elif self.config is not None:
            file = str(self.config)
        pairs = _keys.overrides(keys)
        pairs.append(("data.label_names", _keys.toml("label_names", self._names)))
        if self._several:
            pairs.append(("model.output", _keys.toml("output", "sigmoid")))
        handler = Handler(progress=self.verbose > 0)
        try:
            ending, native = _native.fit(X, labels, file, pairs, self.device, self.threads, handler)
        finally:
            handler.close()
        found = json.loads(ending)
        assert native is not None, "no callback stops this run"
        self.model_ = Model(native, self.device)
        self.history_: list[EpochReport] = handler.history
        self.notes_: list[str] = handler.notes
        self.n_iter_ = len(handler.history)
        self.best_epoch_: int = found["best_epoch"]
        self.best_accuracy_: float | None = found["best_accuracy"]
        # The model may have its classes in another order.
        self._columns = [self.model_.labels.index(name) for name in self._names]
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each text; of several labels a text, what ``y`` was: lists, or an indicator matrix."""
        check_is_fitted(self, "model_")
        found = self.model_._classify(X, "error", self.threads)
        if not self._several:
            classes: NDArray[Any] = self.classes_[np.argmax(found["scores"][:, self._columns], axis=1)]
            return classes
        members = found["members"][:, self._columns]
        if self._is_indicator:
            return np.asarray(members, dtype=int)
        rows = np.empty(len(members), dtype=object)
        for index, row in enumerate(members):
            rows[index] = self.classes_[row].tolist()
        return rows

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """The probability of each class, in the order of ``classes_``: float32 ``[texts, classes]``."""
        check_is_fitted(self, "model_")
        scores: NDArray[np.float32] = self.model_.predict_proba(X, threads=self.threads)
        return scores[:, self._columns]

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:
        """The logarithms of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            logarithms: NDArray[np.float32] = np.log(self.predict_proba(X))
        return logarithms

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of texts whose class, or whose set of labels, is right."""
        check_is_fitted(self, "model_")
        if not self._several or self._is_indicator:
            share: float = super().score(X, y, sample_weight)
            return share
        right = [set(found) == set(row) for found, row in zip(self.predict(X), y, strict=True)]
        return float(np.average(right, weights=sample_weight))

    def _read_labels(self, y: Any) -> list[list[str]]:
        """The labels of each text, by the names of the classes."""
        if y is None:
            raise ArgumentError("BiRnnClassifier requires y to be passed, but the target y is None: give a class for each text")
        self._several, self._is_indicator = False, False
        if hasattr(y, "toarray"):
            # A sparse matrix.
            y = y.toarray()
        elif hasattr(y, "columns") and hasattr(y, "to_numpy"):
            # A table, of which a list would have the names of its columns.
            y = y.to_numpy()
        values = y.tolist() if hasattr(y, "tolist") else y.to_list() if hasattr(y, "to_list") else list(y)
        is_list = [isinstance(value, (list, tuple, set, frozenset, np.ndarray)) for value in values]
        if any(is_list):
            if not all(is_list):
                raise ArgumentError(f"y[{is_list.index(False)}]: one label, but others are lists of labels")
            rows = [list(value) for value in values]
            return self._read_lists(rows, (hasattr(y, "shape") and len(y.shape) == 2) or _is_matrix(rows))
        for index, value in enumerate(values):
            if _is_missing(value):
                raise ArgumentError(f"y[{index}] is missing: leave its text out")
        kind = type_of_target(values) if values else "binary"
        if kind.startswith("continuous"):
            raise ValueError("Unknown label type: continuous. y has real numbers, but classes are needed: divide them into classes")
        self.classes_ = np.unique(np.asarray(values))
        self._names = [str(name) for name in self.classes_.tolist()]
        if len(self._names) < 2:
            found = "none" if not self._names else f"only one class, {self._names[0]}"
            raise ArgumentError(f"y: there is {found}, but at least two classes are needed")
        if len(set(self._names)) < len(self._names):
            raise ArgumentError("y: two classes are written in the same way")
        numbers = np.searchsorted(self.classes_, np.asarray(values))
        return [[self._names[number]] for number in numbers]

    def _read_lists(self, rows: list[list[Any]], is_matrix: bool) -> list[list[str]]:
        """The same where a text may have several labels."""
        if is_matrix and {value for row in rows for value in row} <= {0, 1}:
            if rows and len(rows[0]) == 1:
                # A column of classes.
                return self._read_labels([row[0] for row in rows])
            self._is_indicator = True
            self.classes_ = np.arange(len(rows[0]) if rows else 0)
            rows = [[number for number, value in enumerate(row) if value] for row in rows]
        elif is_matrix and rows and len(rows[0]) == 1:
            return self._read_labels([row[0] for row in rows])
        else:
            self.classes_ = np.unique(np.asarray([label for row in rows for label in row]))
        self._several = True
        self._names = [str(name) for name in self.classes_.tolist()]
        names = dict(zip(self.classes_.tolist(), self._names))
        return [[names[label] for label in row] for row in rows]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.classifier_tags.multi_label = True
        return tags


def _is_matrix(rows: list[list[Any]]) -> bool:
    """Whether lists are the rows of an indicator matrix: of 0 and 1 alone, all of the same length above 1."""
    width = len(rows[0])
    return width > 1 and all(len(row) == width and all(value in (0, 1) for value in row) for row in rows)


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value

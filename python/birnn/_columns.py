"""Texts of a column are classified, and columns with the predictions added: what Spark, Ray and Dask have in common.

No engine is imported here. A :class:`Scorer` is made where the job is written, which checks its arguments, and is pickled
into each task. The model is not in it: a task fetches the contents of the model's files once for each process, in the way
of its engine.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from birnn import _native
from birnn.errors import ArgumentError, BirnnError, DataError, ModelError
from birnn.model import Model, load

OnError = Literal["fail", "null"]
#: Gives the contents of a model's files, by name.
Fetch = Callable[[], Mapping[str, bytes]]

#: The number of rows that are classified at a time, so that memory does not depend on the size of a partition.
ROWS = 4096
#: The number of models that stay loaded in a process.
_KEPT = 4
#: The reason of a row without a text.
_MISSING = "there is no text"

_models: OrderedDict[str, Model] = OrderedDict()
_lock = threading.Lock()


class Scorer:
    """Adds columns with predictions to batches of rows.

    Its methods give the same bytes for a row, whatever else is in its batch.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str] | None = None,
        *,
        text: str = "text",
        scores: bool = False,
        truncated: bool = False,
        prefix: str = "",
        on_error: OnError = "fail",
        threads: int = 1,
    ) -> None:
        if not isinstance(text, str):
            raise ArgumentError(f"text: {text!r}, but the name of the column with the texts is needed")
        if not isinstance(prefix, str):
            raise ArgumentError(f'prefix: {prefix!r}, but a string is needed, such as "predicted_"')
        if on_error not in ("fail", "null"):
            raise ArgumentError(f'on_error: {on_error!r}, but there are "fail" and "null"')
        if not isinstance(threads, int) or isinstance(threads, bool) or threads < 1:
            raise ArgumentError(f"threads: {threads!r}, but a number from 1 on is needed")
        if not isinstance(model, Model):
            model = load(model)
        self.text = text
        self.on_error = on_error
        self.threads = threads
        self.labels = tuple(model.labels)
        self.has_several_labels = model.has_several_labels
        self.hash = model.hash
        self.version = _native.VERSION
        label = pa.list_(pa.string()) if model.has_several_labels else pa.string()
        columns = [("label", label), ("score", pa.float32())]
        if scores:
            columns += [(f"score_{name}", pa.float32()) for name in self.labels]
        if truncated:
            columns.append(("truncated", pa.bool_()))
        if on_error == "null":
            columns.append(("error", pa.string()))
        self._scores, self._truncated = scores, truncated
        #: The added columns: name, and type in Arrow.
        self.added: dict[str, Any] = {prefix + name: kind for name, kind in columns}
        self._files: Mapping[str, bytes] | None = model.to_bytes()

    @property
    def files(self) -> Mapping[str, bytes]:
        """The contents of the model's files, which are not pickled with this."""
        if self._files is None:
            raise BirnnError("the files of the model stayed where the job was written, and were not given to the task")
        return self._files

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": None}

    def __dask_tokenize__(self) -> Any:
        return "birnn", self.hash, self.version, self.text, self.on_error, self.threads, tuple(map(str, self.added.items()))

    def check(self, columns: Sequence[Any], *, ignore_case: bool = False) -> None:
        """Checks the names of the columns that there are, before any work begins.

        ``ignore_case`` is how the engine finds columns. It may change :attr:`text` to how the column is written.
        """

        def folded(name: Any) -> Any:
            return name.casefold() if ignore_case and isinstance(name, str) else name

        found = [name for name in columns if folded(name) == folded(self.text)]
        if not found:
            some = ", ".join(map(str, columns[:20])) + (", ..." if len(columns) > 20 else "")
            there = f"the columns are {some}" if some else "there are no columns"
            raise ArgumentError(
                f"text: there is no column {self.text!r}: {there}; name the one that holds the texts, as in text=\"review\""
            )
        if len(found) > 1:
            raise ArgumentError(f"text: {len(found)} columns are called {self.text!r}: rename or drop all but one")
        self.text = found[0]
        taken = {folded(name): name for name in columns}
        for name in self.added:
            if folded(name) in taken:
                raise ArgumentError(
                    f"column {taken[folded(name)]!r} is there already, and the column {name!r} is added: rename or drop "
                    'it, or give the added ones other names, as in prefix="predicted_"'
                )
            taken[folded(name)] = name

    def refuse_type(self, kind: Any) -> ArgumentError:
        """The error of a text column of a type that holds no texts."""
        return ArgumentError(
            f"column {self.text!r}: its type is {kind}, but texts are strings, or bytes in UTF-8: convert it, or name "
            "another column as text"
        )

    def batches(self, batches: Iterable[Any], fetch: Fetch | None = None) -> Iterator[Any]:
        """The record batches with the added columns, in parts of at most ``ROWS`` rows, one after the other."""
        for batch in batches:
            for start in range(0, batch.num_rows, ROWS):
                part = batch.slice(start, ROWS)
                arrays = self._columns(_column(part, self.text), fetch)
                schema = self._schema(part.schema)
                yield pa.RecordBatch.from_arrays([*part.columns, *arrays], schema=schema)

    def table(self, table: Any, fetch: Fetch | None = None) -> Any:
        """A table, or a record batch, with the added columns."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        scored = self.batches(table.to_batches(max_chunksize=ROWS), fetch)
        return pa.Table.from_batches(scored, schema=self._schema(table.schema))

    def column(self, texts: Any, fetch: Fetch | None = None) -> dict[str, Any]:
        """The added columns alone, for texts in an array of Arrow or a column of pandas."""
        chunks: list[list[Any]] = []
        for start in range(0, len(texts), ROWS):
            part = texts.iloc[start : start + ROWS] if hasattr(texts, "iloc") else texts.slice(start, ROWS)
            chunks.append(self._columns(part, fetch))
        columns = zip(*chunks) if chunks else ([] for _ in self.added)
        return {
            name: pa.chunked_array(list(column), type=kind)
            for (name, kind), column in zip(self.added.items(), columns)
        }

    def _schema(self, schema: Any) -> Any:
        for name, kind in self.added.items():
            schema = schema.append(pa.field(name, kind))
        return schema

    def _columns(self, values: Any, fetch: Fetch | None) -> list[Any]:
        """The added columns for some texts."""
        model = _loaded(self, fetch)
        texts, problems = self._read(values)
        found, problems = self._classify(model, texts, problems)
        if problems and self.on_error == "fail":
            raise DataError(self._why(problems, len(texts)))
        missing = found["classes"] < 0
        names = pa.array(self.labels, pa.string())
        if self.has_several_labels:
            label = _lists(found["members"], names, missing)
        else:
            label = names.take(pa.array(found["classes"], mask=missing))
        highest = np.take_along_axis(found["scores"], np.maximum(found["classes"], 0)[:, None], axis=1)[:, 0]
        columns = [label, pa.array(highest, pa.float32(), mask=missing)]
        if self._scores:
            scores = (np.ascontiguousarray(found["scores"][:, number]) for number in range(len(self.labels)))
            columns += [pa.array(column, pa.float32(), mask=missing) for column in scores]
        if self._truncated:
            columns.append(pa.array(found["read"] < found["tokens"], mask=missing))
        if self.on_error == "null":
            columns.append(pa.array([problems.get(row) for row in range(len(texts))], pa.string()))
        return columns

    def _read(self, values: Any) -> tuple[Any, dict[int, str]]:
        """The texts as an array of strings, without those that cannot be read, and why by row."""
        if not isinstance(values, (pa.Array, pa.ChunkedArray)):
            values = self._of_pandas(values)
        if isinstance(values, list):
            return _one_by_one(values)
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if not is_text(values.type):
            raise self.refuse_type(values.type)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if pa.types.is_null(values.type):
            values = values.cast(pa.string())
        try:
            if _is_binary(values.type):
                # Checks that it is UTF-8.
                values = values.cast(pa.large_string())
            else:
                # Those who write strings into Arrow need not have checked them.
                values.validate(full=True)
        except pa.ArrowInvalid:
            return _one_by_one(_bytes(values))
        return values, _problems(values)

    def _of_pandas(self, values: Any) -> Any:
        """A column of pandas as an array of Arrow, or as a list if its items are of several kinds."""
        if not is_text_of_pandas(values.dtype):
            raise self.refuse_type(values.dtype)
        if values.dtype != object:
            return pa.array(values, from_pandas=True)
        try:
            return pa.array(values, pa.large_string(), from_pandas=True)
        except (pa.ArrowException, UnicodeError, TypeError, ValueError):
            return values.to_list()

    def _classify(self, model: Model, texts: Any, problems: dict[int, str]) -> tuple[dict[str, Any], dict[int, str]]:
        """Predictions for all texts but those with problems, to which it adds those at which prediction fails."""
        try:
            return self._predict(model, texts), problems
        except BaseException as error:
            if not _is_of_a_text(error):
                raise
        problems = {**problems, **self._failing(model, texts, 0)}
        left = [None if row in problems else text for row, text in enumerate(texts.to_pylist())]
        return self._predict(model, pa.array(left, texts.type)), problems

    def _failing(self, model: Model, texts: Any, first: int) -> dict[int, str]:
        """The texts at which prediction fails, by row, and its message."""
        try:
            self._predict(model, texts)
            return {}
        except BaseException as error:
            if not _is_of_a_text(error):
                raise
            if len(texts) == 1:
                return {first: str(error)}
        half = len(texts) // 2
        return {
            **self._failing(model, texts.slice(0, half), first),
            **self._failing(model, texts.slice(half), first + half),
        }

    def _predict(self, model: Model, texts: Any) -> dict[str, Any]:
        # Classes and probabilities are needed from one pass, and warnings of unknown words would fill the logs of workers.
        return model._arrays(texts, True, self.threads)

    def _why(self, problems: dict[int, str], rows: int) -> str:
        reasons = Counter(problems.values()).most_common()
        some = "; ".join(f"{count:,}: {reason}" for reason, count in reasons[:3])
        more = "; ..." if len(reasons) > 3 else ""
        return (
            f"column {self.text!r}: {len(problems):,} of the {rows:,} rows of a batch cannot be classified ({some}{more}): "
            'leave them out, or give on_error="null" for a column `error` and predictions that are null'
        )


def is_text(kind: Any) -> bool:
    """Whether a type of Arrow holds texts, bytes, or nothing."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return _is_string(kind) or _is_binary(kind) or pa.types.is_null(kind)


def is_text_of_pandas(dtype: Any) -> bool:
    """Whether a type of pandas holds texts or bytes, as far as it says."""
    if hasattr(dtype, "pyarrow_dtype"):
        return is_text(dtype.pyarrow_dtype)
    if hasattr(dtype, "categories"):
        # Of lazy frames, they may not be known yet.
        return dtype.categories is None or len(dtype.categories) == 0 or is_text_of_pandas(dtype.categories.dtype)
    return getattr(dtype, "name", "") in ("object", "string", "str")


def _is_string(kind: Any) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view"


def _is_binary(kind: Any) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or str(kind) == "binary_view"


def _is_of_a_text(error: BaseException) -> bool:
    """Whether prediction failed because of what it was given, not because of the machine."""
    return isinstance(error, BirnnError) or type(error).__name__ == "PanicException"


def _column(batch: Any, name: str) -> Any:
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise DataError(f"column {name!r} is not in a batch, whose columns are {', '.join(batch.schema.names)}")
    return batch.column(index)


def _bytes(values: Any) -> list[bytes | None]:
    """The bytes of each item, also of strings that are not UTF-8."""
    if _is_string(values.type):
        # A view does not look at the contents, as a cast would.
        of = {"string": "binary", "large_string": "large_binary", "string_view": "binary_view"}
        values = values.view(getattr(pa, of[str(values.type)])())
    items: list[bytes | None] = values.to_pylist()
    return items


def _one_by_one(items: Sequence[Any]) -> tuple[Any, dict[int, str]]:
    """Texts of which some cannot be read."""
    texts: list[str | None] = []
    problems: dict[int, str] = {}
    for row, item in enumerate(items):
        text: str | None = None
        try:
            if isinstance(item, bytes):
                text = item.decode()
            elif isinstance(item, str):
                item.encode()
                text = item
            elif _is_missing(item):
                problems[row] = _MISSING
            else:
                problems[row] = f"{type(item).__name__} is not a text"
        except UnicodeDecodeError as error:
            problems[row] = f"not UTF-8 at byte {error.start}: {error.reason}"
        except UnicodeEncodeError as error:
            problems[row] = f"a surrogate alone at character {error.start}"
        texts.append(text)
    return pa.array(texts, pa.large_string()), problems


def _is_missing(item: Any) -> bool:
    is_nan = isinstance(item, float) and item != item
    return item is None or is_nan or type(item).__name__ in ("NAType", "NaTType")


def _problems(texts: Any) -> dict[int, str]:
    """The rows without a text."""
    if texts.null_count == 0:
        return {}
    rows = np.flatnonzero(texts.is_null().to_numpy(zero_copy_only=False))
    return {int(row): _MISSING for row in rows}


def _lists(members: Any, names: Any, missing: Any) -> Any:
    """The names of the classes of each row."""
    members = members & ~missing[:, None]
    _, classes = np.nonzero(members)
    offsets = np.concatenate(([0], np.cumsum(members.sum(axis=1)))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), names.take(pa.array(classes)), mask=pa.array(missing))


def _loaded(scorer: Scorer, fetch: Fetch | None) -> Model:
    """The model, which is fetched and loaded once in a process."""
    if scorer.version != _native.VERSION:
        raise BirnnError(
            f"birnn {_native.VERSION} is installed here, but the job was written with {scorer.version}: install the same "
            "version on all nodes"
        )
    with _lock:
        model = _models.get(scorer.hash)
        if model is None:
            model = _arrived(dict(scorer.files if fetch is None else fetch()), scorer.hash)
            while len(_models) >= _KEPT:
                _models.popitem(last=False)
            _models[scorer.hash] = model
        _models.move_to_end(scorer.hash)
        return model


def _arrived(files: dict[str, bytes], expected: str) -> Model:
    """The model of the files that arrived, if they are those that were sent."""
    remedy = (
        "it was changed or damaged on the way: run the job again, and if it happens again, look at the network and the disks "
        "of this node"
    )
    try:
        model = load(files)
    except BirnnError as error:
        # Without its remedy, which is for files on disk.
        problem = str(error).split("; ")[0]
        raise ModelError(f"the model that arrived cannot be read ({problem}); {remedy}") from error
    if model.hash != expected:
        raise ModelError(f"the model that arrived has the hash {model.hash}, but {expected} was sent; {remedy}")
    return model

"""Texts in a Dataset of Ray are classified where they are.

Needs ``pip install 'birnn[ray]'``, and birnn on every node.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from birnn.errors import ArgumentError
from birnn.model import Model

if TYPE_CHECKING:
    from ray.data import Dataset

    from birnn._columns import OnError, Scorer

__all__ = ["score"]


def score(
    dataset: Dataset,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    text: str = "text",
    scores: bool = False,
    truncated: bool = False,
    prefix: str = "",
    on_error: OnError = "fail",
    threads: int = 1,
) -> Dataset:
    """The Dataset with the columns ``label`` and ``score``, by ``map_batches``.

    Nothing runs before the result is used, unless Ray does not know the columns of ``dataset`` yet: then it finds them out
    from the first rows. Each block is scored by a task of its own. The model is put into the object store once and loaded once
    in each worker process.

    ``model`` is a :class:`birnn.Model`, the folder of a model or of a run, or ``None`` for the one that is part of birnn.

    ``text`` is the column with the texts: strings, or bytes in UTF-8.

    Added columns: ``label`` (string; of a model for several labels a text, a list of strings), ``score`` (float32), which is
    the probability of that class (of several labels, the highest of all classes); with ``scores`` a column ``score_CLASS``
    with the probability of each class; with ``truncated`` a column ``truncated``, whether only a part of the text was read.
    ``prefix`` is put before the names of added columns.

    ``on_error``: a row without a text (null), or with one that cannot be read, is an error by default, which ends the job.
    With ``"null"`` its predictions are null, and a column ``error`` says why; it is null in the other rows.

    ``threads`` is the number of threads that compute in each task, which reserves as many CPUs.

    Raises :class:`birnn.ArgumentError` before any task runs for a column that is not there, has another type, or has the name
    of an added one. In tasks: :class:`birnn.DataError` for rows that cannot be read and :class:`birnn.ModelError` if the model
    that arrives is not the one that was sent; Ray reports both as errors of the task and does not repeat it.

    A task that is repeated because a worker was lost gives the same rows with the same bytes.
    """
    try:
        import pyarrow as pa
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(f"birnn.ray needs ray[data] and pyarrow ({error}): pip install 'birnn[ray]'") from error
    from birnn._columns import Scorer, is_text, is_text_of_pandas

    if not isinstance(dataset, ray.data.Dataset):
        raise ArgumentError(f"dataset: {type(dataset).__name__}, but a Dataset of Ray is needed")
    scorer = Scorer(
        model, text=text, scores=scores, truncated=truncated, prefix=prefix, on_error=on_error, threads=threads
    )
    schema = dataset.schema()
    # An empty dataset may have none.
    if schema is not None:
        scorer.check(schema.names)
        kind = schema.base_schema.types[schema.names.index(scorer.text)]
        if not (is_text(kind) if isinstance(kind, pa.DataType) else is_text_of_pandas(kind)):
            raise scorer.refuse_type(kind)
    shipped = ray.put(dict(scorer.files))
    # Whole blocks, which the function divides itself: with a size Ray would join small ones, and use fewer workers.
    blocks: Any = dataset
    scored: Dataset = blocks.map_batches(
        _score,
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs={"scorer": scorer, "shipped": shipped},
        num_cpus=threads,
    )
    return scored


def _score(block: Any, *, scorer: Scorer, shipped: Any) -> Iterator[Any]:
    import pyarrow as pa
    import ray

    scorer.check(block.schema.names)
    for batch in scorer.batches(block.to_batches(), lambda: ray.get(shipped)):
        yield pa.Table.from_batches([batch])

"""Texts in a DataFrame of Dask are classified where they are.

Needs ``pip install 'birnn[dask]'``, and birnn on every node.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from birnn.errors import ArgumentError
from birnn.model import Model

if TYPE_CHECKING:
    from dask.dataframe import DataFrame

    from birnn._columns import OnError, Scorer

__all__ = ["score"]


def score(
    dataframe: DataFrame,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    text: str = "text",
    scores: bool = False,
    truncated: bool = False,
    prefix: str = "",
    on_error: OnError = "fail",
    threads: int = 1,
) -> DataFrame:
    """The DataFrame with the columns ``label`` and ``score``, by ``map_partitions``.

    Nothing runs before the result is computed. Its partitions, divisions and index are those of ``dataframe``. If there is a
    client of a distributed cluster, the model is sent to each worker once (``scatter``); otherwise it is part of the graph. It
    is loaded once in each process.

    ``model`` is a :class:`birnn.Model`, the folder of a model or of a run, or ``None`` for the one that is part of birnn.

    ``text`` is the column with the texts: strings, bytes in UTF-8, or categories of them.

    Added columns: ``label`` (``string[pyarrow]``; of a model for several labels a text, lists of strings of Arrow), ``score``
    (float32), which is the probability of that class (of several labels, the highest of all classes); with ``scores`` a column
    ``score_CLASS`` with the probability of each class; with ``truncated`` a column ``truncated`` (``boolean``), whether only a
    part of the text was read. ``prefix`` is put before the names of added columns.

    ``on_error``: a row without a text (missing), or with one that cannot be read, is an error by default, which ends the job.
    With ``"null"`` its predictions are missing (NaN in columns of numbers), and a column ``error`` says why; it is missing in
    the other rows.

    ``threads`` is the number of threads that compute in each task; with more than 1, start workers with fewer threads.

    Raises :class:`birnn.ArgumentError` before any task runs for a column that is not there, has another type, or has the name
    of an added one. In tasks: :class:`birnn.DataError` for rows that cannot be read and :class:`birnn.ModelError` if the model
    that arrives is not the one that was sent; Dask does not repeat a task that raises.

    A task that is repeated because a worker was lost gives the same rows with the same bytes. If all workers are lost that
    have the model, the result cannot be computed any more; nor can it by another scheduler than the cluster that the model was
    sent to. In both cases, call this again.
    """
    try:
        import dask.dataframe
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"birnn.dask needs dask[dataframe] and pyarrow ({error}): pip install 'birnn[dask]'"
        ) from error
    from birnn._columns import Scorer, is_text_of_pandas

    if not isinstance(dataframe, dask.dataframe.DataFrame):
        raise ArgumentError(
            f"dataframe: {type(dataframe).__name__}, but a DataFrame of Dask is needed, as of dask.dataframe.from_pandas"
        )
    scorer = Scorer(
        model, text=text, scores=scores, truncated=truncated, prefix=prefix, on_error=on_error, threads=threads
    )
    empty: Any = dataframe._meta
    scorer.check(list(empty.columns))
    kind = empty[scorer.text].dtype
    if not is_text_of_pandas(kind):
        raise scorer.refuse_type(kind)
    added = _series(scorer.column(empty[scorer.text].iloc[:0]), empty.index[:0])
    frame: Any = dataframe
    scored: DataFrame = frame.map_partitions(
        _score, scorer, _shipped(scorer), meta=empty.assign(**added), align_dataframes=False
    )
    return scored


def _shipped(scorer: Scorer) -> Any:
    """The files of the model: on the workers, or as a part of the graph."""
    import dask

    try:
        from distributed import get_client

        client: Any = get_client()
        # Data are sent only to workers that there are.
        if not client.asynchronous and client.nthreads():
            # Each time under a new name: one that was just released could be forgotten after it was sent again.
            return client.scatter([dict(scorer.files)], broadcast=True, hash=False)[0]
    except (ImportError, ValueError):
        pass
    whole: Any = dask
    return whole.delayed(dict(scorer.files), name=f"birnn-model-{scorer.hash}", traverse=False)


def _score(frame: Any, scorer: Scorer, shipped: Mapping[str, bytes]) -> Any:
    # The columns that there are stay where they are.
    scored = frame.copy(deep=False)
    for name, column in _series(scorer.column(frame[scorer.text], lambda: shipped), frame.index).items():
        scored[name] = column
    return scored


def _series(columns: dict[str, Any], index: Any) -> dict[str, Any]:
    """Columns of Arrow as those of pandas."""
    import pandas as pd
    import pyarrow as pa

    def values(column: Any) -> Any:
        if pa.types.is_floating(column.type):
            return column.to_numpy()
        if pa.types.is_string(column.type):
            return pd.StringDtype("pyarrow").__from_arrow__(column)
        if pa.types.is_boolean(column.type):
            return pd.BooleanDtype().__from_arrow__(column)
        return pd.ArrowDtype(column.type).__from_arrow__(column)

    return {name: pd.Series(values(column), index=index) for name, column in columns.items()}

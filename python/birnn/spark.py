"""Texts in a DataFrame of Spark are classified where they are.

Needs Spark 4: ``pip install 'birnn[spark]'``, and birnn on every node.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from birnn.errors import ArgumentError
from birnn.model import Model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from birnn._columns import Fetch, OnError, Scorer

__all__ = ["score"]


def score(
    df: DataFrame,
    model: Model | str | os.PathLike[str] | None = None,
    *,
    text: str = "text",
    scores: bool = False,
    truncated: bool = False,
    prefix: str = "",
    on_error: OnError = "fail",
    threads: int = 1,
) -> DataFrame:
    """The DataFrame with the columns ``label`` and ``score``, by ``mapInArrow``.

    Nothing runs before an action on the result, whose schema is known before. Its partitions are those of ``df``, with the
    rows in the same order. The model is sent to each executor once, as a broadcast variable, and loaded once in each Python
    worker. With Spark Connect, which has no broadcast variables, it is part of the function that is sent with the plan.

    ``model`` is a :class:`birnn.Model`, the folder of a model or of a run, or ``None`` for the one that is part of birnn.

    ``text`` is the column with the texts: strings, or bytes in UTF-8.

    Added columns: ``label`` (string; of a model for several labels a text, an array of strings), ``score`` (float), which is
    the probability of that class (of several labels, the highest of all classes); with ``scores`` a column ``score_CLASS``
    with the probability of each class; with ``truncated`` a column ``truncated``, whether only a part of the text was read.
    ``prefix`` is put before the names of added columns.

    ``on_error``: a row without a text (null), or with one that cannot be read, is an error by default, which ends the job.
    With ``"null"`` its predictions are null, and a column ``error`` says why; it is null in the other rows.

    ``threads`` is the number of threads that compute in each task; with more than 1, set ``spark.task.cpus`` to it.

    Raises :class:`birnn.ArgumentError` before any job runs for a column that is not there, has another type, or has the name
    of an added one. In tasks: :class:`birnn.DataError` for rows that cannot be read and :class:`birnn.ModelError` if the model
    that arrives is not the one that was sent; Spark reports both as ``PythonException``, after it has tried the task
    ``spark.task.maxFailures`` times.

    A task that is repeated, because a worker was lost or for any other reason, gives the same rows with the same bytes.
    """
    try:
        # Spark itself needs pandas for `mapInArrow`.
        import pandas  # noqa: F401
        import pyarrow as pa
        import pyspark
        from pyspark.sql import types
    except ImportError as error:
        raise ImportError(
            f"birnn.spark needs pyspark, pandas and pyarrow ({error}): pip install 'birnn[spark]'"
        ) from error
    if int(pyspark.__version__.split(".")[0]) < 4:
        raise ImportError(
            f"birnn.spark needs Spark 4, but pyspark is {pyspark.__version__}: pip install --upgrade 'birnn[spark]'"
        )
    from pyspark.sql import DataFrame as Frame

    from birnn._columns import Scorer

    if not isinstance(df, Frame):
        raise ArgumentError(f"df: {type(df).__name__}, but a DataFrame of Spark is needed")
    scorer = Scorer(
        model, text=text, scores=scores, truncated=truncated, prefix=prefix, on_error=on_error, threads=threads
    )
    session = df.sparkSession
    case_sensitive = str(session.conf.get("spark.sql.caseSensitive", "false")).lower() == "true"
    scorer.check(df.columns, ignore_case=not case_sensitive)
    kind = df.schema[scorer.text].dataType
    strings = (types.StringType, types.CharType, types.VarcharType, types.BinaryType, types.NullType)
    if not isinstance(kind, strings):
        raise scorer.refuse_type(kind.simpleString())
    of_arrow = {
        pa.string(): types.StringType(),
        pa.float32(): types.FloatType(),
        pa.bool_(): types.BooleanType(),
        pa.list_(pa.string()): types.ArrayType(types.StringType()),
    }
    added = [types.StructField(name, of_arrow[kind]) for name, kind in scorer.added.items()]
    schema = types.StructType([*df.schema.fields, *added])
    return df.mapInArrow(_task(scorer, _shipped(session, dict(scorer.files))), schema)


def _shipped(session: Any, files: dict[str, bytes]) -> Fetch:
    """What gives the files of the model in a task."""
    if type(session).__module__.startswith("pyspark.sql.connect"):
        return lambda: files
    broadcast = session.sparkContext.broadcast(files)
    return lambda: broadcast.value


def _task(scorer: Scorer, fetch: Fetch) -> Any:
    def birnn_score(batches: Iterator[Any]) -> Iterator[Any]:
        return scorer.batches(batches, fetch)

    return birnn_score

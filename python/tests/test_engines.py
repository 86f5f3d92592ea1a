"""Texts that lie in Spark, Ray and Dask: on clusters of several processes on this machine.

``BIRNN_ENGINE_ROWS`` is the number of rows, 2,000 by default; with 100,000 all numbers of partitions from 1 to 8 are tried.
"""
# Functions of Dask and Ray have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import inspect
import json
import logging
import os
import pickle
import random
import runpy
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import birnn
import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="needs pyarrow: pip install 'birnn[spark]'")

import birnn.dask  # noqa: E402
import birnn.ray  # noqa: E402
import birnn.spark  # noqa: E402
import pyarrow.parquet  # noqa: E402
from birnn import _columns  # noqa: E402
from birnn._columns import Scorer  # noqa: E402
from conftest import ROOT, SMALL  # noqa: E402

PACKAGE = str(Path(birnn.__file__).resolve().parents[1])
ROWS = int(os.environ.get("BIRNN_ENGINE_ROWS", 2000))
PARTITIONS = [1, 8] if ROWS < 10_000 else range(1, 9)
#: As many rows more may not take more memory than this.
FEW, MANY, BOUND_MB = 2_000, 24_000, 20
MODULES = [birnn.spark, birnn.ray, birnn.dask]


def sentences(rows: int) -> list[str]:
    """Short texts, and some unusual ones among them."""
    draw = random.Random(20).choice
    subjects = ["the film", "this soup", "our guide", "the second act", "their phone", "the hotel", "her voice"]
    verbs = ["was", "felt", "seemed", "looked", "turned out"]
    degrees = ["", "not", "never", "rather", "really", "hardly", "far too", "surprisingly"]
    words = ["warm", "dull", "witty", "broken", "lovely", "slow", "bright", "sad", "worth it", "a waste of money"]
    ends = [".", "!", "...", " at all.", ", and I would go again.", ", so we left early.", " 🙂", " - meh"]
    unusual = {5: "", 6: "   ", 7: "🎬🎬🎬", 8: "Zwei Stunden zurück, bitte", 9: "word " * 2000, 10: "a\x00b\r\nc"}
    unusual[11] = "x" * 50_000

    def sentence() -> str:
        return " ".join(f"{draw(subjects)} {draw(verbs)} {draw(degrees)} {draw(words)}".split()) + draw(ends)

    return [unusual[row] if row in unusual else sentence() for row in range(rows)]


def quiet(call: Callable[[], Any]) -> Any:
    """What a call returns, without warnings of unknown words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", birnn.BirnnWarning)
        return call()


@pytest.fixture(scope="module")
def table() -> Any:
    """Rows with a number, a text, and nested columns beside it."""
    texts = sentences(ROWS)
    place = [{"page": row % 7, "tags": ["a"] * (row % 3)} for row in range(ROWS)]
    return pa.table({"id": pa.array(range(ROWS), pa.int64()), "text": texts, "place": place})


@pytest.fixture(scope="module")
def expected(table: Any) -> Any:
    """The probabilities of all texts at once."""
    return quiet(lambda: birnn.load().predict_proba(table["text"]))


def check(found: Any, expected: Any, names: tuple[str, str] = ("negative", "positive"), prefix: str = "") -> None:
    """No row is lost or there twice, and all bytes are those of the probabilities at once."""
    found = found.sort_by("id")
    assert found["id"].to_pylist() == list(range(len(expected)))
    classes = expected.argmax(axis=1)
    assert found[f"{prefix}label"].to_pylist() == [names[row] for row in classes]
    score = expected.max(axis=1)
    for name, column in [("score", score), *((f"score_{name}", expected[:, at]) for at, name in enumerate(names))]:
        values = found[prefix + name].to_numpy()
        assert values.dtype == np.float32
        assert values.tobytes() == column.tobytes()


class Other(birnn.Model):
    """A model that has another hash than its files."""

    @property
    def hash(self) -> str:
        return "0" * 64


# The core, without an engine.


def invalid(kind: Any, *items: bytes | None) -> Any:
    """A column of strings that are not checked, as others may write them."""
    binary = pa.array(items, {"string": pa.binary(), "large_string": pa.large_binary()}[str(kind)])
    return binary.view(kind)


def test_a_row_has_the_same_bytes_in_every_batch(table: Any, expected: Any) -> None:
    scorer = Scorer(scores=True)
    for size in (1, 7, 500):
        part = table.slice(0, 1000)
        batches = [batch for batch in scorer.batches(part.to_batches(max_chunksize=size))]
        check(pa.Table.from_batches(batches), expected[:1000])
    check(scorer.table(table), expected)


def test_scores_are_those_of_the_command_line(table: Any, expected: Any, binary: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.parquet"
    pyarrow.parquet.write_table(table.select(["id", "text"]), file)
    run = subprocess.run([binary, "predict", "--json", "--file", file], capture_output=True, check=True)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["id"] for row in rows] == list(range(ROWS))
    for at, name in enumerate(("negative", "positive")):
        printed = np.array([row[f"score_{name}"] for row in rows], dtype=np.float32)
        assert printed.tobytes() == expected[:, at].tobytes()
    scored = Scorer(truncated=True).table(table)
    assert [row["label"] for row in rows] == scored["label"].to_pylist()
    assert [row["truncated"] for row in rows] == scored["truncated"].to_pylist()
    assert np.array([row["score"] for row in rows], dtype=np.float32).tobytes() == scored["score"].to_numpy().tobytes()


@pytest.mark.parametrize(
    "kind", ["string", "large_string", "string_view", "binary", "large_binary", "binary_view", "dictionary", "chunked"]
)
def test_types_of_a_column(kind: str) -> None:
    texts = ["a good film", None, "", "bad 🙂", "a good film"]
    as_bytes = [None if text is None else text.encode() for text in texts]
    if kind == "dictionary":
        column = pa.array(texts).dictionary_encode()
    elif kind == "chunked":
        column = pa.chunked_array([texts[:2], texts[2:]])
    else:
        of = getattr(pa, kind)()
        column = pa.array(as_bytes if "binary" in kind else texts, of)
    found = Scorer(on_error="null").table(pa.table({"text": column}))
    assert found["text"].combine_chunks().equals(pa.table({"text": column})["text"].combine_chunks())
    proba = quiet(lambda: birnn.load().predict_proba([text for text in texts if text is not None]))
    assert found["score"].drop_null().to_numpy().tobytes() == proba.max(axis=1).tobytes()
    assert found["error"].to_pylist() == [None, "there is no text", None, None, None]
    assert found["label"].null_count == found["score"].null_count == 1


def test_only_the_rows_that_cannot_be_read_are_null() -> None:
    good = birnn.load().predict_proba(["good"]).max()
    for kind in (pa.string(), pa.large_string()):
        column = invalid(kind, b"not here", b"good", b"go\xffod", None, b"good").slice(1)
        found = Scorer(on_error="null").table(pa.table({"text": column}))
        assert found["label"].to_pylist() == ["positive", None, None, "positive"]
        assert found["score"].to_pylist() == [good, None, None, good]
        assert found["error"].to_pylist() == [
            None,
            "not UTF-8 at byte 2: invalid start byte",
            "there is no text",
            None,
        ]
        with pytest.raises(birnn.DataError, match=r"column 'text': 2 of the 4 rows .*1: not UTF-8.*on_error=\"null\""):
            Scorer().table(pa.table({"text": column}))


def test_items_of_pandas() -> None:
    pd = pytest.importorskip("pandas", reason="needs pandas")
    items = ["good", b"good", None, float("nan"), pd.NA, b"\xff", "\ud800", 3, ["good"], np.ones(2)]
    found = Scorer(on_error="null").column(pd.Series(items, dtype=object))
    errors = found["error"].to_pylist()
    assert errors[:2] == [None, None] and errors[2:5] == ["there is no text"] * 3
    assert errors[5:8] == ["not UTF-8 at byte 0: invalid start byte", "a surrogate alone at character 0", "int is not a text"]
    assert errors[8:] == ["list is not a text", "ndarray is not a text"]
    assert found["label"].to_pylist() == ["positive", "positive", *[None] * 8]
    for dtype in ("object", "string", "category"):
        found = Scorer(on_error="null").column(pd.Series(["good", None], dtype=dtype))
        assert found["label"].to_pylist() == ["positive", None]


class Fails:
    """A model that cannot predict some texts."""

    def __init__(self, error: BaseException) -> None:
        self.native, self.error, self.calls = birnn.load()._native, error, 0

    def classify(self, texts: Any, allow_missing: bool, threads: int | None) -> Any:
        self.calls += 1
        if any(text is not None and "trap" in text for text in texts.to_pylist()):
            raise self.error
        return self.native.classify(texts, allow_missing, threads)


def with_native(monkeypatch: pytest.MonkeyPatch, scorer: Scorer, native: Any) -> None:
    monkeypatch.setitem(_columns._models, scorer.hash, birnn.Model(birnn.load()._native))
    monkeypatch.setattr(_columns._models[scorer.hash], "_native", native)


def test_a_text_at_which_prediction_fails(
    table: Any, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = table["text"].to_pylist()[:1000]
    texts[17] = texts[18] = texts[901] = "a trap"
    rows = pa.table({"text": texts})
    scorer = Scorer(on_error="null", scores=True)
    native = Fails(birnn.DataError("too hot"))
    with_native(monkeypatch, scorer, native)
    found = scorer.table(rows)
    assert [row for row, error in enumerate(found["error"].to_pylist()) if error == "too hot"] == [17, 18, 901]
    kept = np.setdiff1d(np.arange(1000), [17, 18, 901])
    assert found["score_positive"].take(pa.array(kept)).to_numpy().tobytes() == expected[kept, 1].tobytes()
    assert native.calls < 60
    with pytest.raises(birnn.DataError, match=r"3 of the 1,000 rows of a batch cannot be classified \(3: too hot\)"):
        Scorer().table(rows)


def test_what_is_not_the_fault_of_a_text_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(on_error="null")
    with_native(monkeypatch, scorer, Fails(RuntimeError("cannot start threads")))
    with pytest.raises(RuntimeError, match="cannot start threads"):
        scorer.table(pa.table({"text": ["a trap"]}))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model for several labels a text."""
    words = {"sport": "football", "money": "prices", "art": "paintings"}
    lines = []
    for row in range(80):
        own = [label for bit, label in enumerate(words) if row >> bit & 1]
        text = f"story {row // 8} is about {' and '.join(words[label] for label in own)} today"
        lines.append(json.dumps({"text": text, "label": own}))
    folder = tmp_path_factory.mktemp("several")
    file = folder / "rows.jsonl"
    file.write_text("\n".join(lines))
    settings: Any = {**SMALL, "epochs": 30, "learning_rate": 0.03, "batch_size": 8, "output": "sigmoid"}
    quiet(lambda: birnn.train(file, out=folder / "run", progress=False, **settings))
    return folder / "run"


#: The third has no text.
STORIES = [
    "story 3 is about football and prices today",
    "story 3 is about  today",
    None,
    "story 1 is about paintings today",
]


def check_several(found: Any, several: Path) -> None:
    model = birnn.load(several)
    predicted = quiet(lambda: model.predict(STORIES, missing="null")).tolist()
    assert predicted[2] is None and any(len(labels) > 1 for labels in predicted if labels is not None)
    assert found["label"].to_pylist() == predicted
    proba = quiet(lambda: model.predict_proba([text for text in STORIES if text is not None]))
    scores = found["score"].take(pa.array([0, 1, 3])).to_numpy()
    assert scores.tobytes() == proba.max(axis=1).tobytes()


def test_several_labels(several: Path) -> None:
    found = Scorer(several, scores=True, on_error="null").table(pa.table({"text": STORIES}))
    assert found["label"].type == pa.list_(pa.string())
    assert found["score"].to_pylist()[2] is None
    check_several(found, several)


def test_arguments() -> None:
    for arguments, message in [
        ({"on_error": "skip"}, 'on_error: \'skip\', but there are "fail" and "null"'),
        ({"threads": 0}, "threads: 0"),
        ({"threads": True}, "threads: True"),
        ({"text": 3}, "text: 3"),
        ({"prefix": None}, "prefix: None"),
        ({"model": 3}, "model: int"),
    ]:
        with pytest.raises(birnn.ArgumentError, match=message):
            Scorer(**arguments)  # type: ignore[arg-type]
    with pytest.raises(birnn.BirnnError, match="no-such-model"):
        Scorer("no-such-model")
    scorer = Scorer(text="Text")
    with pytest.raises(birnn.ArgumentError, match="there is no column 'Text': the columns are id, text; name the one"):
        scorer.check(["id", "text"])
    scorer.check(["id", "text"], ignore_case=True)
    assert scorer.text == "text"
    with pytest.raises(birnn.ArgumentError, match="2 columns are called 'text': rename or drop all but one"):
        Scorer().check(["text", "text"])
    with pytest.raises(birnn.ArgumentError, match="column 'LABEL' is there already, and the column 'label' is added"):
        Scorer().check(["text", "LABEL"], ignore_case=True)
    Scorer().check(["text", "LABEL"])
    Scorer(prefix="predicted_").check(["text", "label", "score"])


def test_the_model_is_fetched_once_and_checked() -> None:
    scorer = Scorer()
    files = scorer.files
    calls: list[int] = []

    def fetch() -> Any:
        calls.append(1)
        return files

    there = pickle.loads(pickle.dumps(scorer))
    assert len(pickle.dumps(scorer)) < 2000
    rows = pa.table({"text": ["good"] * 3})
    _columns._models.clear()
    with pytest.raises(birnn.BirnnError, match="were not given to the task"):
        there.table(rows)
    with pytest.raises(birnn.ModelError, match=r"arrived cannot be read \(from bytes/config.json: [^;]*\); it was changed or"):
        there.table(rows, lambda: {**files, "config.json": files["config.json"] + b"\n"})
    threads = [threading.Thread(target=there.table, args=(rows, fetch)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]
    there.version = "0.0.1"
    with pytest.raises(birnn.BirnnError, match="written with 0.0.1: install the same version on all nodes"):
        there.table(rows)


def test_signatures_are_the_same() -> None:
    first, *others = [inspect.signature(module.score) for module in MODULES]
    for other in others:
        assert list(first.parameters.values())[1:] == list(other.parameters.values())[1:]
    assert list(inspect.signature(Scorer).parameters.values()) == list(first.parameters.values())[1:]


@pytest.mark.parametrize("module, engine", [(birnn.spark, "pyspark"), (birnn.ray, "ray"), (birnn.dask, "dask.dataframe")])
def test_an_engine_that_is_not_installed(module: Any, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, engine, None)
    extra = module.__name__.split(".")[1]
    with pytest.raises(ImportError, match=rf"birnn\.{extra} needs .*: pip install 'birnn\[{extra}\]'"):
        module.score(None)


def test_modules_import_no_engine() -> None:
    code = (
        "import sys, birnn.spark, birnn.ray, birnn.dask\n"
        "print([name for name in ('pyspark', 'ray', 'dask', 'distributed', 'pyarrow') if name in sys.modules])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert run.stdout == "[]\n"


# Clusters.


def environment() -> dict[str, str]:
    paths = [PACKAGE, str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


class Growth:
    """By how much the memory of this process, without what it shares, grows at most: a thread looks every 2 ms."""

    def __enter__(self) -> Growth:
        self.highest = self.first = self.now()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.ended.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.ended.wait(0.002):
            self.look()

    def look(self) -> float:
        self.highest = max(self.highest, self.now())
        return self.highest - self.first

    @staticmethod
    def now() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc: Linux alone has it")


class Engine:
    """What holds for each engine. A subclass says how its data are made and read."""

    module: Any
    #: How a worker that raises ends the job.
    failure: type[Exception] | tuple[type[Exception], ...] = Exception

    def make(self, table: Any, partitions: int) -> Any:
        raise NotImplementedError

    def collect(self, data: Any) -> Any:
        raise NotImplementedError

    def run(self, table: Any, partitions: int = 2, **arguments: Any) -> Any:
        return self.collect(self.module.score(self.make(table, partitions), **arguments))

    @pytest.mark.parametrize("partitions", PARTITIONS)
    def test_same_bytes_for_all_partitions(self, table: Any, expected: Any, partitions: int) -> None:
        found = self.run(table, partitions, scores=True)
        check(found, expected)
        places = found.sort_by("id")["place"].to_pylist()
        assert places is not None and len(places) == ROWS

    def test_a_lazy_result_is_used_twice(self, table: Any, expected: Any) -> None:
        scored = self.module.score(self.make(table, 2), birnn.load(), scores=True, prefix="p_")
        for _ in range(2):
            check(self.collect(scored), expected, prefix="p_")

    def test_columns_that_are_there(self, table: Any, expected: Any) -> None:
        small = table.slice(0, 20).append_column("label", pa.array(["mine"] * 20))
        with pytest.raises(birnn.ArgumentError, match="column 'label' is there already"):
            self.module.score(self.make(small, 2))
        found = self.run(small, prefix="predicted_", scores=True)
        check(found, expected[:20], prefix="predicted_")
        assert found["label"].to_pylist() == ["mine"] * 20

    def test_errors_before_any_job(self, table: Any) -> None:
        data = self.make(table.slice(0, 20), 2)
        with pytest.raises(birnn.ArgumentError, match="there is no column 'review': the columns are id, text, place"):
            self.module.score(data, text="review")
        with pytest.raises(birnn.ArgumentError, match="column 'id': its type is (bigint|int64), but texts are strings"):
            self.module.score(data, text="id")
        with pytest.raises(birnn.ArgumentError, match="list, but a (DataFrame|Dataset) of"):
            self.module.score([])
        with pytest.raises(birnn.ArgumentError, match="on_error"):
            self.module.score(data, on_error="ignore")

    def test_rows_without_a_text(self, table: Any, expected: Any) -> None:
        missing = {3, 40, 41, 99}
        texts = [None if row in missing else text for row, text in enumerate(table["text"].to_pylist()[:100])]
        rows = pa.table({"id": pa.array(range(100)), "text": pa.array(texts, pa.string())})
        found = self.run(rows, 3, on_error="null").sort_by("id")
        errors = found["error"].to_pylist()
        labels = found["label"].to_pylist()
        scores = found["score"].to_pylist()
        for row in range(100):
            if row in missing:
                assert errors[row] == "there is no text" and labels[row] is None
                assert scores[row] is None or np.isnan(scores[row])
            else:
                assert errors[row] is None and labels[row] is not None
                assert np.float32(scores[row]) == expected[row].max()
        with pytest.raises(self.failure, match="rows of a batch cannot be classified .*: there is no text.* on_error="):
            self.run(rows, 1)

    def test_bytes(self) -> None:
        rows = pa.table({"id": [0, 1, 2], "text": [b"good", b"\xff\xfe", "böse".encode()]})
        found = self.run(rows, 1, on_error="null").sort_by("id")
        assert found["label"].to_pylist()[0] == "positive"
        assert found["error"].to_pylist() == [None, "not UTF-8 at byte 0: invalid start byte", None]

    def test_several_labels(self, several: Path) -> None:
        rows = pa.table({"id": [0, 1, 2, 3], "text": STORIES})
        check_several(self.run(rows, model=several, on_error="null").sort_by("id"), several)

    def example(self, arguments: list[str]) -> None:
        """Runs the example on the cluster of these tests."""
        raise NotImplementedError

    def test_the_example(self, table: Any, expected: Any, tmp_path: Path) -> None:
        if not (ROOT / "examples" / "spark_score.py").exists():
            pytest.skip(f"there are no examples in {ROOT}")
        source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
        pyarrow.parquet.write_table(table, source)
        self.example(["--input", str(source), "--output", str(target), "--scores"])
        check(pyarrow.parquet.read_table(target), expected)

    def test_a_model_that_is_not_the_one_that_was_sent(self, table: Any) -> None:
        with pytest.raises(self.failure, match="the model that arrived has the hash [0-9a-f]{64}, but 0{64} was sent"):
            self.run(table.slice(0, 20), model=Other(birnn.load()._native))


def run_example(name: str, *arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")


def spark_is_missing() -> str | None:
    try:
        import pyspark  # noqa: F401
    except ImportError:
        return "pyspark is not installed: pip install 'birnn[spark]'"
    java = os.environ.get("JAVA_HOME")
    if shutil.which("java") is None and not (java and Path(java, "bin", "java").exists()):
        return "there is no Java, which Spark needs: install a JDK 17 or 21"
    return None


def kill_scoring_siblings(marker: str) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """Kills the other Python workers of the executor once, those which have loaded birnn; adds the number of the attempt."""

    def task(batches: Iterator[Any]) -> Iterator[Any]:
        import signal

        import pyarrow as pa
        from pyspark import TaskContext

        def is_scoring(process: Path) -> bool:
            try:
                status = (process / "stat").read_text().rsplit(")", 1)[1].split()
                same = int(status[1]) == os.getppid() and int(process.name) != os.getpid()
                return same and "_native." in (process / "maps").read_text()
            except OSError:
                return False

        context: Any = TaskContext.get()
        for batch in batches:
            if not os.path.exists(marker):
                found = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and is_scoring(entry)]
                if found:
                    Path(marker).write_text("killed")
                    for process in found:
                        os.kill(int(process.name), signal.SIGKILL)
            attempt = pa.array([context.attemptNumber()] * batch.num_rows, pa.int32())
            names = [*batch.schema.names, "attempt"]
            yield pa.RecordBatch.from_arrays([*batch.columns, attempt], names=names)

    return task


@pytest.fixture(scope="class")
def spark(request: Any) -> Iterator[None]:
    """Two executors, each a process with its own Python workers."""
    missing = spark_is_missing()
    if missing:
        pytest.skip(missing)
    import pyspark

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_HOME", str(Path(pyspark.__file__).parent))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        # Short jobs: compiling less is faster.
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        from pyspark.errors import PythonException
        from pyspark.sql import SparkSession

        session = (
            SparkSession.builder.master("local-cluster[2,1,1024]")
            .appName("birnn")
            .config("spark.executorEnv.PYTHONPATH", environment()["PYTHONPATH"])
            .config("spark.executor.memory", "1g")
            .config("spark.task.maxFailures", "2")
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.sql.execution.arrow.maxRecordsPerBatch", "500")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("OFF")
        context: Any = session.sparkContext
        request.cls.session, request.cls.failure = session, PythonException
        yield
        session.stop()
        # Ends Java too; a later session starts its own.
        gateway, type(context)._gateway, type(context)._jvm = context._gateway, None, None
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(60)


@pytest.mark.usefixtures("spark")
class TestSpark(Engine):
    module = birnn.spark
    session: Any

    def make(self, table: Any, partitions: int) -> Any:
        return self.session.createDataFrame(table).repartition(partitions)

    def collect(self, data: Any) -> Any:
        return data.toArrow()

    def example(self, arguments: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            # It finds the session that there is, and would stop it.
            patch.setattr(type(self.session), "stop", lambda self: None)
            run_example("spark_score.py", *arguments)

    def test_schema_and_partitions_are_known_before(self, table: Any) -> None:
        data = self.make(table.slice(0, 20), 5)
        scored = birnn.spark.score(data, scores=True, truncated=True, on_error="null")
        assert scored.schema.simpleString() == (
            data.schema.simpleString()[:-1]
            + ",label:string,score:float,score_negative:float,score_positive:float,truncated:boolean,error:string>"
        )
        assert scored.rdd.getNumPartitions() == 5
        assert scored.filter("id = 7").select("label").count() == 1

    def test_without_rows(self, table: Any) -> None:
        data = self.session.createDataFrame([], "id long, text string")
        assert birnn.spark.score(data).collect() == []
        assert birnn.spark.score(data.limit(0)).columns == ["id", "text", "label", "score"]
        few = self.make(table.slice(0, 20), 4).filter("id < 3")
        assert sorted(row.id for row in birnn.spark.score(few).collect()) == [0, 1, 2]

    def test_names_of_columns_as_spark_finds_them(self) -> None:
        data = self.session.createDataFrame([("good", 1)], "Review string, LABEL int")
        with pytest.raises(birnn.ArgumentError, match="column 'LABEL' is there already, and the column 'label'"):
            birnn.spark.score(data, text="review")
        [row] = birnn.spark.score(data, text="review", prefix="p_").collect()
        assert (row.Review, row.LABEL, row.p_label) == ("good", 1, "positive")

    def test_strings_that_are_not_utf_8(self) -> None:
        data = self.session.sql("select 'good' text union all select cast(unhex('61FF') as string)")
        rows = birnn.spark.score(data, on_error="null").select("label", "error").collect()
        assert sorted(tuple(row) for row in rows if row.error is None) == [("positive", None)]
        assert [row.error for row in rows if row.error] == ["not UTF-8 at byte 1: invalid start byte"]

    def test_connect(self, table: Any, expected: Any, tmp_path: Path) -> None:
        for module in ("grpc", "grpc_status", "zstandard"):
            pytest.importorskip(module, reason="Spark Connect is not installed: pip install 'pyspark[connect]'")
        source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
        pyarrow.parquet.write_table(table, source)
        code = (
            "import sys, birnn.spark\n"
            "from pyspark.sql import SparkSession\n"
            "spark = SparkSession.builder.remote('local[2]').getOrCreate()\n"
            "scored = birnn.spark.score(spark.read.parquet(sys.argv[1]).repartition(3), scores=True)\n"
            "assert 'connect' in type(scored).__module__\n"
            "scored.write.parquet(sys.argv[2])\n"
            "spark.stop()\n"
        )
        run = [sys.executable, "-c", code, str(source), str(target)]
        subprocess.run(run, check=True, env=environment(), stdin=subprocess.DEVNULL, timeout=300)
        check(pyarrow.parquet.read_table(target), expected)

    @linux
    def test_a_worker_is_killed(self, table: Any, expected: Any, tmp_path: Path) -> None:
        from pyspark.sql import functions as f
        from pyspark.sql.types import IntegerType, StructField, StructType

        # Many batches, and more than fits into the pipes between the processes.
        self.session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "100")
        data = self.make(table, 2).withColumn("filling", f.repeat(f.lit("x"), 20_000))
        scored = birnn.spark.score(data, scores=True)
        marker = str(tmp_path / "killed")
        schema = StructType([*scored.schema.fields, StructField("attempt", IntegerType())])
        found = scored.mapInArrow(kill_scoring_siblings(marker), schema).drop("filling").toArrow()
        self.session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "500")
        check(found, expected)
        assert os.path.exists(marker)
        assert set(found["attempt"].to_pylist()) & {1, 2, 3}

    @linux
    def test_memory_does_not_depend_on_the_partition(self) -> None:
        from pyspark.sql import functions as f

        scorer = Scorer()
        broadcast = self.session.sparkContext.broadcast(dict(scorer.files))

        def measured(batches: Iterator[Any]) -> Iterator[Any]:
            import pyarrow as pa

            rows = 0
            scorer.column(pa.array(["the model is loaded"]), lambda: broadcast.value)
            with Growth() as growth:
                for batch in scorer.batches(batches, lambda: broadcast.value):
                    rows += batch.num_rows
            yield pa.RecordBatch.from_arrays([pa.array([rows]), pa.array([growth.look()])], names=["rows", "mb"])

        def growth(rows: int) -> float:
            text = f.concat(f.lit("film number "), f.col("id"))
            data = self.session.range(0, rows, 1, 1).select(text.alias("text"), f.repeat(f.lit("x"), 4000).alias("filling"))
            [found] = data.mapInArrow(measured, "rows long, mb double").collect()
            assert found.rows == rows
            return float(found.mb)

        few, many = growth(FEW), growth(MANY)
        print(f"Spark: {FEW} rows {few:.1f} MB, {MANY} rows {many:.1f} MB")
        assert many - few < BOUND_MB


@pytest.fixture(scope="class")
def ray_cluster() -> Iterator[None]:
    """Two nodes, each with its own object store."""
    pytest.importorskip("ray.data", reason="Ray is not installed: pip install 'birnn[ray]'")
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        node: Any = {"num_cpus": 1, "object_store_memory": 300_000_000}
        cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **node})
        cluster.add_node(**node)
        try:
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
            ray.data.DataContext.get_current().enable_progress_bars = False
            assert len(ray.nodes()) == 2
            yield
        finally:
            ray.shutdown()
            cluster.shutdown()


@pytest.mark.usefixtures("ray_cluster")
class TestRay(Engine):
    module = birnn.ray

    def make(self, table: Any, partitions: int) -> Any:
        import ray.data

        edges = np.linspace(0, table.num_rows, partitions + 1).astype(int)
        return ray.data.from_arrow([table.slice(start, end - start) for start, end in zip(edges, edges[1:])])

    def collect(self, data: Any) -> Any:
        import ray

        return pa.concat_tables(ray.get(data.to_arrow_refs()))

    def example(self, arguments: list[str]) -> None:
        import ray

        with pytest.MonkeyPatch.context() as patch:
            # There is a cluster.
            patch.setattr(ray, "init", lambda address: None)
            patch.setattr(ray, "shutdown", lambda: None)
            run_example("ray_score.py", *arguments)

    def test_our_module_is_not_ray(self) -> None:
        import ray

        assert Path(birnn.ray.__file__).parent == Path(birnn.__file__).parent
        assert ray is not birnn.ray and hasattr(ray, "put")

    def test_without_rows(self, table: Any) -> None:
        import ray.data

        assert birnn.ray.score(ray.data.from_items([])).count() == 0
        assert birnn.ray.score(self.make(table.slice(0, 0), 1)).take_all() == []
        with pytest.raises(birnn.ArgumentError, match="there is no column 'review'"):
            birnn.ray.score(self.make(table.slice(0, 0), 1), text="review")
        few = ray.data.from_arrow([table.slice(0, 0), table.slice(0, 3), table.slice(3, 0)])
        assert sorted(row["id"] for row in birnn.ray.score(few).take_all()) == [0, 1, 2]

    def test_blocks_of_pandas(self) -> None:
        pd = pytest.importorskip("pandas", reason="needs pandas")
        import ray.data

        frame = pd.DataFrame({"text": pd.Categorical(["good", None, "bad"]), "number": [1.5, 2.5, 3.5]})
        data = ray.data.from_pandas(frame)
        found = birnn.ray.score(data, on_error="null").to_pandas()
        assert found["label"].tolist()[::2] == ["positive", "negative"]
        with pytest.raises(birnn.ArgumentError, match="column 'number': its type is float64"):
            birnn.ray.score(data, text="number")

    @linux
    def test_a_worker_is_killed(self, table: Any, expected: Any, tmp_path: Path) -> None:
        marker = str(tmp_path / "killed")

        def kill(block: Any) -> Any:
            import os
            import signal
            import sys
            from pathlib import Path

            # The task that scores does this too: Ray joins the two.
            if "birnn._columns" in sys.modules and not os.path.exists(marker):
                Path(marker).write_text("killed")
                os.kill(os.getpid(), signal.SIGKILL)
            return block

        scored = birnn.ray.score(self.make(table, 4), scores=True)
        found = self.collect(scored.map_batches(kill, batch_size=None, batch_format="pyarrow", num_cpus=1))
        check(found, expected)
        assert os.path.exists(marker)

    @linux
    def test_memory_does_not_depend_on_the_block(self) -> None:
        import ray

        scorer = Scorer()
        shipped = ray.put(dict(scorer.files))

        def measured(block: Any) -> Any:
            import pyarrow as pa

            rows = 0
            scorer.column(pa.array(["the model is loaded"]), lambda: ray.get(shipped))
            with Growth() as growth:
                for part in birnn.ray._score(block, scorer=scorer, shipped=shipped):
                    rows += part.num_rows
            return pa.table({"rows": [rows], "mb": [growth.look()]})

        def growth(rows: int) -> float:
            texts = [f"film number {row}" for row in range(rows)]
            data = self.make(pa.table({"text": texts, "filling": ["x" * 4000] * rows}), 1)
            [found] = data.map_batches(measured, batch_size=None, batch_format="pyarrow").take_all()
            assert found["rows"] == rows
            return float(found["mb"])

        few, many = growth(FEW), growth(MANY)
        print(f"Ray: {FEW} rows {few:.1f} MB, {MANY} rows {many:.1f} MB")
        assert many - few < BOUND_MB


@pytest.fixture(scope="class")
def dask_client(request: Any) -> Iterator[None]:
    """Two workers, each a process."""
    pytest.importorskip("dask.dataframe", reason="Dask is not installed: pip install 'birnn[dask]'")
    pytest.importorskip("distributed", reason="Dask's cluster is not installed: pip install 'birnn[dask]'")
    from distributed import Client, LocalCluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        with (
            LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):
            request.cls.client = client
            yield


@pytest.mark.usefixtures("dask_client")
class TestDask(Engine):
    module = birnn.dask
    client: Any

    def make(self, table: Any, partitions: int) -> Any:
        import dask.dataframe
        import pandas as pd

        # Objects would become strings, which Dask does not check.
        types = {pa.string(): pd.StringDtype("pyarrow"), pa.binary(): pd.ArrowDtype(pa.binary())}
        frame = table.to_pandas(types_mapper=types.get)
        return dask.dataframe.from_pandas(frame, npartitions=partitions)

    def collect(self, data: Any) -> Any:
        return pa.Table.from_pandas(data.compute(), preserve_index=False)

    def example(self, arguments: list[str]) -> None:
        run_example("dask_score.py", *arguments, "--scheduler", self.client.scheduler.address)

    def test_types_index_and_partitions_are_known_before(self, table: Any) -> None:
        import dask.dataframe

        frame = table.slice(0, 20).to_pandas().set_index("id", drop=False).rename_axis("key")
        data = dask.dataframe.from_pandas(frame, npartitions=4)
        for on_error in ("fail", "null"):
            scored = birnn.dask.score(data, scores=True, truncated=True, on_error=on_error)
            assert scored.npartitions == data.npartitions and scored.divisions == data.divisions
            found = scored.compute()
            assert scored.dtypes.to_dict() == found.dtypes.to_dict()
            assert list(scored.columns) == list(found.columns)
            assert found.index.equals(frame.index) and found.index.name == "key"
            assert str(found.dtypes["label"]) == "string" and found.dtypes["score"] == np.float32

    def test_without_rows(self, table: Any) -> None:
        assert len(birnn.dask.score(self.make(table.slice(0, 0), 1)).compute()) == 0
        data = self.make(table, 8)
        few = birnn.dask.score(data[data["id"] < 3]).compute()
        assert few["id"].tolist() == [0, 1, 2]

    def test_categories(self) -> None:
        import dask.dataframe
        import pandas as pd

        frame = pd.DataFrame({"text": pd.Categorical(["good", None, "bad"]), "number": pd.Categorical([1, 2, 3])})
        data = dask.dataframe.from_pandas(frame, npartitions=1)
        found = birnn.dask.score(data, on_error="null").compute()
        assert found["label"].tolist()[::2] == ["positive", "negative"] and found["label"].isna()[1]
        with pytest.raises(birnn.ArgumentError, match="column 'number': its type is category"):
            birnn.dask.score(data, text="number")

    def test_other_schedulers(self, table: Any, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        import distributed

        def compute(scored: Any, scheduler: str) -> Any:
            return pa.Table.from_pandas(scored.compute(scheduler=scheduler), preserve_index=False)

        def no_client() -> Any:
            raise ValueError("there is no client")

        monkeypatch.setattr(distributed, "get_client", no_client)
        without = birnn.dask.score(self.make(table, 3), scores=True)
        check(compute(without, "threads"), expected)
        check(compute(without, "sync"), expected)
        check(self.collect(without), expected)

    def test_objects(self) -> None:
        import dask
        import dask.dataframe
        import pandas as pd

        frame = pd.DataFrame({"text": ["good", b"good", 3, b"\xff", None]}, dtype=object)
        with dask.config.set({"dataframe.convert-string": False}):
            data = dask.dataframe.from_pandas(frame, npartitions=1)
            found = birnn.dask.score(data, on_error="null").compute()
        assert found["label"].tolist()[:2] == ["positive", "positive"]
        assert found["error"].tolist()[2:] == [
            "int is not a text",
            "not UTF-8 at byte 0: invalid start byte",
            "there is no text",
        ]

    @linux
    def test_a_worker_is_killed(self, table: Any, expected: Any, tmp_path: Path) -> None:
        marker = str(tmp_path / "killed")

        def kill(frame: Any) -> Any:
            import os
            import signal
            from pathlib import Path

            if not os.path.exists(marker):
                Path(marker).write_text("killed")
                os.kill(os.getpid(), signal.SIGKILL)
            return frame

        scored = birnn.dask.score(self.make(table, 6), scores=True)
        found = self.collect(scored.map_partitions(kill, meta=scored._meta))
        check(found, expected)
        assert os.path.exists(marker)

    @linux
    def test_memory_does_not_depend_on_the_partition(self) -> None:
        scorer = Scorer()
        files = dict(scorer.files)

        def measured(rows: int) -> float:
            import pandas as pd

            filling = pd.DataFrame(np.ones((rows, 500)))
            frame = filling.assign(text=[f"film number {row}" for row in range(rows)])
            scorer.column(pd.Series(["the model is loaded"]), lambda: files)
            with Growth() as growth:
                scored = birnn.dask._score(frame, scorer, files)
            assert len(scored) == rows
            return growth.look()

        def growth(rows: int) -> float:
            return float(self.client.submit(measured, rows, pure=False).result())

        few, many = growth(FEW), growth(MANY)
        print(f"Dask: {FEW} rows {few:.1f} MB, {MANY} rows {many:.1f} MB")
        assert many - few < BOUND_MB

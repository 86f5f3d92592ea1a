#!/usr/bin/env python3
"""What it costs to classify reviews in Spark, Ray and Dask, and how that grows with rows and workers.

    pip install 'birnn[spark]' 'birnn[ray]' 'birnn[dask]'
    python benches/engines.py                                        # all engines, 1 and 2 workers, 5,000 and 20,000 reviews
    python benches/engines.py --rows 100000 --engines dask --slots 2
    python benches/engines.py --texts reviews.parquet                # reviews of one's own, in the column text

Each job reads Parquet, scores, and writes Parquet, on a cluster of this machine whose workers have one thread each. Before
each job, `Model.predict_proba(texts, threads=1)` classifies the same reviews in this process, without reading or writing
anything. A first job on a few rows, which loads the model, is not counted. Without --texts the reviews are made of words
drawn at random, 50 to 400 for each. All figures are medians of the rounds:

    rows/s            rows of a job by its time
    plain             the same of predict_proba
    slot-hours        workers times hours for a million reviews
    overhead          time of a job times workers, by that of predict_proba, less 1
    worker            the highest resident memory of a process that has loaded birnn; Spark's Java is not in it

Needs Linux, and Java for Spark. It stops with an error if a row is lost or a probability differs.
"""
# Functions of Dask have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import argparse
import logging
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import birnn
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: The number of files that a job reads.
FILES = 8
#: What the workers inherit, so that they are found.
MARK = "BIRNN_BENCH"
WORDS = (
    "the a of and to in is it this that was as for with film story scene actor plot music hour ending camera part role "
    "good bad great poor dull warm funny sad slow bright clever empty lovely awful never not very really quite hardly "
    "i we they he she you watched liked left expected remember found felt thought could would about after before again"
).split()

Job = Callable[[Path, Path], None]


def reviews(rows: int) -> list[str]:
    draw = random.Random(1)
    return [" ".join(draw.choices(WORDS, k=draw.randint(50, 400))) + "." for _ in range(rows)]


def texts_of(file: Path, rows: int) -> list[str]:
    texts: list[str] = pq.read_table(file, columns=["text"])["text"].drop_null().to_pylist()
    if len(texts) < rows:
        sys.exit(f"{file}: it has {len(texts)} texts, but {rows} are needed: give fewer --rows")
    return texts[:rows]


def write(texts: list[str], folder: Path) -> None:
    folder.mkdir()
    edges = np.linspace(0, len(texts), FILES + 1).astype(int)
    for number, (start, end) in enumerate(zip(edges, edges[1:])):
        table = pa.table({"id": pa.array(range(start, end), pa.int64()), "text": texts[start:end]})
        pq.write_table(table, folder / f"part-{number}.parquet")


@contextmanager
def spark(slots: int) -> Iterator[Job]:
    import birnn.spark
    import pyspark

    os.environ.update(SPARK_HOME=str(Path(pyspark.__file__).parent), PYSPARK_PYTHON=sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master(f"local-cluster[{slots},1,2048]")
        .config("spark.executor.memory", "2g")
        .config("spark.executorEnv.PYTHONPATH", os.environ["PYTHONPATH"])
        .config(f"spark.executorEnv.{MARK}", os.environ[MARK])
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")

    def job(source: Path, target: Path) -> None:
        birnn.spark.score(session.read.parquet(str(source)), scores=True).write.parquet(str(target))

    context: Any = session.sparkContext
    try:
        yield job
    finally:
        session.stop()
        # Ends Java too, so that each number of workers begins with a new one.
        gateway, type(context)._gateway, type(context)._jvm = context._gateway, None, None
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait(60)


@contextmanager
def ray(slots: int) -> Iterator[Job]:
    import birnn.ray
    import ray
    import ray.data
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(slots - 1):
        cluster.add_node(num_cpus=1)

    def job(source: Path, target: Path) -> None:
        # Ray makes one block, and one task, of as few bytes as these.
        reviews = ray.data.read_parquet(str(source)).repartition(FILES)
        birnn.ray.score(reviews, scores=True).write_parquet(str(target))

    try:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield job
    finally:
        ray.shutdown()
        cluster.shutdown()


@contextmanager
def dask(slots: int) -> Iterator[Job]:
    import birnn.dask
    import dask.dataframe
    from distributed import Client, LocalCluster

    def job(source: Path, target: Path) -> None:
        # A partition for each file, as the others have it.
        frame = dask.dataframe.read_parquet(source, dtype_backend="pyarrow").repartition(npartitions=FILES)
        birnn.dask.score(frame, scores=True).to_parquet(target, write_index=False)

    with LocalCluster(n_workers=slots, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        yield job


ENGINES = {"dask": dask, "ray": ray, "spark": spark}


def highest_memory() -> float:
    """The highest resident memory in MB that a worker with birnn has had."""
    highest = 0.0
    mark = f"{MARK}={os.environ[MARK]}".encode()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            if mark in (process / "environ").read_bytes() and "_native." in (process / "maps").read_text():
                line = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmHWM"))
                highest = max(highest, int(line.split()[1]) / 1024)
        except (OSError, StopIteration):
            continue
    return highest


def compare(target: Path, expected: Any, name: str) -> None:
    table = pq.read_table(target, columns=["id", "score_positive"]).sort_by("id")
    if table["id"].to_pylist() != list(range(len(expected))):
        sys.exit(f"{name}: rows were lost, or are there twice")
    if table["score_positive"].to_numpy().astype(np.float32).tobytes() != expected[:, 1].tobytes():
        sys.exit(f"{name}: probabilities differ from those of predict_proba")


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=numbers, default=[5000, 20000], help="numbers of reviews [default: 5000,20000]")
    parser.add_argument("--slots", type=numbers, default=[1, 2], help="numbers of workers [default: 1,2]")
    parser.add_argument("--rounds", type=int, default=3, help="how often each job runs [default: 3]")
    parser.add_argument("--engines", default=",".join(ENGINES), help="[default: dask,ray,spark]")
    parser.add_argument("--texts", type=Path, help="a Parquet file with a column text, instead of drawn words")
    arguments = parser.parse_args()
    names = arguments.engines.split(",")
    if unknown := set(names) - set(ENGINES):
        parser.error(f"there is no engine {', '.join(sorted(unknown))}: there are {', '.join(ENGINES)}")

    paths = [str(Path(birnn.__file__).resolve().parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ[MARK] = uuid.uuid4().hex
    warnings.simplefilter("ignore", birnn.BirnnWarning)

    most = max(arguments.rows)
    texts = texts_of(arguments.texts, most) if arguments.texts else reviews(most)
    words = sum(len(text.split()) for text in texts) / len(texts)
    print(f"birnn {birnn.__version__}, {os.cpu_count()} processors, {words:.0f} words a review, rounds: {arguments.rounds}\n")
    model = birnn.load()
    model.predict_proba(texts[:100], threads=1)
    columns = ["engine", "workers", "rows", "start, s", "job, s", "rows/s", "plain", "slot-hours", "overhead", "worker, MB"]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        sources = {rows: Path(folder, f"rows-{rows}") for rows in {16, *arguments.rows}}
        for rows, source in sources.items():
            write(texts[:rows], source)
        number = 0
        for name in names:
            for slots in arguments.slots:
                start = time.perf_counter()
                with ENGINES[name](slots) as job:
                    job(sources[16], Path(folder, f"first-{name}-{slots}"))
                    started = time.perf_counter() - start
                    for rows in arguments.rows:
                        plain, engine = [], []
                        for _ in range(arguments.rounds):
                            number += 1
                            target = Path(folder, f"out-{number}")
                            took, expected = seconds(lambda: model.predict_proba(texts[:rows], threads=1))
                            plain.append(took)
                            engine.append(seconds(lambda: job(sources[rows], target))[0])
                            compare(target, expected, name)
                        alone, took = statistics.median(plain), statistics.median(engine)
                        print(
                            f"| {name} | {slots} | {rows:,} | {started:.1f} | {took:.2f} | {rows / took:,.0f} | {rows / alone:,.0f} "
                            f"| {slots * took / rows * 1e6 / 3600:.2f} | {100 * (slots * took / alone - 1):+.0f} % "
                            f"| {highest_memory():.0f} |",
                            flush=True,
                        )


if __name__ == "__main__":
    main()

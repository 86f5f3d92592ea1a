#!/usr/bin/env python3
"""Classifies the texts of Parquet files with Dask, and writes Parquet with the added columns.

    pip install 'birnn[dask]'
    python examples/dask_score.py --input in.parquet --output out.parquet

Without --scheduler a cluster is started on this machine, with a process for each processor. On another cluster, birnn must
be installed on every node.
"""
# Functions of Dask have no types.
# mypy: allow-untyped-calls

import argparse

import birnn.dask
import dask.dataframe
from distributed import Client, LocalCluster


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="a Parquet file or folder, at any place that Dask reads")
    parser.add_argument("--output", required=True, help="the folder to write")
    parser.add_argument("--model", help="the folder of a model on this machine [default: the one that is part of birnn]")
    parser.add_argument("--text", default="text", help="the column with the texts [default: text]")
    parser.add_argument("--scores", action="store_true", help="also write the probability of each class")
    parser.add_argument(
        "--on-error", choices=["fail", "null"], default="fail", help="what a row without a readable text does"
    )
    parser.add_argument("--scheduler", help="the address of a cluster, such as tcp://HOST:8786")
    arguments = parser.parse_args()

    cluster = arguments.scheduler or LocalCluster(threads_per_worker=1)
    with Client(cluster):
        scored = birnn.dask.score(
            # With Arrow's types, nested columns are written as they are read.
            dask.dataframe.read_parquet(arguments.input, dtype_backend="pyarrow"),
            arguments.model,
            text=arguments.text,
            scores=arguments.scores,
            on_error=arguments.on_error,
        )
        scored.to_parquet(arguments.output, write_index=False)
        written = dask.dataframe.read_parquet(arguments.output, columns=["label"], dtype_backend="pyarrow")
        print(len(written), "rows")
    if not arguments.scheduler:
        cluster.close()


if __name__ == "__main__":
    main()

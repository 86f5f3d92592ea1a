#!/usr/bin/env python3
"""Classifies the texts of Parquet files with Ray, and writes Parquet with the added columns.

    pip install 'birnn[ray]'
    python examples/ray_score.py --input in.parquet --output out.parquet

Without --address Ray is started on this machine, unless RAY_ADDRESS names a cluster. On a cluster, birnn must be installed
on every node.
"""

import argparse

import birnn.ray
import ray
import ray.data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="a Parquet file or folder, at any place that Ray reads")
    parser.add_argument("--output", required=True, help="the folder to write")
    parser.add_argument("--model", help="the folder of a model on this machine [default: the one that is part of birnn]")
    parser.add_argument("--text", default="text", help="the column with the texts [default: text]")
    parser.add_argument("--scores", action="store_true", help="also write the probability of each class")
    parser.add_argument(
        "--on-error", choices=["fail", "null"], default="fail", help="what a row without a readable text does"
    )
    parser.add_argument("--address", help="the address of a cluster, such as auto or ray://HOST:10001")
    arguments = parser.parse_args()

    ray.init(address=arguments.address)
    scored = birnn.ray.score(
        ray.data.read_parquet(arguments.input),
        arguments.model,
        text=arguments.text,
        scores=arguments.scores,
        on_error=arguments.on_error,
    )
    scored.write_parquet(arguments.output)
    print(ray.data.read_parquet(arguments.output).count(), "rows")
    ray.shutdown()


if __name__ == "__main__":
    main()

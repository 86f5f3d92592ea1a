#!/usr/bin/env python3
"""Classifies the texts of Parquet files with Spark, and writes Parquet with the added columns.

    pip install 'birnn[spark]'
    spark-submit examples/spark_score.py --input in.parquet --output out.parquet

On a cluster, birnn must be installed on every node.
"""

import argparse

import birnn.spark
from pyspark.sql import SparkSession


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="a Parquet file or folder, at any place that Spark reads")
    parser.add_argument("--output", required=True, help="the folder to write, which must not exist")
    parser.add_argument("--model", help="the folder of a model on the driver [default: the one that is part of birnn]")
    parser.add_argument("--text", default="text", help="the column with the texts [default: text]")
    parser.add_argument("--scores", action="store_true", help="also write the probability of each class")
    parser.add_argument(
        "--on-error", choices=["fail", "null"], default="fail", help="what a row without a readable text does"
    )
    arguments = parser.parse_args()

    spark = SparkSession.builder.appName("birnn").getOrCreate()
    scored = birnn.spark.score(
        spark.read.parquet(arguments.input),
        arguments.model,
        text=arguments.text,
        scores=arguments.scores,
        on_error=arguments.on_error,
    )
    scored.write.parquet(arguments.output)
    spark.read.parquet(arguments.output).groupBy("label").count().show()
    spark.stop()


if __name__ == "__main__":
    main()

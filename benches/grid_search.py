#!/usr/bin/env python3
"""GridSearchCV over settings of birnn, and over the cost of a logistic regression, on the same texts and parts.

    pip install 'birnn[sklearn]'
    python benches/grid_search.py --data train.tsv          # tab-separated, with columns text and label

A tenth of the rows is held back, and classified once by what each search has found.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings

import birnn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    arguments = parser.parse_args()
    with open(arguments.data, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    train, held_back, labels, expected = train_test_split(texts, labels, test_size=0.1, random_state=0, stratify=labels)
    warnings.simplefilter("ignore", birnn.BirnnWarning)
    linear = make_pipeline(TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)), LogisticRegression(max_iter=1000))
    for name, estimator, grid in [
        ("birnn", birnn.BiRnnClassifier(threads=1), {"learning_rate": [2e-3, 4e-3, 8e-3], "word_dropout": [0.0, 0.1]}),
        ("TF-IDF and logistic regression", linear, {"logisticregression__C": [1, 3, 10, 30, 100]}),
    ]:
        began = time.monotonic()
        search = GridSearchCV(estimator, grid, cv=3, n_jobs=2).fit(train, labels)
        print(f"{name}: {len(train):,} texts, {time.monotonic() - began:.0f} s")
        found = search.cv_results_
        for settings, mean, deviation in zip(found["params"], found["mean_test_score"], found["std_test_score"]):
            print(f"  {settings}: {100 * mean:.2f} %, deviation {100 * deviation:.2f}")
        print(f"  {search.best_params_}: {100 * search.score(held_back, expected):.2f} % of {len(held_back)} held back")


if __name__ == "__main__":
    main()

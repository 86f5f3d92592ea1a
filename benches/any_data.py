#!/usr/bin/env python3
"""Compares `birnn train` with linear models of scikit-learn, and with fastText if it is installed, on a folder of sets.

    cargo build --release
    python3 benches/collect_sets.py sets
    python3 benches/any_data.py --sets sets [--rows 200 1000 5000] [--seeds 5] [--set KEY=VALUE]

A set is a table NAME.tsv, NAME.csv or NAME.parquet with the columns label and text. For each seed its rows are shuffled;
a fifth, at most 2,000 of them, is held out, and --rows of the others are trained on (all by default). A folder NAME with
the tables train and held-out is a set too, whose held-out rows are always those. Everything is given the same rows, and
none sees the held-out ones. Each class keeps its share of both.

    words       TF-IDF of words and pairs of words, logistic regression
    characters  TF-IDF of two to five characters within words, logistic regression
    fasttext    words and pairs of words, 25 epochs, rate 0.5
    birnn       `birnn train --data FILE`, with the arguments of --set

The cost of a logistic regression is chosen from 1, 10 and 100 by cross-validation in three parts. The table has the mean
accuracy on the held-out rows in per cent and its standard error over the seeds, and how far birnn is above the best of the
others, as the mean of the differences of each seed. Results are kept in --out, one JSON object a line; what is there is
not run again.

Needs Python 3.9 or newer, scikit-learn, pandas, and pyarrow for Parquet.
"""

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

ROOT = Path(__file__).resolve().parent.parent
MOST_HELD_OUT = 2000


def read(path):
    """The texts and labels of a set."""
    if path.suffix == ".parquet":
        table = pandas.read_parquet(path)
    else:
        separator = "\t" if path.suffix == ".tsv" else ","
        # Quotes belong to the text unless the file was written with them.
        quoted = '\t"' in path.read_text(encoding="utf-8") or path.suffix == ".csv"
        quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        table = pandas.read_csv(path, sep=separator, quoting=quoting, dtype=str, keep_default_na=False)
    return [" ".join(str(text).split()) for text in table["text"]], [str(label) for label in table["label"]]


def tables(path):
    """The tables of a set: one, or those for training and for holding out."""
    if not path.is_dir():
        return [read(path)]
    return [read(table) for name in ["train", "held-out"] for table in path.glob(f"{name}.*")]


def split(tables, rows, seed):
    """Training and held-out rows."""
    texts, labels = tables[0]
    if len(tables) == 2:
        (rest, rest_labels), (test, test_labels) = tables
    else:
        counts = {label: labels.count(label) for label in set(labels)}
        kept = [row for row, label in enumerate(labels) if counts[label] >= 10]
        texts, labels = [texts[row] for row in kept], [labels[row] for row in kept]
        held_out = min(len(texts) // 5, MOST_HELD_OUT)
        rest, test, rest_labels, test_labels = train_test_split(
            texts, labels, test_size=held_out, random_state=seed, stratify=labels
        )
    if rows and rows < len(rest):
        rest, _, rest_labels, _ = train_test_split(
            rest, rest_labels, train_size=rows, random_state=seed, stratify=rest_labels
        )
    return rest, rest_labels, test, test_labels


def linear(vectorizer):
    """The accuracy of a logistic regression."""

    def accuracy(data, arguments):
        texts, labels, test, test_labels = data
        regression = OneVsRestClassifier(LogisticRegression(solver="liblinear"))
        model = make_pipeline(vectorizer(), regression)
        costs = {"onevsrestclassifier__estimator__C": [1, 10, 100]}
        parts = min(3, min(labels.count(label) for label in set(labels)))
        if parts > 1:
            model = GridSearchCV(model, costs, cv=parts, n_jobs=arguments.jobs)
        return model.fit(texts, labels).score(test, test_labels)

    return accuracy


def fasttext_accuracy(data, arguments):
    import fasttext

    texts, labels, test, test_labels = data
    names = {label: f"__label__{number}" for number, label in enumerate(sorted(set(labels)))}
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(f"{names[label]} {text.lower()}\n" for text, label in zip(texts, labels))
        file.flush()
        model = fasttext.train_supervised(
            file.name, wordNgrams=2, epoch=25, lr=0.5, thread=arguments.jobs, verbose=0
        )
    found = [label[0] for label in model.predict([text.lower() for text in test])[0]]
    return statistics.mean(names[label] == prediction for label, prediction in zip(test_labels, found))


def birnn_accuracy(data, arguments):
    texts, labels, test, test_labels = data
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in [("train", zip(labels, texts)), ("test", zip(test_labels, test))]:
            with open(f"{folder}/{name}.csv", "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("label", "text"), *rows])
        run = f"{folder}/run"
        command = [arguments.birnn, "train", "--data", f"{folder}/train.csv", "--out", run, "--seed", str(arguments.seed)]
        for override in arguments.set:
            command += ["--set", override]
        if arguments.config:
            command += ["--config", arguments.config]
        printed = subprocess.run(command, capture_output=True, text=True)
        if printed.returncode != 0:
            sys.exit(printed.stderr)
        if arguments.verbose:
            print(printed.stderr, printed.stdout, file=sys.stderr)
        command = [arguments.birnn, "eval", "--model", run, "--data", f"{folder}/test.csv", "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["accuracy"]


def words():
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)


def characters():
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)


SYSTEMS = {
    "words": linear(words),
    "characters": linear(characters),
    "fasttext": fasttext_accuracy,
    "birnn": birnn_accuracy,
}


def mean_and_error(values):
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return 100 * statistics.mean(values), 100 * error


def print_table(found, systems):
    """Prints a Markdown table of the results."""
    print("| set | rows | " + " | ".join(systems) + " | birnn above the best other |")
    print("|---" * (len(systems) + 3) + "|")
    for name, rows in dict.fromkeys((key[0], key[1]) for key in found):
        of = {}
        for (set_name, set_rows, seed, system), (accuracy, _, count) in found.items():
            if (set_name, set_rows) == (name, rows) and system in systems:
                of.setdefault(system, {})[seed] = accuracy
                trained_on = count
        cells = ["{:.1f} ± {:.1f}".format(*mean_and_error(list(of[s].values()))) if s in of else "" for s in systems]
        others = [system for system in of if system != "birnn"]
        above = ""
        if others and "birnn" in of:
            best = max(others, key=lambda system: statistics.mean(of[system].values()))
            seeds = of["birnn"].keys() & of[best].keys()
            above = "{:+.1f} ± {:.1f}".format(*mean_and_error([of["birnn"][s] - of[best][s] for s in sorted(seeds)]))
        print(f"| {name} | {trained_on} | " + " | ".join(cells) + f" | {above} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", required=True, type=Path, help="a folder of sets, or one set")
    parser.add_argument("--rows", type=int, nargs="*", default=[0], help="rows to train on; 0 for all")
    parser.add_argument("--only", nargs="*", help="names of the sets to use")
    parser.add_argument("--systems", nargs="*", default=["words", "characters", "birnn"], choices=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--birnn", default=str(ROOT / "target/release/birnn"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="passed to birnn train")
    parser.add_argument("--config", help="passed to birnn train")
    parser.add_argument("--out", default="runs/any_data.jsonl", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verbose", action="store_true", help="print what birnn train prints")
    arguments = parser.parse_args()

    csv.field_size_limit(1 << 30)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    kept = {}
    if arguments.out.exists():
        for line in arguments.out.read_text().splitlines():
            row = json.loads(line)
            kept[tuple(row["key"])] = row["accuracy"], row["seconds"], row["rows"]
    variant = " ".join([*arguments.set, arguments.config or ""])
    paths = sorted(arguments.sets.iterdir()) if arguments.sets.is_dir() else [arguments.sets]
    paths = [path for path in paths if path.is_dir() or path.suffix in {".tsv", ".csv", ".parquet"}]
    found = {}
    for path in paths:
        if arguments.only and path.stem not in arguments.only:
            continue
        of_set = tables(path)
        for rows in arguments.rows:
            for seed in range(arguments.seeds):
                arguments.seed = seed
                data = split(of_set, rows, seed)
                for system in arguments.systems:
                    key = (path.stem, rows, seed, system, variant if system == "birnn" else "")
                    if key not in kept:
                        started = time.monotonic()
                        accuracy = float(SYSTEMS[system](data, arguments))
                        kept[key] = accuracy, time.monotonic() - started, len(data[0])
                        with open(arguments.out, "a") as file:
                            of_run = dict(zip(["accuracy", "seconds", "rows"], kept[key]))
                            file.write(json.dumps({"key": key, **of_run}) + "\n")
                        print(*key[:4], f"{100 * accuracy:.1f} % in {kept[key][1]:.1f} s", file=sys.stderr, flush=True)
                    found[key[:4]] = kept[key]
    print_table(found, arguments.systems)


if __name__ == "__main__":
    main()

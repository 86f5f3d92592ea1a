"""How fast the package for Python predicts: against the library, by threads, and beside fastText and scikit-learn.

    python benches/python.py --library target/release/deps/predict_texts-... --train train.parquet --validation validation.parquet

The library is timed by the program that `cargo bench -p birnn-benches --bench predict_texts --no-run` names. All figures of a table are of one run,
in turn. fastText needs a wheel that works with this NumPy (`pip install fasttext-numpy2-wheel`); without it its row is left
out, which is said.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import birnn
import numpy as np
import pandas
import polars
import pyarrow


def seconds(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def words(text: str) -> str:
    """A text as fastText's tutorial prepares it: in lower case, punctuation apart, on one line."""
    return " ".join(re.sub(r"([.!?,'/()])", r" \1 ", text.lower()).split())


def overhead(model: birnn.Model, library: str, texts: list[str], rounds: int) -> None:
    """Each kind of column, and the library on the same texts, in turn."""
    kinds = {
        "list": texts,
        "pandas": pandas.Series(texts),
        "pandas, object": pandas.Series(texts, dtype=object),
        "polars": polars.Series(texts),
        "Arrow": pyarrow.array(texts),
    }
    found: dict[str, list[float]] = {"library": [], **{kind: [] for kind in kinds}}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(texts))
        file.flush()
        for _ in range(rounds):
            run = subprocess.run([library, file.name, "3"], capture_output=True, text=True, check=True)
            found["library"].append(min(map(float, run.stdout.split())))
            for kind, column in kinds.items():
                found[kind].append(min(seconds(lambda: model.predict(column)) for _ in range(3)))
    print(f"\n{len(texts)} texts of {np.mean([len(text.split()) for text in texts]):.0f} words; {rounds} rounds, the best of 3 in each\n")
    print("| from | median s | range | of the library's |\n|---|---|---|---|")
    for kind, times in found.items():
        ratios = [time / library for time, library in zip(times, found["library"])]
        print(f"| {kind} | {statistics.median(times):.3f} | {min(times):.3f}-{max(times):.3f} | {statistics.median(ratios):.3f} |")


def by_threads(model: birnn.Model, texts: list[str], rounds: int) -> None:
    """Two threads of Python with one compute thread each, against one."""
    def work() -> None:
        model.predict(texts, threads=1)

    def both() -> None:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    work()
    ratios = []
    for _ in range(rounds):
        one, two = seconds(work), seconds(both)
        ratios.append(2 * one / two)
    print(f"\ntwo Python threads, threads=1 each: {statistics.median(ratios):.2f} times the texts of one "
          f"({min(ratios):.2f}-{max(ratios):.2f}, {rounds} rounds)")


def beside_others(model: birnn.Model, train: Path, validation: Path, rounds: int) -> None:
    """Texts a second and accuracy of `predict`, on the same reviews."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    table, held_out = pandas.read_parquet(train), pandas.read_parquet(validation)
    names = np.array(["negative", "positive"])
    X, y = table["text"].tolist(), names[table["label"]]
    texts, labels = held_out["text"].tolist(), names[held_out["label"]]
    linear = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=10, max_iter=200))
    linear.fit(X, y)
    calls = {
        "birnn, shipped model": lambda: model.predict(texts),
        "birnn, threads=1": lambda: model.predict(texts, threads=1),
        "scikit-learn, TF-IDF of 1- and 2-grams, logistic regression": lambda: linear.predict(texts),
    }
    try:
        import fasttext
    except ImportError:
        print("\nfastText is not installed: left out")
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "train.txt"
            # In any order but that of the classes, in which it would forget the first one.
            order = np.random.default_rng(0).permutation(len(X))
            file.write_text("\n".join(f"__label__{y[row]} {words(X[row])}" for row in order) + "\n")
            quick = fasttext.train_supervised(str(file), wordNgrams=2, epoch=10, lr=0.3, thread=2, verbose=0)
        one_line = [words(text) for text in texts]
        calls["fastText, word 2-grams"] = lambda: np.array([found[0][len("__label__"):] for found in quick.predict(one_line)[0]])
    times: dict[str, list[float]] = {name: [] for name in calls}
    right: dict[str, float] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            found = call()
            times[name].append(time.perf_counter() - began)
            right[name] = float((np.asarray(found) == labels).mean())
    print(f"\n{len(texts)} reviews of {np.mean([len(text.split()) for text in texts]):.0f} words; {rounds} rounds in turn\n")
    print("| `predict` of | texts/s | range | accuracy |\n|---|---|---|---|")
    for name, all_times in times.items():
        rates = sorted(len(texts) / time for time in all_times)
        print(f"| {name} | {statistics.median(rates):,.0f} | {rates[0]:,.0f}-{rates[-1]:,.0f} | {100 * right[name]:.2f} % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help="the program predict_texts")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    model = birnn.load()
    words = "a the film was story acting good bad dull warm witty slow long short loud empty fine great never always and but".split()
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(words, size=generator.integers(5, 25))) for _ in range(10_000)]
    overhead(model, arguments.library, texts, arguments.rounds)
    by_threads(model, texts, arguments.rounds)
    beside_others(model, arguments.train, arguments.validation, max(3, arguments.rounds // 2))


if __name__ == "__main__":
    main()

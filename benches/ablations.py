#!/usr/bin/env python3
"""Trains a recipe with each of its components switched off, one at a time, and prints a table.

    cargo build --release
    python3 benches/ablations.py --data IMDB [--config configs/imdb-fast.toml] [--seeds 3]

IMDB is a folder with the splits train and validation. Every run is kept below --out: what is finished
is not run again, and each run's metrics.jsonl holds its figures. Accuracies are the mean of the seeds and
in brackets the lowest and the highest, of the best epoch on the validation split. The network alone is
that of the same run, without the n-grams' scores.

Needs Python 3.9 or newer and nothing else.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The changes to a recipe, where applicable.
VARIANTS = [
    ("the recipe", []),
    ("no n-gram head", ["model.ngrams.order=0"]),
    ("no word vectors learnt first", ["train.vector_epochs=0"]),
    ("first and last step alone (`ends`)", ['model.pooling=["ends"]']),
    ("no dropout on embeddings", ["model.embedding_dropout=0"]),
    ("no dropout before the decoder", ["model.dropout=0"]),
    ("no word dropout", ["train.word_dropout=0"]),
    ("no label smoothing", ["train.label_smoothing=0"]),
    ("no average of the weights", ["train.ema_decay=0"]),
    ("no adversarial examples", ["train.adversarial_weight=0"]),
    ("no forget bias", ["train.forget_bias=0"]),
    ("one direction", ["model.bidirectional=false"]),
]


def accuracy_of(arguments, folder, *options):
    """The validation accuracy of a finished run, in per cent."""
    command = [arguments.birnn, "eval", "--model", str(folder), "--json", *options]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return 100 * json.loads(printed)["accuracy"]


def train(arguments, name, overrides, seed):
    """The figures of a run: from its file, or by training."""
    slug = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    folder = arguments.out / Path(arguments.config).stem / f"{slug}-{seed}"
    kept = folder.with_suffix(".json")
    if kept.is_file():
        return json.loads(kept.read_text())
    print(f"{name}, seed {seed}: {folder}", file=sys.stderr)
    command = [arguments.birnn, "train", "--config", arguments.config]
    command += ["--data", arguments.data, "--seed", str(seed), "--out", str(folder)]
    command += ["--force"] if folder.exists() else []
    for override in overrides:
        command += ["--set", override]
    started = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr.splitlines()[-1])
    found = {"minutes": (time.monotonic() - started) / 60}
    found["accuracy"] = accuracy_of(arguments, folder)
    model = json.loads((folder / "config.json").read_text())["model"]
    options = ["--network-alone"] if model["ngrams"]["order"] > 0 else []
    found["alone"] = accuracy_of(arguments, folder, *options)
    kept.write_text(json.dumps(found))
    return found


def config_of(arguments, overrides):
    """The effective value of every key, as text, by its dotted name."""
    command = [arguments.birnn, "train", "--config", arguments.config, "--print-config"]
    for override in overrides:
        command += ["--set", override]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    section, values = "", {}
    for line in printed.splitlines():
        if line.startswith("["):
            section = line.strip("[]") + "."
        elif " = " in line:
            key, value = line.split(" = ", 1)
            values[section + key] = value
    return values


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--birnn", default=str(ROOT / "target/release/birnn"))
    parser.add_argument("--config", default=str(ROOT / "configs/imdb-fast.toml"))
    parser.add_argument("--data", required=True, metavar="IMDB")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default="runs/ablations", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (spoils the minutes)")
    arguments = parser.parse_args()

    recipe = config_of(arguments, [])
    variants = []
    for name, overrides in VARIANTS:
        # A variant that does not change this recipe is skipped.
        if not overrides or config_of(arguments, overrides) != recipe:
            variants.append((name, overrides))
    with ThreadPoolExecutor(arguments.jobs) as pool:
        # Seeds in the outer loop, so that partial results cover the whole table.
        runs = {
            (name, seed): pool.submit(train, arguments, name, overrides, seed)
            for seed in range(arguments.seeds)
            for name, overrides in variants
        }
        runs = {key: run.result() for key, run in runs.items()}

    print("| variant | accuracy % | change | network alone % | change | minutes |")
    print("|---|---|---|---|---|---|")
    means = {}
    for name, _ in variants:
        found = [runs[name, seed] for seed in range(arguments.seeds)]
        cells = [name]
        for key in ["accuracy", "alone"]:
            values = [run[key] for run in found]
            mean = statistics.mean(values)
            change = mean - means.setdefault(key, mean)
            cells += [f"{mean:.2f} ({min(values):.2f}-{max(values):.2f})", f"{change:+.2f}"]
        cells.append(f"{statistics.mean(run['minutes'] for run in found):.1f}")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()

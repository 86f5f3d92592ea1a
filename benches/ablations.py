#!/usr/bin/env python3
"""Trains a recipe with each of its ingredients switched off, one at a time, and prints a table.

    cargo build --release
    python3 benches/ablations.py --data IMDB [--config configs/imdb.toml] [--seeds 3]

IMDB is a folder with the splits train and validation. Every run is kept below --out: what is finished
is not run again, and each run's metrics.jsonl holds its figures. Accuracies are those of the best
epoch on the validation split; the spread is the lowest and the highest of the seeds.

Needs Python 3.9 or newer and nothing else.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What is switched off or changed, for whatever recipe has it.
VARIANTS = [
    ("the recipe", []),
    ("no branch of n-grams", ["model.ngrams.order=0"]),
    ("n-grams of up to two tokens", ["model.ngrams.order=2"]),
    ("first and last step alone (`ends`)", ['model.pooling=["ends"]']),
    ("no maximum", ['model.pooling=["ends", "mean"]']),
    ("no dropout on embeddings", ["model.embedding_dropout=0"]),
    ("no dropout before the decoder", ["model.dropout=0"]),
    ("no word dropout", ["train.word_dropout=0"]),
    ("no label smoothing", ["train.label_smoothing=0"]),
    ("no average of the weights", ["train.ema_decay=0"]),
    ("no adversarial examples", ["train.adversarial_weight=0"]),
    ("PyTorch's initial embeddings", ["train.embedding_deviation=1"]),
    ("no forget bias", ["train.forget_bias=0"]),
    ("one direction", ["model.bidirectional=false"]),
    ("first 200 tokens", ["text.max_tokens=200"]),
    ("first 400 tokens", ["text.max_tokens=400"]),
]


def finished(folder, epochs):
    """Best validation accuracy and seconds of a finished run, or None."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return None
    reports = [json.loads(line) for line in path.read_text().splitlines()]
    reports = [report for report in reports if report["event"] == "epoch"]
    if not reports or reports[-1]["epoch"] < epochs:
        return None
    return max(report["validation_accuracy"] for report in reports), reports[-1]["seconds"]


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
    parser.add_argument("--config", default=str(ROOT / "configs/imdb.toml"))
    parser.add_argument("--data", required=True, metavar="IMDB")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default="runs/ablations", type=Path)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (spoils the minutes)")
    arguments = parser.parse_args()

    recipe = config_of(arguments, [])
    epochs = int(recipe["train.epochs"])
    variants = []
    for name, overrides in VARIANTS:
        # A variant that changes nothing in this recipe says nothing.
        if overrides and config_of(arguments, overrides) == recipe:
            continue
        variants.append((name, overrides))

    waiting, running = [], []
    for name, overrides in variants:
        for seed in range(arguments.seeds):
            slug = "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-")
            folder = arguments.out / Path(arguments.config).stem / f"{slug}-{seed}"
            waiting.append((name, overrides, seed, folder))
    found = {name: [] for name, _ in variants}
    for name, overrides, seed, folder in waiting:
        if finished(folder, epochs) is None:
            while len(running) >= arguments.jobs:
                running.pop(0).wait()
            print(f"{name}, seed {seed}: {folder}", file=sys.stderr)
            command = [arguments.birnn, "train", "--config", arguments.config]
            command += ["--data", arguments.data, "--seed", str(seed), "--out", str(folder)]
            command += ["--force"] if folder.exists() else []
            for override in overrides:
                command += ["--set", override]
            quiet = subprocess.DEVNULL
            running.append(subprocess.Popen(command, stdout=quiet, stderr=quiet))
    for process in running:
        process.wait()
    for name, _, seed, folder in waiting:
        result = finished(folder, epochs)
        if result is None:
            sys.exit(f"{folder} did not finish: run birnn train there to see why")
        found[name].append(result)

    base = statistics.mean(accuracy for accuracy, _ in found[variants[0][0]])
    print("| variant | validation accuracy % | spread | change | minutes |")
    print("|---|---|---|---|---|")
    for name, _ in variants:
        accuracies = [100 * accuracy for accuracy, _ in found[name]]
        mean = statistics.mean(accuracies)
        minutes = statistics.mean(seconds for _, seconds in found[name]) / 60
        print(
            f"| {name} | {mean:.2f} | {min(accuracies):.2f}-{max(accuracies):.2f} "
            f"| {mean - 100 * base:+.2f} | {minutes:.1f} |"
        )


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The character language model of examples/characters.rs in PyTorch, and both in alternation.

    cargo build --release --example characters
    python benches/peers/characters.py TEXT.txt [--cells rnn,gru,lstm] [--epochs 50] [--rounds 3]

TEXT.txt holds at least 10,000 characters. In every round, which is also the seed, each cell is trained once
by birnn and once by PyTorch, from the same initial weights, one after the other and each in a process of its
own. Printed are the mean perplexities over the rounds, the medians of the characters a second, and their
ratio with its range.

Needs a Python with PyTorch (`pip install torch==2.9.1 safetensors`), and a machine with nothing else to do.
"""

import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHARACTERS, BATCH, STEPS, VOCABULARY, HIDDENS = 10_000, 32, 35, 28, 256


def train(path, cell, epochs, weights):
    """Prints what the example prints."""
    import torch
    from safetensors.torch import load_file
    from torch import nn

    text = re.sub("[^a-z]+", " ", pathlib.Path(path).read_text().lower()).lstrip()[:CHARACTERS]
    ids = torch.tensor([" abcdefghijklmnopqrstuvwxyz".index(letter) for letter in text])
    length = (len(ids) - 1) // BATCH
    inputs = ids[: BATCH * length].view(BATCH, length).t()
    targets = ids[1 : BATCH * length + 1].view(BATCH, length).t()
    kinds = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    layer = kinds[cell](VOCABULARY, HIDDENS)
    decoder = nn.Linear(HIDDENS, VOCABULARY)
    nn.ModuleDict({"encoder": layer, "decoder": decoder}).load_state_dict(load_file(weights))
    parameters = [*layer.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.0)
    segments = length // STEPS
    started = time.perf_counter()
    for _ in range(epochs):
        state, total = None, 0.0
        for segment in range(segments):
            steps = slice(segment * STEPS, (segment + 1) * STEPS)
            one_hot = nn.functional.one_hot(inputs[steps], VOCABULARY).float()
            output, state = layer(one_hot, state)
            loss = nn.functional.cross_entropy(
                decoder(output).reshape(-1, VOCABULARY), targets[steps].reshape(-1)
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            total += loss.item()
            detach = lambda tensor: tensor.detach()
            state = tuple(map(detach, state)) if cell == "lstm" else state.detach()
    seconds = time.perf_counter() - started
    perplexity = torch.tensor(total / segments).exp().item()
    rate = epochs * segments * BATCH * STEPS / seconds
    print(f"perplexity {perplexity:.4f}, {rate:.0f} characters/s")


def figures(command):
    """The perplexity and the characters per second of a process."""
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"perplexity ([\d.]+), (\d+) characters/s", printed)
    return float(found[1]), float(found[2])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text")
    parser.add_argument("--cells", default="rnn,gru,lstm")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch", metavar="WEIGHTS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.torch is not None:
        train(arguments.text, arguments.cells, arguments.epochs, arguments.torch)
        return
    example = ROOT / "target/release/examples/characters"
    print("| cell | perplexity: PyTorch | birnn | characters/s: PyTorch | birnn | ratio | range |")
    print("|---|---|---|---|---|---|---|")
    for cell in arguments.cells.split(","):
        rounds = []
        for seed in range(arguments.rounds):
            with tempfile.NamedTemporaryFile(suffix=".safetensors") as weights:
                epochs = str(arguments.epochs)
                ours = [str(example), arguments.text, cell, epochs, str(seed), weights.name]
                theirs = [sys.executable, __file__, arguments.text, "--cells", cell]
                theirs += ["--epochs", epochs, "--torch", weights.name]
                of_ours = figures(ours)
                rounds.append((figures(theirs), of_ours))
        perplexities = [statistics.mean(pair[who][0] for pair in rounds) for who in (0, 1)]
        rates = [statistics.median(pair[who][1] for pair in rounds) for who in (0, 1)]
        ratios = [ours[1] / theirs[1] for theirs, ours in rounds]
        print(
            f"| {cell} | {perplexities[0]:.3f} | {perplexities[1]:.3f} | {rates[0]:.0f} | {rates[1]:.0f} "
            f"| {rates[1] / rates[0]:.2f} | {min(ratios):.2f}-{max(ratios):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

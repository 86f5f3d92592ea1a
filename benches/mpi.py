"""How fast several processes train one run: tokens a second, and the bytes that each receives, by ranks and network.

    python benches/mpi.py --birnn target/release/birnn-mpi --data reviews.parquet

Each process has one thread. All runs take the same steps over the same batches, in turn: their models are compared. With
`--tcp` the processes talk by TCP over the loopback device instead of shared memory; how fast that is can be limited, as root:

    tc qdisc replace dev lo root tbf rate 1gbit burst 1mb latency 50ms
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import tempfile
from pathlib import Path


def run(arguments: argparse.Namespace, ranks: int, folder: Path) -> tuple[float, float, bytes]:
    """Tokens a second, kilobytes received a step, and the model."""
    out = folder / f"of-{ranks}"
    command = ["mpirun", "-n", str(ranks), "--bind-to", "none"]
    if arguments.tcp:
        command += ["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo", "--mca", "pml", "ob1"]
    command += [arguments.birnn, arguments.kind, "--data", arguments.data, "--out", str(out), "--force", "--no-cache"]
    for key in arguments.set:
        command += ["--set", key]
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1",
                   "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [step for step in steps if step["event"] == "step"]
    # Tokens a second are those since the beginning of the training.
    tokens_per_second = steps[-1]["tokens_per_second"]
    received = re.search(r"each received ([\d,]+) kB", done.stderr)
    kilobytes = float(received[1].replace(",", "")) / steps[-1]["step"] if received else 0.0
    return tokens_per_second, kilobytes, (out / "model.safetensors").read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--birnn", required=True, help="a binary that was built with --features mpi")
    parser.add_argument("--data", required=True)
    parser.add_argument("--kind", choices=["train", "pretrain"], default="train")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--set", action="append", default=[], help="a key of the config, as for birnn train")
    arguments = parser.parse_args()
    found: dict[int, list[float]] = {ranks: [] for ranks in arguments.ranks}
    kilobytes: dict[int, float] = {}
    models = set()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for ranks in arguments.ranks:
                rate, kilobytes[ranks], model = run(arguments, ranks, Path(folder))
                found[ranks].append(rate)
                models.add(model)
    print(f"{arguments.rounds} rounds in turn; {'one model' if len(models) == 1 else f'{len(models)} DIFFERENT MODELS'}\n")
    print("| ranks | tokens/s | range | of one | kB received a step |\n|---|---|---|---|---|")
    for ranks, rates in found.items():
        ratios = [rate / one for rate, one in zip(rates, found[arguments.ranks[0]])]
        print(f"| {ranks} | {statistics.median(rates):,.0f} | {min(rates):,.0f}-{max(rates):,.0f} "
              f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {kilobytes[ranks]:,.0f} |")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Runs PyTorch and birnn alternately on the same work and prints how many times as fast birnn is.

    cargo build --release
    python benches/peers/compare.py                             # everything: minutes a round
    python benches/peers/compare.py --measures textbook,latency --rounds 3
    python benches/peers/compare.py --python ~/torch/bin/python --json > peers.json
    python benches/peers/compare.py --instructions avx2         # as on a machine without AVX-512
    python benches/peers/compare.py --device cuda               # both on a GPU, PyTorch with cuDNN

Needs a Python with PyTorch (`pip install torch==2.9.1`), either the one that runs this script or
the one that --python names; nothing else. In every round each measure is taken once from PyTorch
and once from birnn, one right after the other and each in a process of its own, with the same
number of threads. A figure is the median over the rounds; the ratio is that of the medians, and
beside it are the lowest and the highest ratio within a round.

Gradients that vanish become subnormal numbers, which cost some processors a hundred times as long as others.
birnn has none. PyTorch is run twice, as it comes and with torch.set_flush_denormal(True) in every thread, and
birnn is compared with the faster of the two medians.

The machine must have nothing else to do. Alternation evens out slow drifts, but PyTorch's threads
wait for each other at every small operation, so on a busy machine it loses far more than birnn
does, and the ratios flatter birnn. A busy machine is said on stderr and below the table.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

TEXTBOOK = "64,500,100,100,2,49346"
WIDE = "64,256,128,128,1,30000"
LARGE = "64,256,512,512,1,30000"
RAGGED = "64,400,100,100,2,1"
LENGTHS = "100-400"

LATENCY_TOKENS = 20
LATENCY_REPEATS = 200
CLASSES = 2


@dataclass(frozen=True)
class Measure:
    """One row of the table."""

    name: str
    title: str
    # The task of the PyTorch process: training, inference, latency, padded or packed.
    task: str
    # The part of `birnn bench`, and where its figure is in the JSON.
    part: str
    figure: tuple
    shape: str = TEXTBOOK
    cell: str = "lstm"
    unit: str = "s"
    # PyTorch's repeats within a round, where they differ from --repeats.
    repeats: int | None = None


def training(name, title, shape, cell="lstm"):
    figure = ("training", "median_seconds")
    return Measure(name, title, "training", "training", figure, shape, cell)


def ragged(name, title, task, repeats=None):
    figure = ("recurrent", "median_seconds")
    return Measure(name, title, task, "recurrent", figure, RAGGED, repeats=repeats)


MEASURES = [
    training("textbook", f"training step, LSTM {TEXTBOOK}", TEXTBOOK),
    training("wide", f"training step, LSTM {WIDE}", WIDE),
    training("large", f"training step, LSTM {LARGE}", LARGE),
    ragged("padded", f"layers forward+backward, 64 rows of {LENGTHS}, padded", "padded"),
    ragged("packed", f"layers forward+backward, 64 rows of {LENGTHS}, packed", "packed", repeats=1),
    Measure(
        "inference",
        f"inference, LSTM {TEXTBOOK}",
        "inference",
        "inference",
        ("inference", "median_seconds"),
    ),
    Measure(
        "latency",
        f"one text of {LATENCY_TOKENS} tokens, in process",
        "latency",
        "latency",
        ("latency", "milliseconds"),
        unit="ms",
    ),
    training("gru-textbook", f"training step, GRU {TEXTBOOK}", TEXTBOOK, "gru"),
    training("gru-wide", f"training step, GRU {WIDE}", WIDE, "gru"),
    training("rnn-textbook", f"training step, RNN {TEXTBOOK}", TEXTBOOK, "rnn"),
    training("rnn-wide", f"training step, RNN {WIDE}", WIDE, "rnn"),
    Measure(
        "memory",
        f"peak memory, training step, LSTM {TEXTBOOK}",
        "training",
        "training",
        ("peak_memory_bytes",),
        unit="GB",
    ),
]

# Restricts PyTorch and its libraries to an instruction set.
TORCH_ENVIRONMENT = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
}

# birnn on one thread against birnn on all of --threads: the one measure without PyTorch.
THREADS = training("threads", "birnn alone: 1 thread against {threads}", TEXTBOOK)


class Failure(Exception):
    """An error that the user can correct."""


# The PyTorch side: runs in a separate process and prints one JSON object.


def torch_side(job):
    """The seconds of some repeats of a task, after a warm-up, and the peak of memory."""
    import torch

    torch.set_num_threads(job["threads"])
    if job["flush"]:
        flush_in_every_thread(torch)
    torch.manual_seed(0)
    batch, steps, embedding_size, num_hiddens, num_layers, vocabulary_size = job["shape"]
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[job["cell"]]

    class Classifier(torch.nn.Module):
        """The textbook's bidirectional classifier, pooled at both ends."""

        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(vocabulary_size, embedding_size)
            self.encoder = kind(embedding_size, num_hiddens, num_layers, bidirectional=True)
            self.decoder = torch.nn.Linear(4 * num_hiddens, CLASSES)

        def forward(self, tokens):
            # Tokens are [B, T], the layers expect [T, B, E].
            outputs, _ = self.encoder(self.embedding(tokens.t()))
            return self.decoder(torch.cat([outputs[0], outputs[-1]], dim=1))

    device = torch.device(job["device"])

    def finish():
        # GPU work is asynchronous.
        if device.type == "cuda":
            torch.cuda.synchronize()

    def timed(task, warm_ups, repeats):
        for _ in range(warm_ups):
            task()
        finish()
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            task()
            finish()
            seconds.append(time.perf_counter() - started)
        return seconds

    repeats = job["repeats"]
    if job["task"] in ("padded", "packed"):
        layers = kind(embedding_size, num_hiddens, num_layers, bidirectional=True).to(device)
        lengths = torch.tensor(sorted(job["rows"], reverse=True))
        inputs = torch.randn(int(lengths[0]), len(lengths), embedding_size, device=device)
        inputs.requires_grad_()

        def padded():
            layers.zero_grad()
            layers(inputs)[0].sum().backward()

        def packed():
            layers.zero_grad()
            rnn = torch.nn.utils.rnn
            outputs, _ = layers(rnn.pack_padded_sequence(inputs, lengths))
            rnn.pad_packed_sequence(outputs)[0].sum().backward()

        seconds = timed(padded if job["task"] == "padded" else packed, 1, repeats)
    else:
        model = Classifier().to(device)
        tokens = torch.randint(vocabulary_size, (batch, steps), device=device)
        classes = torch.randint(CLASSES, (batch,), device=device)
        if job["task"] == "training":
            optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
            objective = torch.nn.CrossEntropyLoss()

            def step():
                optimizer.zero_grad()
                objective(model(tokens), classes).backward()
                optimizer.step()

            seconds = timed(step, 1, repeats)
        else:
            with torch.inference_mode():
                if job["task"] == "inference":
                    seconds = timed(lambda: model(tokens), 1, repeats)
                else:
                    text = tokens[:1, :LATENCY_TOKENS].contiguous()
                    seconds = timed(lambda: model(text), 20, max(repeats, LATENCY_REPEATS))
    report = {
        "seconds": seconds,
        "memory": peak_memory(),
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability().lower(),
    }
    print(json.dumps(report))


def flush_in_every_thread(torch):
    """Has PyTorch treat subnormal numbers as zero: threads that start later inherit the mode."""
    if not torch.set_flush_denormal(True):
        raise SystemExit("PyTorch cannot flush subnormal numbers on this processor")
    products = torch.full((1 << 22,), 1e-30) * 1e-10
    if torch.count_nonzero(products):
        raise SystemExit("a thread of PyTorch does not flush subnormal numbers")


def peak_memory():
    """The peak resident set size of this process in bytes, if the system reports it (Linux)."""
    try:
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


# The comparison.


def seconds_of_others():
    """CPU seconds so far of all processes that are not our children, if the system counts them."""
    try:
        with open("/proc/stat", encoding="ascii") as stat:
            # user, nice, system, idle, iowait, irq, softirq, steal
            ticks = [int(number) for number in stat.readline().split()[1:9]]
        of_all = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
        own = os.times()
    except (AttributeError, OSError, ValueError):
        return None
    return of_all - own.children_user - own.children_system


def run(command, what, loads, more_environment=None):
    """The JSON object that a command prints. Records in `loads` how many CPUs other processes used."""
    before, started = seconds_of_others(), time.monotonic()
    environment = {**os.environ, **(more_environment or {})}
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
    except OSError as error:
        remedy = "build birnn (cargo build --release) or give its path with --birnn; give a Python with --python"
        raise Failure(f"{what} cannot be started: {error}; {remedy}") from error
    if before is not None:
        loads.append((seconds_of_others() - before) / (time.monotonic() - started))
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it printed nothing"]
        raise Failure(
            f"{what} ended with code {done.returncode}: {lines[-1]}; "
            "give a Python with PyTorch with --python"
        )
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise Failure(f"{what} printed no JSON: {done.stdout[:200]!r}") from error


class Comparison:
    """Both sides, and their settings."""

    def __init__(self, options):
        self.options = options
        self.torch = {}
        self.machine = {}
        self.rows = None
        # The number of CPUs that other processes used, for every run.
        self.loads = []

    def ours(self, measure, threads):
        """birnn's figure."""
        command = [self.options.birnn, "bench", "--json", "--only", measure.part]
        command += ["--shape", measure.shape, "--cell", measure.cell]
        command += ["--repeats", str(self.options.repeats), "--threads", str(threads)]
        command += ["--device", self.options.device]
        if self.options.instructions:
            command += ["--instructions", self.options.instructions]
        if measure.task in ("padded", "packed"):
            command += ["--lengths", LENGTHS]
        report = run(command, "birnn", self.loads)
        self.machine = {key: report[key] for key in ("version", "cpu", "instructions")}
        if report["rows"] is not None:
            self.rows = report["rows"]
        figure = report
        for key in measure.figure:
            figure = figure[key]
        if figure is None:
            raise Failure(f"birnn does not know its {measure.name} on this system")
        return figure / 1e9 if measure.unit == "GB" else figure

    def theirs(self, measure, flush):
        """PyTorch's figure, with subnormal numbers flushed or as it comes; of ragged rows after birnn's,
        which drew them."""
        job = {
            "flush": flush,
            "task": measure.task,
            "shape": [int(size) for size in measure.shape.split(",")],
            "cell": measure.cell,
            "threads": self.options.threads,
            "device": self.options.device,
            "repeats": measure.repeats or self.options.repeats,
            "rows": self.rows,
        }
        command = [self.options.python, __file__, "--torch-side", json.dumps(job)]
        environment = TORCH_ENVIRONMENT.get(self.options.instructions)
        report = run(command, "PyTorch", self.loads, environment)
        self.torch = {key: report[key] for key in ("torch", "instructions")}
        if measure.unit == "GB":
            if report["memory"] is None:
                raise Failure("PyTorch's peak of memory is not known on this system")
            return report["memory"] / 1e9
        median = statistics.median(report["seconds"])
        return 1e3 * median if measure.unit == "ms" else median

    def round(self, measure):
        """The figures of a round: the other side's, the same flushed (if that is another run), ours."""
        if measure is THREADS:
            return self.ours(measure, 1), None, self.ours(measure, self.options.threads)
        ours = self.ours(measure, self.options.threads)
        theirs = self.theirs(measure, flush=False)
        # It does not apply to GPUs, and does not affect memory.
        once = self.options.device != "cpu" or measure.unit == "GB"
        flushed = None if once else self.theirs(measure, flush=True)
        return theirs, flushed, ours


def summary(measure, rounds, threads):
    """Medians and ratios of the rounds of a measure, against the faster variant of the other side."""
    theirs, flushed, ours = zip(*rounds)
    medians = statistics.median(theirs), statistics.median(flushed) if all(flushed) else None
    is_flushed = medians[1] is not None and medians[1] < medians[0]
    faster = flushed if is_flushed else theirs
    ratios = [their / our for their, our in zip(faster, ours)]
    return {
        "name": measure.name,
        "title": measure.title.format(threads=threads),
        "unit": measure.unit,
        "theirs": medians[0],
        "theirs_flushed": medians[1],
        "ours": statistics.median(ours),
        "compared_with": "flushed" if is_flushed else "as it comes",
        "ratio": statistics.median(faster) / statistics.median(ours),
        "lowest_ratio": min(ratios),
        "highest_ratio": max(ratios),
        "rounds": [list(figures) for figures in rounds],
    }


def table(results):
    """A Markdown table, its columns aligned."""
    rows = [["measure", "PyTorch", "PyTorch, flushed", "birnn", "ratio", "range"]]
    for result in results:
        unit = result["unit"]
        flushed = result["theirs_flushed"]
        rows.append(
            [
                result["title"],
                f"{result['theirs']:.3f} {unit}",
                "" if flushed is None else f"{flushed:.3f} {unit}",
                f"{result['ours']:.3f} {unit}",
                f"{result['ratio']:.2f}",
                f"{result['lowest_ratio']:.2f}-{result['highest_ratio']:.2f}",
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
    lines = []
    for row in [rows[0], rule, *rows[1:]]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def threads_of_machine():
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def read_options():
    known = {measure.name: measure for measure in [*MEASURES, THREADS]}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=positive, default=5, help="default: %(default)s")
    parser.add_argument(
        "--repeats",
        type=positive,
        default=3,
        help="repeats of either side within a round, after a warm-up (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=positive, default=threads_of_machine(), help="default: all cores"
    )
    parser.add_argument("--birnn", default="target/release/birnn", help="default: %(default)s")
    parser.add_argument(
        "--python", default=sys.executable, help="a Python with PyTorch (default: this one)"
    )
    parser.add_argument(
        "--measures", metavar="A,B", help=f"some of {', '.join(known)} (default: all that fit the device)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--instructions",
        choices=sorted(TORCH_ENVIRONMENT),
        help="hold both sides to these instructions (default: the best of the machine)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--torch-side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.measures.split(",") if options.measures else list(known)
    for name in names:
        if name not in known:
            parser.error(f"there is no measure {name!r}; choose from {', '.join(known)}")
    # On a GPU neither the host's threads nor its memory matter.
    # The large step is for them.
    beside_the_point = {THREADS.name, "memory"} if options.device != "cpu" else {"large"}
    if options.threads == 1:
        beside_the_point.add(THREADS.name)
    if not options.measures:
        names = [name for name in names if name not in beside_the_point]
    options.measures = [known[name] for name in names]
    return options


def main():
    options = read_options()
    if options.torch_side:
        torch_side(json.loads(options.torch_side))
        return
    comparison = Comparison(options)
    rounds = {measure: [] for measure in options.measures}
    for number in range(1, options.rounds + 1):
        for measure in options.measures:
            theirs, flushed, ours = comparison.round(measure)
            rounds[measure].append((theirs, flushed, ours))
            flushed_text = "" if flushed is None else f" ({flushed:.3f} flushed)"
            faster = theirs if flushed is None else min(theirs, flushed)
            print(
                f"round {number} of {options.rounds}, {measure.name}: "
                f"{theirs:.3f}{flushed_text} and {ours:.3f} {measure.unit}, ratio {faster / ours:.2f}",
                file=sys.stderr,
                flush=True,
            )
    # Measures during which other processes used more than a tenth of a CPU on average.
    load = statistics.fmean(comparison.loads) if comparison.loads else 0.0
    load = load if load > 0.1 else None
    warning = None
    if load:
        warning = f"The machine was busy ({load:.1f} CPUs used by other processes): do not trust the ratios."
        print(warning, file=sys.stderr)
    results = [summary(measure, of, options.threads) for measure, of in rounds.items()]
    machine, torch = comparison.machine, comparison.torch
    if options.json:
        whole = {
            "birnn": machine["version"],
            "torch": torch.get("torch"),
            "cpu": machine["cpu"],
            "instructions": machine["instructions"],
            "torch_instructions": torch.get("instructions"),
            "device": options.device,
            "threads": options.threads,
            "repeats": options.repeats,
            "load_beside": load,
            "measures": results,
        }
        print(json.dumps(whole))
        return
    peer = f"PyTorch {torch['torch']} ({torch['instructions']}) and " if torch else ""
    ours = f"birnn {machine['version']} ({machine['instructions']})"
    cpu = machine["cpu"] or "an unnamed processor"
    print(f"{peer}{ours} on {cpu}, device {options.device}; ", end="")
    print(f"threads: {options.threads}; ", end="")
    print(f"medians over the rounds: {options.rounds}\n\n{table(results)}")
    if warning:
        print(f"\n{warning}")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)

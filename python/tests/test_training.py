"""Runs: the same bytes as the command line, callbacks, Ctrl-C, resuming, errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import birnn
import numpy as np
import pytest
from conftest import SMALL


def train(rows: Path, **options: object) -> birnn.Run:
    return birnn.train(rows, progress=False, **{**SMALL, **options})  # type: ignore[arg-type]


def test_a_run_has_the_bytes_of_the_command_line(rows: Path, binary: str, tmp_path: Path) -> None:
    run = train(rows, out=tmp_path / "python")
    arguments = [binary, "train", "--data", str(rows), "--out", str(tmp_path / "binary")]
    for key, value in birnn._keys.overrides(SMALL):
        arguments += ["--set", f"{key}={value}"]
    subprocess.run(arguments, check=True, capture_output=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        assert (tmp_path / "python" / name).read_bytes() == (tmp_path / "binary" / name).read_bytes()
    assert run.path == str(tmp_path / "python") and not run.stopped
    assert (run.train_texts, run.validation_texts, run.folds) == (18, 6, 0)


def test_the_sample_is_trained_by_the_recipe_of_the_command_line(binary: str, tmp_path: Path) -> None:
    run = birnn.train(epochs=1, progress=False)
    subprocess.run(
        [binary, "train", "--set", "train.epochs=1", "--out", str(tmp_path / "run")], check=True, capture_output=True
    )
    assert birnn.load(tmp_path / "run") == run.model


def test_a_run_in_memory_is_that_of_a_folder(rows: Path, tmp_path: Path) -> None:
    run = train(rows)
    assert run.path is None
    assert train(rows, out=tmp_path / "run").model == run.model
    run.save(tmp_path / "saved")
    assert birnn.load(tmp_path / "saved") == run.model


def test_callbacks_follow_every_step_on_the_calling_thread(rows: Path) -> None:
    steps: list[birnn.StepReport] = []
    threads = set()

    def on_step(report: birnn.StepReport) -> None:
        steps.append(report)
        threads.add(threading.current_thread())

    epochs: list[birnn.EpochReport] = []
    run = train(rows, on_step=on_step, on_epoch=epochs.append)
    assert threads == {threading.current_thread()}
    assert [report.step for report in steps] == list(range(1, steps[0].steps + 1))
    assert [report.epoch for report in epochs] == [1, 2] and run.history == epochs
    assert run.best_accuracy == max(report.validation_accuracy or 0 for report in epochs)
    assert any("18 texts to train on" in line for line in run.notes)


def test_a_callback_stops_a_run_that_is_resumed_to_the_same_bytes(rows: Path, tmp_path: Path) -> None:
    whole = train(rows, out=tmp_path / "whole", batch_size=4)
    part = train(rows, out=tmp_path / "part", batch_size=4, on_step=lambda report: report.step < 3)
    assert part.stopped and part.step == 3 and part.best_epoch is None
    with pytest.raises(birnn.ModelError, match="has not finished an epoch yet"):
        part.model
    resumed = birnn.train(out=tmp_path / "part", resume=True, progress=False)
    assert not resumed.stopped and resumed.model == whole.model
    after_one = train(rows, on_epoch=lambda report: np.False_)
    assert after_one.stopped and after_one.model.labels and len(after_one.history) == 1
    stopped = train(rows, on_step=lambda report: False)
    assert stopped.stopped
    with pytest.raises(birnn.ArgumentError, match="stopped before there was a model"):
        stopped.model


def test_a_run_that_ends_by_itself_has_its_results(rows: Path, tmp_path: Path) -> None:
    for out in (None, tmp_path / "run"):
        run = train(rows, out=out, test=rows)
        assert run.test is not None and run.test["texts"] == 24 and run.test["accuracy"] is not None
    # A callback that wants no more when there is no more.
    last = train(rows, out=tmp_path / "last", test=rows, on_epoch=lambda report: report.epoch < 2)
    assert not last.stopped and last.best_epoch is not None and last.model == run.model


def test_what_a_callback_raises_ends_the_run(rows: Path, tmp_path: Path) -> None:
    def on_step(report: birnn.StepReport) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train(rows, out=tmp_path / "run", on_step=on_step)
    resumed = birnn.train(out=tmp_path / "run", resume=True, progress=False)
    assert resumed.model == train(rows).model


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ctrl_c_saves_and_raises(rows: Path, tmp_path: Path) -> None:
    program = f"""
import birnn, os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import SMALL
def on_step(report):
    if report.step == 2:
        print("training", flush=True)
try:
    birnn.train({str(rows)!r}, out={str(tmp_path / "run")!r}, progress=False, on_step=on_step,
                **{{**SMALL, "epochs": 3000, "patience": 0, "batch_size": 4}})
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "training\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == ("interrupted\n", 0)
    resumed: list[int] = []
    run = birnn.train(
        out=tmp_path / "run", resume=True, progress=False, on_step=lambda report: (resumed.append(report.step), False)[1]
    )
    assert run.stopped and resumed[0] > 2


def test_keys_are_written_in_every_way() -> None:
    assert birnn._keys.overrides({"epochs": 3, "dropout": None}) == [("train.epochs", "3")]
    assert birnn._keys.overrides({"train": {"epochs": 3}, "model": {"ngrams": {"order": 2}}}) == [
        ("train.epochs", "3"),
        ("model.ngrams.order", "2"),
    ]
    assert birnn._keys.overrides({"train.epochs": 3, "pooling": ["ends", "max"]}) == [
        ("train.epochs", "3"),
        ("model.pooling", '["ends", "max"]'),
    ]
    numbers = {"learning_rate": np.float64(0.002), "dropout": np.float32(0.5), "epochs": np.int64(3)}
    assert birnn._keys.overrides({**numbers, "bias": np.bool_(False)}) == [
        ("train.learning_rate", "0.002"),
        ("model.dropout", "0.5"),
        ("train.epochs", "3"),
        ("model.bias", "false"),
    ]
    assert birnn._keys.overrides({"text_column": 'a "b"\n\\', "label_map": {"0": "no"}}) == [
        ("data.text_column", '"a \\"b\\"\\U0000000a\\\\"'),
        ("data.label_map", '{"0" = "no"}'),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropuot": 0.1}, "configuration, dropuot: there is no such key; did you mean model.dropout?"),
        ({"epochs": "many"}, "configuration, train.epochs: invalid type"),
        ({"epochs": object()}, "configuration, train.epochs: a value of type object"),
        ({"config": "nothing.toml"}, "configuration, nothing.toml: this config file cannot be read"),
        ({"resume": True}, "resume: there is no folder to go on from: give out=FOLDER"),
        ({"resume": True, "out": "run", "epochs": 5}, "epochs cannot be given with resume=True"),
        ({"label_column": "stars"}, "stars"),
    ],
)
def test_wrong_arguments_are_named(rows: Path, options: dict[str, object], message: str) -> None:
    source = None if options.get("resume") else rows
    with pytest.raises(birnn.BirnnError) as raised:
        birnn.train(source, progress=False, **options)  # type: ignore[arg-type]
    assert message in str(raised.value)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(birnn.DataError, match="there is no such file or folder"):
        birnn.train(tmp_path / "nothing.csv", progress=False)
    with pytest.raises(birnn.ArgumentError, match="texts in memory are trained on by"):
        birnn.train({"text": ["a"]}, progress=False)  # type: ignore[arg-type]


def test_progress_is_shown_with_and_without_tqdm(rows: Path) -> None:
    for hidden in ("", "sys.modules['tqdm'] = sys.modules['tqdm.auto'] = None"):
        program = f"""
import sys
{hidden}
sys.path.insert(0, {str(Path(__file__).parent)!r})
import birnn
from conftest import SMALL
birnn.train({str(rows)!r}, **SMALL)
"""
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert run.stdout == ""
        assert "epoch 2: loss" in run.stderr and "18 texts to train on" in run.stderr


def test_the_command_line_is_there(binary: str, tmp_path: Path) -> None:
    def both(*arguments: str) -> None:
        own = subprocess.run([sys.executable, "-m", "birnn", *arguments], capture_output=True, cwd=tmp_path)
        other = subprocess.run([binary, *arguments], capture_output=True, cwd=tmp_path)
        assert (own.returncode, own.stdout) == (other.returncode, other.stdout)

    both("predict", "--json", "Not bad at all!")
    both("--version")
    both("predict", "--help")
    both("train", "--data", "nothing.csv")
    both("nonsense")
    version = subprocess.run([sys.executable, "-m", "birnn", "--version"], capture_output=True, text=True)
    assert version.stdout == f"birnn {birnn.__version__}\n"

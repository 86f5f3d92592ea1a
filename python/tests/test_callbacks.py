"""The callbacks that docs/python.md shows, with the real packages where they are installed."""

from __future__ import annotations

import re
from pathlib import Path

import birnn
import pytest
from conftest import ROOT


def block(title: str) -> str:
    document = ROOT / "docs" / "python.md"
    if not document.exists():
        pytest.skip(f"there is no {document}")
    found = re.search(rf"```python\n# {re.escape(title)}\n(.*?)\n```", document.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = ["review,opinion"]
    for number in range(6):
        rows += [f"a warm film {number},good", f"a cold film {number},bad"]
    path = tmp_path / "reviews.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_mlflow(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{table.parent}/mlflow.db")
    exec(block("MLflow"), {"birnn": birnn})
    runs = mlflow.search_runs(output_format="list")
    assert len(runs) == 1 and runs[0].data.metrics["validation_loss"] > 0
    assert birnn.load(table.parent / "model").labels == ["bad", "good"]


def test_weights_and_biases(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    exec(block("Weights & Biases"), {"birnn": birnn})
    assert list(table.parent.glob("wandb/offline-run-*/run-*.wandb"))


def test_tensorboard(table: Path) -> None:
    pytest.importorskip("tensorboardX")
    exec(block("TensorBoard"), {"birnn": birnn})
    assert list(table.parent.glob("runs/tensorboard/events.*"))

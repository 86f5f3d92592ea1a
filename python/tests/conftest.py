"""What the tests have in common."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import birnn
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def model() -> birnn.Model:
    return birnn.load()


@pytest.fixture(scope="session")
def fixtures() -> Path:
    return ROOT / "tests" / "fixtures"


@pytest.fixture(scope="session")
def binary() -> str:
    """The command line that was built apart from the package."""
    built = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "birnn"
    found = os.environ.get("BIRNN") or (str(built) if built.exists() else None)
    if found is None or shutil.which(found) is None:
        pytest.skip("there is no birnn binary: cargo build --release, or set BIRNN")
    return found


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A small table to train on."""
    words = {"good": ["fine", "warm", "witty", "lovely"], "bad": ["dull", "cold", "loud", "empty"]}
    lines = ["text,label"]
    for number in range(12):
        for label, choices in words.items():
            lines.append(f"a {choices[number % 4]} film of {number} parts,{label}")
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


#: A network that trains in milliseconds.
SMALL = {
    "epochs": 2,
    "num_hiddens": 8,
    "embedding_size": 8,
    "order": 0,
    "characters": 0,
    "init_from": "none",
    "folds": 0,
    "validation_fraction": 0.25,
}

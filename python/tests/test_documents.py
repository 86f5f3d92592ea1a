"""The blocks of Python that documents show run, in order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

BLOCK = re.compile(r"(?P<skip><!-- python: skip, [^\n]*-->\n)?```python\n(?P<code>.*?)\n```", re.DOTALL)


@pytest.mark.filterwarnings("default::birnn.BirnnWarning")
@pytest.mark.parametrize("name", ["README.md", "docs/python.md"])
def test_the_blocks_of_a_document_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document = ROOT / name
    if not document.exists():
        pytest.skip(f"there is no {document}")
    pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    ran = 0
    text = document.read_text()
    # Blocks before the first one that imports birnn are about something else.
    text = text[text.index("import birnn") - len("```python\n") :]
    for block in BLOCK.finditer(text):
        if block["skip"] is None and "torch" not in block["code"]:
            exec(compile(block["code"], name, "exec"), names)
            ran += 1
    assert ran >= 1
    capsys.readouterr()

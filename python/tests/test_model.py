"""Models: the kinds of texts, predictions, explanations, files."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import birnn
import numpy as np
import pytest

TEXTS = [
    "Not bad at all!",
    "I want my money back.",
    "",
    "Zwei Stunden, die mir niemand zurückgibt 🎬",
    "word " * 700,
    "Loud, long and empty.",
]


def test_logits_are_those_of_the_command_line(model: birnn.Model, binary: str, tmp_path: Path) -> None:
    texts = [text for text in TEXTS if text]
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(texts) + "\n")
    run = subprocess.run([binary, "predict", "--json", "--file", file], capture_output=True, check=True)
    printed = [json.loads(line) for line in run.stdout.splitlines()]
    logits = model.predict_logits(texts)
    records = model.predict_records(texts)
    expected = np.array([row["logits"] for row in printed], dtype=np.float32)
    assert logits.dtype == np.float32 and logits.tobytes() == expected.tobytes()
    for record, row in zip(records, printed, strict=True):
        assert record is not None
        assert np.float32(record["score"]) == np.float32(row["score"])
        for key in ("label", "tokens", "truncated", "unknown_tokens"):
            assert record[key] == row[key]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    "kind", ["list", "tuple", "iterator", "object", "unicode", "StringDType", "Series", "string", "category",
             "pl.Series", "pl.Categorical", "Array", "ChunkedArray", "dictionary", "large", "view", "sliced"],
)  # fmt: skip
def test_every_kind_of_column_gives_the_same(model: birnn.Model, kind: str, missing: bool) -> None:
    texts: list[str | None] = ["Great fun.", "Awful.", "Dull, but short."]
    if missing:
        texts[1] = None
    given = _column(kind, texts)
    if given is None:
        pytest.skip(f"{kind} holds no missing texts here")
    expected = model.predict_proba([text for text in texts if text is not None])
    found = model.predict_proba(given, missing="null")
    present = ~np.isnan(found[:, 0])
    assert present.tolist() == [text is not None for text in texts]
    assert found[present].tobytes() == expected.tobytes()


def _column(kind: str, texts: list[str | None]) -> object:
    has_missing = None in texts
    if kind == "list":
        return texts
    if kind == "tuple":
        return tuple(texts)
    if kind == "iterator":
        return iter(texts)
    if kind == "object":
        return np.array(texts, dtype=object)
    if kind == "unicode":
        return None if has_missing else np.array(texts)
    if kind == "StringDType":
        if not hasattr(np, "dtypes") or not hasattr(np.dtypes, "StringDType"):
            pytest.skip("this NumPy has no StringDType")
        return None if has_missing else np.array(texts, dtype=np.dtypes.StringDType())
    if kind in ("Series", "string", "category"):
        pandas = pytest.importorskip("pandas")
        series = pandas.Series(texts)
        return series if kind == "Series" else series.astype(kind)
    if kind.startswith("pl."):
        polars = pytest.importorskip("polars")
        series = polars.Series(texts)
        return series if kind == "pl.Series" else series.cast(polars.Categorical)
    arrow = pytest.importorskip("pyarrow")
    array = arrow.array(texts)
    return {
        "Array": array,
        "ChunkedArray": arrow.chunked_array([array[:1], array[1:]]),
        "dictionary": array.dictionary_encode(),
        "large": array.cast(arrow.large_string()),
        "view": array.cast(arrow.string_view()),
        "sliced": arrow.concat_arrays([arrow.array(["before"]), array, arrow.array(["after"])]).slice(1, 3),
    }[kind]


def test_nothing_gives_nothing(model: birnn.Model) -> None:
    assert model.predict([]).tolist() == []
    assert model.predict_proba([]).shape == (0, 2)
    assert model.predict_records([]) == []
    arrow = pytest.importorskip("pyarrow")
    categories = arrow.dictionary(arrow.int32(), arrow.string())
    assert model.predict(arrow.array([], categories)).tolist() == []
    missing = arrow.array([None, None], arrow.string()).dictionary_encode()
    assert model.predict(missing, missing="null").tolist() == [None, None]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("Great.", "texts: this is one string, not a list of texts: write [text]"),
        (b"Great.", "texts: these are bytes, not a list of texts: write [text.decode()]"),
        ({"a": "Great."}, "texts: this is a dict, whose keys are no texts: give list(texts.values())"),
        (None, "texts: None, but a list of texts is needed"),
        (7, "texts: int is not a list of texts, nor a column or an array of them"),
        (["Great.", 7], "texts[1]: int, but texts are strings: convert it with str(text)"),
        ([b"Great."], "texts[0]: bytes, but texts are strings: convert it with text.decode()"),
        (np.array([["Great."]]), "texts: an array of 2 dimensions, but texts are one: give one column, or array.ravel()"),
        (["Great.", None, float("nan")],
         'texts[1] is missing (2 of 3 are): leave them out, or give missing="null" for predictions that are missing too'),
    ],
)  # fmt: skip
def test_what_is_no_list_of_texts_is_refused(model: birnn.Model, texts: object, message: str) -> None:
    with pytest.raises(birnn.ArgumentError) as raised:
        model.predict(texts)
    assert str(raised.value) == message
    assert isinstance(raised.value, ValueError)


def test_tables_and_numbers_are_refused(model: birnn.Model) -> None:
    pandas, polars, arrow = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    columns = {"text": ["Great."], "stars": [5]}
    for table in (pandas.DataFrame(columns), polars.DataFrame(columns), arrow.table(columns)):
        with pytest.raises(birnn.ArgumentError, match="this is a table: give one of its columns"):
            model.predict(table)
    with pytest.raises(birnn.ArgumentError, match=r"this is a lazy table: compute one of its columns"):
        model.predict(polars.LazyFrame(columns))
    with pytest.raises(birnn.ArgumentError, match="a column of Int64, but texts are strings"):
        model.predict(arrow.array([1]))
    with pytest.raises(birnn.ArgumentError, match="cast it to strings"):
        model.predict(arrow.array([b"Great."]))


def test_strings_of_arrow_that_are_not_utf_8_are_refused(model: birnn.Model) -> None:
    """Whoever writes them need not have checked them."""
    arrow = pytest.importorskip("pyarrow")
    offsets = np.array([0, 3, 6], dtype=np.int32).tobytes()
    content = b"a\xff\xfebcd"
    for kind in (arrow.string(), arrow.dictionary(arrow.int32(), arrow.string())):
        strings = arrow.Array.from_buffers(arrow.string(), 2, [None, arrow.py_buffer(offsets), arrow.py_buffer(content)])
        if kind != arrow.string():
            strings = arrow.DictionaryArray.from_arrays(arrow.array([0, 1], arrow.int32()), strings)
        with pytest.raises(birnn.ArgumentError, match="not UTF-8|damaged"):
            model.predict(strings)


def test_a_surrogate_alone_is_refused_and_the_remedy_works(model: birnn.Model) -> None:
    text = "Great \ud83d"
    with pytest.raises(birnn.ArgumentError, match=r"texts\[0\]: it holds a surrogate alone"):
        model.predict([text])
    assert len(model.predict([text.encode("utf-8", "replace").decode()])) == 1


def test_a_surrogate_alone_is_not_explained(model: birnn.Model) -> None:
    with pytest.raises(birnn.ArgumentError, match="surrogate alone"):
        model.explain("good \ud83d")


def test_missing_texts_have_missing_predictions(model: birnn.Model) -> None:
    texts = [None, "Great fun.", None]
    assert model.predict(texts, missing="null").tolist() == [None, "positive", None]
    assert model.predict_records(texts, missing="null")[0] is None
    with pytest.raises(birnn.ArgumentError, match='missing: "skip"|missing: \'skip\''):
        model.predict(texts, missing="skip")  # type: ignore[arg-type]


def test_what_is_cut_is_warned_of(model: birnn.Model) -> None:
    with pytest.warns(birnn.BirnnWarning, match="cut at text.max_tokens: 1 of 1 texts") as caught:
        model.predict(["good " * 5000])
    assert caught[0].filename == __file__


def test_explanations_add_up_in_characters(model: birnn.Model) -> None:
    text = "Café fun! Not bad at all 🎬, said everyone, and they were right about it."
    explanation = model.explain(text)
    parts = explanation.tokens + explanation.ngrams
    for part in explanation.tokens:
        start, end = part.places[0]
        assert text[start:end] == part.text
    total = explanation.baseline + explanation.head_bias + sum(part.contribution for part in parts)
    assert total == pytest.approx(explanation.output + explanation.gap, abs=abs(explanation.gap) * 2 + 1e-6)
    assert explanation.label == model.predict([text])[0] == max(explanation.scores, key=explanation.scores.__getitem__)
    other = model.explain(text, label=explanation.other, method="gradient")
    assert other.output == pytest.approx(-explanation.output)
    with pytest.raises(birnn.ArgumentError, match="label: there is no class \"great\": the classes are negative, positive"):
        model.explain(text, label="great")
    with pytest.raises(birnn.ArgumentError, match="method: "):
        model.explain(text, method="lime")  # type: ignore[arg-type]
    with pytest.raises(birnn.ArgumentError, match="one string is explained at a time"):
        model.explain([text])  # type: ignore[arg-type]


def test_copies_are_the_same_model(model: birnn.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "copy")
    copies = [
        pickle.loads(pickle.dumps(model)),
        copy.copy(model),
        copy.deepcopy(model),
        birnn.load(tmp_path / "copy"),
        birnn.load(model.to_bytes()),
    ]
    expected = model.predict_logits(TEXTS[:2]).tobytes()
    for other in copies:
        assert other == model and hash(other) == hash(model) and other.hash == model.hash
        assert other.predict_logits(TEXTS[:2]).tobytes() == expected


def test_a_model_that_cannot_be_loaded_names_the_place(model: birnn.Model, tmp_path: Path) -> None:
    with pytest.raises(birnn.ModelError, match="nothing: there is no such folder"):
        birnn.load(tmp_path / "nothing")
    files = model.to_bytes()
    damaged = files["model.safetensors"]
    files["model.safetensors"] = damaged[:-1] + bytes([damaged[-1] ^ 1])
    with pytest.raises(birnn.ModelError, match="model.safetensors"):
        birnn.load(files)
    with pytest.raises(birnn.ArgumentError, match="there is no tokenizer.json"):
        birnn.load({"config.json": b"{}"})
    with pytest.raises(birnn.DeviceError, match="device cuda: this birnn was built without CUDA|device cuda"):
        birnn.load(device="cuda")


def test_threads_give_the_same_bytes(model: birnn.Model) -> None:
    texts = [f"A film of {number} parts, {'good' if number % 3 else 'bad'}." for number in range(300)]
    expected = model.predict_logits(texts).tobytes()
    found: list[bytes] = []

    def work() -> None:
        found.append(model.predict_logits(texts, threads=1).tobytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    for threads in (0, -1):
        with pytest.raises(birnn.ArgumentError, match=f"threads: {threads}, but at least 1"):
            model.predict(texts, threads=threads)


def test_the_number_of_threads_is_set() -> None:
    try:
        birnn.set_num_threads(3)
        assert birnn.num_threads() == 3
    finally:
        birnn.set_num_threads(None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_computes(model: birnn.Model) -> None:
    """The threads of a process are not there in one that was forked from it."""
    program = """
import birnn, os, signal
model = birnn.load()
expected = model.predict_logits(["Great fun."]).tobytes()
model.predict(["Great fun."], threads=1)
child = os.fork()
if child == 0:
    signal.alarm(60)
    same = model.predict_logits(["Great fun."]).tobytes() == expected
    same = same and model.predict_logits(["Great fun."], threads=1).tobytes() == expected
    os._exit(0 if same else 1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout == "0\n"

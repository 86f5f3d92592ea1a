"""Recurrent layers against values recorded from PyTorch (tests/fixtures/generate.py)."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import birnn
import numpy as np
import pytest
from birnn import nn

KINDS = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": nn.RNN,
    "rnn_relu": lambda *sizes, **options: nn.RNN(*sizes, nonlinearity="relu", **options),
}


def test_outputs_and_gradients_are_those_of_pytorch(fixtures: Path) -> None:
    numpy_format = pytest.importorskip("safetensors.numpy")
    recorded = numpy_format.load_file(fixtures / "recurrent.safetensors")
    cases: dict[str, dict[str, Any]] = {}
    for key, value in recorded.items():
        case, name = key.split("/", 1)
        cases.setdefault(case, {})[name] = value
    assert len(cases) >= 96
    for name, case in cases.items():
        _check(name, case)


def _check(name: str, case: dict[str, Any]) -> None:
    kind = name.split(".")[0]
    parameters = {key.split("/")[1]: value for key, value in case.items() if key.startswith("parameters/")}
    hidden_size = parameters["weight_hh_l0"].shape[1]
    stack = KINDS[kind](
        case["input"].shape[2],
        hidden_size,
        sum(key.startswith("weight_hh") and not key.endswith("_reverse") for key in parameters),
        bias="bias_hh_l0" in parameters,
        batch_first=True,
        bidirectional="weight_hh_l0_reverse" in parameters,
    )
    assert set(stack.state_dict()) == set(parameters)
    stack.load_state_dict(parameters)

    def state(prefix: str, suffix: str) -> Any:
        h = case[f"{prefix}h_{suffix}"]
        return (h, case[f"{prefix}c_{suffix}"]) if kind == "lstm" else h

    output, last = stack(case["input"], state("", "0"), lengths=case["lengths"])
    last = last if kind == "lstm" else (last,)
    expected = state("", "n") if kind == "lstm" else (state("", "n"),)
    np.testing.assert_allclose(output, case["output"], atol=2e-6, err_msg=name)
    for found, value in zip(last, expected, strict=True):
        np.testing.assert_allclose(found, value, atol=2e-6, err_msg=name)
    gradients = stack.backward(
        case["input"],
        case["loss/output"],
        state("loss/", "n"),
        state=state("", "0"),
        lengths=case["lengths"],
    )
    for key, value in case.items():
        if key.startswith("gradients/"):
            np.testing.assert_allclose(gradients[key.rsplit("/", 1)[1]], value, atol=2e-5, err_msg=f"{name} {key}")


def test_gradients_are_finite_differences() -> None:
    generator = np.random.default_rng(0)
    lstm = nn.LSTM(3, 4, bidirectional=True, seed=1)
    input = generator.normal(size=(5, 2, 3)).astype(np.float32)
    d_output = generator.normal(size=(5, 2, 8)).astype(np.float32)
    gradients = lstm.backward(input, d_output, lengths=[5, 3])
    for step, row, feature in [(0, 0, 0), (2, 1, 1), (4, 0, 2)]:
        small = 1e-2
        sums = []
        for sign in (1, -1):
            moved = input.copy()
            moved[step, row, feature] += sign * small
            output, _ = lstm(moved, lengths=[5, 3])
            sums.append(float((output.astype(np.float64) * d_output).sum()))
        difference = (sums[0] - sums[1]) / (2 * small)
        assert gradients["input"][step, row, feature] == pytest.approx(difference, abs=2e-3)


def test_the_same_seed_gives_the_same_layers() -> None:
    lstm, same, other = (nn.LSTM(3, 4, 2, dropout=0.5, seed=seed) for seed in (1, 1, 2))
    input = np.ones((5, 2, 3), dtype=np.float32)
    assert lstm(input)[0].tobytes() == same(input)[0].tobytes() != other(input)[0].tobytes()
    outputs = [lstm(input, training=training)[0].tobytes() for training in (False, True, True)]
    assert len(set(outputs)) == 3
    restored = pickle.loads(pickle.dumps(lstm))
    assert restored(input)[0].tobytes() == lstm(input)[0].tobytes()
    assert repr(lstm) == "LSTM(input_size=3, hidden_size=4, num_layers=2, bidirectional=False)"


def test_wrong_arguments_are_named() -> None:
    lstm = nn.LSTM(3, 4)
    input = np.ones((5, 2, 3), dtype=np.float32)
    for call, message in [
        (lambda: lstm(input, lengths=[9, 1]), "length"),
        (lambda: lstm(input[0]), "input"),
        (lambda: lstm("text"), "input: not an array of numbers"),
        (lambda: lstm(input, input), "a pair"),
        (lambda: lstm.load_state_dict({}), "is missing; these layers have"),
        (lambda: lstm.load_state_dict({**lstm.state_dict(), "x": input}), "x: these layers have"),
        (lambda: nn.LSTM(0, 4), "input_size"),
        (lambda: nn.LSTM(3, 4, hidden=5), "hidden"),
        (lambda: nn.RNN(3, 4, nonlinearity="sin"), "nonlinearity"),
    ]:
        with pytest.raises(birnn.BirnnError, match=message):
            call()

"""Recurrent layers on NumPy arrays, with PyTorch's parameters and results: for teaching and checking.

>>> import numpy as np
>>> lstm = LSTM(10, 20, num_layers=2, bidirectional=True)
>>> output, (h_n, c_n) = lstm(np.zeros((5, 3, 10), dtype=np.float32))
>>> output.shape, h_n.shape
((5, 3, 40), (4, 3, 20))
>>> sorted(lstm.state_dict())[:2]
['bias_hh_l0', 'bias_hh_l0_reverse']
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from birnn import _native
from birnn._arrays import given, made
from birnn.errors import ArgumentError

__all__ = ["GRU", "LSTM", "RNN"]

Array = NDArray[np.float32]
# The bytes and the shape of an array.
Given = tuple[bytes, list[int]]


class _Recurrent:
    """What the three kinds of layers have in common."""

    _cell: str
    _has_cell_state = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        seed: int = 0,
        **options: Any,
    ) -> None:
        config = {
            "cell_type": self._cell,
            "input_size": input_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
            "bias": bias,
            "batch_first": batch_first,
            "dropout": dropout,
            "bidirectional": bidirectional,
            **options,
        }
        self._seed = seed
        self._steps = 0
        self._native = _native.Recurrent(json.dumps(config), seed)

    def __call__(
        self,
        input: ArrayLike,
        state: Any = None,
        *,
        lengths: Sequence[int] | NDArray[np.integer[Any]] | None = None,
        training: bool = False,
    ) -> tuple[Array, Any]:
        """The output and the last state of ``[steps, batch, features]`` (with ``batch_first``, ``[batch, steps, features]``).

        ``lengths`` are the numbers of steps of the rows, in any order: what is after them is ignored, and the output there
        is 0, as after PyTorch's ``pad_packed_sequence``. Dropout applies with ``training=True``.
        """
        h, c = self._split(state)
        output, h_n, c_n = self._native.forward(
            _given("input", input), _lengths(lengths), h, c, self._phase(training)
        )
        last = made(h_n)
        return made(output), last if c_n is None else (last, made(c_n))

    def backward(
        self,
        input: ArrayLike,
        d_output: ArrayLike,
        d_state: Any = None,
        *,
        state: Any = None,
        lengths: Sequence[int] | NDArray[np.integer[Any]] | None = None,
    ) -> dict[str, Array]:
        """The gradients by name: of ``input``, of the initial state ``h_0`` and ``c_0`` if it is given, and of each parameter.

        They are those of ``(output * d_output).sum()``, plus ``(last_state * d_state).sum()`` if ``d_state`` is given.
        """
        h, c = self._split(state)
        d_h, d_c = self._split(d_state)
        gradients = self._native.backward(
            _given("input", input), _given("d_output", d_output), d_h, d_c, _lengths(lengths), h, c
        )
        return {name: made(gradient) for name, gradient in gradients.items()}

    def state_dict(self) -> dict[str, Array]:
        """Copies of the parameters, under PyTorch's names."""
        return {name: made(value) for name, value in self._native.state_dict().items()}

    def load_state_dict(self, values: Mapping[str, Any]) -> None:
        """Sets all parameters, from arrays or PyTorch's tensors."""
        self._native.load_state_dict({name: _given(name, value) for name, value in values.items()})

    def _phase(self, training: bool) -> tuple[int, int] | None:
        if not training:
            return None
        self._steps += 1
        return self._seed, self._steps

    def _split(self, state: Any) -> tuple[Given | None, Given | None]:
        if state is None:
            return None, None
        if not self._has_cell_state:
            return _given("state", state), None
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise ArgumentError("state: that of an LSTM is a pair (h_0, c_0)")
        return _given("h_0", state[0]), _given("c_0", state[1])

    def __repr__(self) -> str:
        config = json.loads(self._native.config())
        shown = ("input_size", "hidden_size", "num_layers", "bidirectional")
        return f"{type(self).__name__}({', '.join(f'{name}={config[name]}' for name in shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self._native.config(), self._seed, self.state_dict())


class RNN(_Recurrent):
    """``torch.nn.RNN``, whose ``nonlinearity`` is ``"tanh"`` or ``"relu"``; see :class:`LSTM`."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", **options: Any) -> None:
        cells = {"tanh": "rnn", "relu": "rnn-relu"}
        if nonlinearity not in cells:
            raise ArgumentError(f'nonlinearity: {nonlinearity!r}, but there are "tanh" and "relu"')
        self._cell = cells[nonlinearity]
        super().__init__(input_size, hidden_size, num_layers, **options)


class GRU(_Recurrent):
    """``torch.nn.GRU``; see :class:`LSTM`. ``reset_after=False`` is that of the paper (Cho et al. 2014)."""

    _cell = "gru"


class LSTM(_Recurrent):
    """``torch.nn.LSTM``: arguments, names and shapes of parameters, order of gates and results are PyTorch's.

    More keyword arguments are those of the Rust library: ``proj_size``, ``layer_norm``, ``locked_dropout``,
    ``recurrent_dropout``, ``weight_drop``, ``zoneout``, ``zoneout_cell``, ``learn_initial_state``.
    """

    _cell = "lstm"
    _has_cell_state = True


def _restored(kind: type[_Recurrent], config: str, seed: int, values: dict[str, Array]) -> _Recurrent:
    layers = kind.__new__(kind)
    layers._seed, layers._steps = seed, 0
    layers._native = _native.Recurrent(config, seed)
    layers.load_state_dict(values)
    return layers


def _given(name: str, value: Any) -> Given:
    if hasattr(value, "detach"):
        # A tensor of PyTorch.
        value = value.detach().cpu().numpy()
    try:
        return given(np.asarray(value, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name}: not an array of numbers: {error}") from None


def _lengths(lengths: Any) -> list[int] | None:
    if lengths is None:
        return None
    return [int(length) for length in np.asarray(lengths).reshape(-1)]

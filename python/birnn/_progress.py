"""What a run reports: bars and lines for a person, reports for callbacks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

#: The seconds between two lines about progress where there is no bar.
_BETWEEN_LINES = 10.0


class StepReport(NamedTuple):
    """The state after an optimizer step; loss and accuracy are those of the epoch so far."""

    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float | None
    gradient_norm: float
    learning_rate: float
    tokens_per_second: float


class EpochReport(NamedTuple):
    """The result of an epoch."""

    epoch: int
    step: int
    loss: float
    accuracy: float | None
    validation_loss: float
    validation_accuracy: float | None
    validation_macro_f1: float | None
    network_share: float | None
    best: bool
    seconds: float


Callback = Callable[[Any], Any]


def _report(kind: type, content: str) -> Any:
    values = json.loads(content)
    return kind(**{name: values.get(name) for name in kind._fields})  # type: ignore[attr-defined]


def _is_false(answer: Any) -> bool:
    """Whether a callback wants no more: with ``False``, also that of NumPy, but not with ``None`` or 0."""
    return isinstance(answer, (bool, np.bool_)) and not answer


class Handler:
    """Receives what happens in a run. A callback that returns ``False`` stops the run."""

    def __init__(
        self,
        on_step: Callback | None = None,
        on_epoch: Callback | None = None,
        progress: bool = False,
    ) -> None:
        self._on_step = on_step
        self._on_epoch = on_epoch
        self._shown = _Shown() if progress else None
        self.notes: list[str] = []
        self.history: list[EpochReport] = []

    def __call__(self, kind: str, content: Any) -> bool:
        if kind == "note":
            self.notes.append(content)
            self._show(lambda shown: shown.line(content))
        elif kind == "count":
            self._show(lambda shown: shown.count(*content))
        elif kind == "step":
            return self._step(content)
        elif kind == "epoch":
            return self._epoch(content)
        return True

    def _step(self, content: str) -> bool:
        if self._on_step is None and self._shown is None:
            return True
        report = _report(StepReport, content)
        self._show(lambda shown: shown.step(report))
        return self._on_step is None or not _is_false(self._on_step(report))

    def _epoch(self, content: str) -> bool:
        report = _report(EpochReport, content)
        self.history.append(report)
        self._show(lambda shown: shown.epoch(report))
        return self._on_epoch is None or not _is_false(self._on_epoch(report))

    def _show(self, show: Callable[[_Shown], None]) -> None:
        if self._shown is not None:
            show(self._shown)

    def close(self) -> None:
        """Removes the bar."""
        self._show(lambda shown: shown.clear())


class _Shown:
    """Bars by tqdm if it is there, otherwise lines, on stderr."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            tqdm = None
        self._tqdm: Any = tqdm
        self._bar: Any = None
        self._task = ""
        self._last_line = time.monotonic()

    def line(self, text: str) -> None:
        if self._tqdm is None:
            print(text, file=sys.stderr)
        else:
            self._tqdm.write(text, file=sys.stderr)

    def count(self, task: str, done: int, total: int | None, unit: str) -> None:
        self._to(task, done, total, unit, "")
        if done == total:
            self.clear()

    def step(self, report: StepReport) -> None:
        accuracy = "" if report.accuracy is None else f", accuracy {100 * report.accuracy:.2f} %"
        state = f"loss {report.loss:.4f}{accuracy}"
        self._to(f"epoch {report.epoch}", report.step, report.steps, "steps", state)

    def epoch(self, report: EpochReport) -> None:
        text = f"epoch {report.epoch}: loss {report.loss:.4f}; validation loss {report.validation_loss:.4f}"
        if report.validation_accuracy is not None:
            text += f", accuracy {100 * report.validation_accuracy:.2f} %"
        self.line(text + (" (best)" if report.best else "") + f"; {report.seconds:.0f} s")

    def _to(self, task: str, done: int, total: int | None, unit: str, state: str) -> None:
        if self._tqdm is None:
            now = time.monotonic()
            if now - self._last_line >= _BETWEEN_LINES:
                self._last_line = now
                of = "" if total is None else f" of {total}"
                print(f"{task}: {done}{of} {unit}" + (f", {state}" if state else ""), file=sys.stderr)
            return
        # The steps of all epochs are one bar.
        key = "epoch" if unit == "steps" else task
        if self._task != key:
            self.clear()
            self._task = key
            self._bar = self._tqdm(total=total, initial=done, unit=f" {unit}", leave=False, file=sys.stderr)
        self._bar.set_description(task)
        if state:
            self._bar.set_postfix_str(state, refresh=False)
        self._bar.update(done - self._bar.n)

    def clear(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._task = ""

"""Arrays between NumPy and the compiled part: their bytes and their shape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray



def made(array: tuple[bytearray, list[int]], dtype: Any = np.float32) -> NDArray[Any]:
    """The array of new bytes, without copying them."""
    bytes_, shape = array
    return np.frombuffer(bytes_, dtype=dtype).reshape(shape)


def given(array: NDArray[np.float32]) -> tuple[bytes, list[int]]:
    """An array of single precision as the compiled part takes it."""
    return array.tobytes(), list(array.shape)

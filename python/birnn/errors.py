"""The exceptions of birnn. Each message names the place, the problem and the remedy, as on the command line."""


class BirnnError(Exception):
    """Any error of birnn."""


class FileError(BirnnError, OSError):
    """The operating system refused to read or write a file."""

    def __init__(self, errno: "int | None", message: str, filename: str) -> None:
        # OSError gives its own class to some numbers, and its own text to all.
        BirnnError.__init__(self, message)
        self.errno = errno
        self.filename = filename
        self._message = message

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> "tuple[type[FileError], tuple[int | None, str, str]]":
        return FileError, (self.errno, self._message, str(self.filename))


class DataError(BirnnError, ValueError):
    """A file of texts, of vectors, or a data set has invalid contents."""


class ConfigError(BirnnError, ValueError):
    """A key of the config is unknown, or holds a value that cannot be used."""


class ModelError(BirnnError, ValueError):
    """A folder of a model, a checkpoint, a tokenizer or a file of weights cannot be used."""


class ArgumentError(BirnnError, ValueError):
    """An argument of a call cannot be used."""


class DeviceError(BirnnError, RuntimeError):
    """The requested device is not available."""


class TrainingError(BirnnError, ArithmeticError):
    """Training produced a number that is not finite."""


class BirnnWarning(UserWarning):
    """Something was skipped, cut, guessed or not known."""

"""The estimator, as scikit-learn uses it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import birnn
import numpy as np
import pytest
from conftest import SMALL

pytest.importorskip("sklearn")
from sklearn import config_context  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402
from sklearn.exceptions import SkipTestWarning  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

GOOD, BAD = ["warm", "witty", "lovely", "fine"], ["dull", "cold", "loud", "empty"]
TEXTS = [f"a {word} film of {number} parts" for number in range(8) for word in GOOD + BAD]
LABELS = (["yes"] * 4 + ["no"] * 4) * 8


def small(**options: Any) -> birnn.BiRnnClassifier:
    return birnn.BiRnnClassifier(**{**SMALL, "epochs": 12, "learning_rate": 0.03, "min_frequency": 1, **options})


@pytest.fixture(scope="module")
def fitted() -> birnn.BiRnnClassifier:
    return small().fit(TEXTS, LABELS)


def test_it_learns_and_predicts(fitted: birnn.BiRnnClassifier) -> None:
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert fitted.score(TEXTS, LABELS) == 1.0
    probabilities = fitted.predict_proba(TEXTS)
    assert probabilities.dtype == np.float32 and probabilities.shape == (64, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(fitted.predict_log_proba(TEXTS), np.log(probabilities))
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(TEXTS)).all()
    assert fitted.n_iter_ == len(fitted.history_) and 1 <= fitted.best_epoch_ <= fitted.n_iter_
    assert any("48 texts to train on" in line for line in fitted.notes_)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([3, 10], [3, 10]),
        ([True, False], [False, True]),
        ([1.0, 0.0], [0.0, 1.0]),
        (np.array(["b", "a"]), ["a", "b"]),
        (["1", "01"], ["01", "1"]),
    ],
)
def test_classes_are_what_they_were(labels: Any, classes: list[Any]) -> None:
    y = [labels[0] if label == "yes" else labels[1] for label in LABELS]
    classifier = small(epochs=2).fit(TEXTS, y)
    assert classifier.classes_.tolist() == classes
    assert set(classifier.predict(TEXTS).tolist()) <= set(classes)
    assert classifier.predict_proba(TEXTS[:1]).shape == (1, len(classes))


def test_columns_of_other_libraries_are_texts_and_labels() -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    expected = small(epochs=2).fit(TEXTS, LABELS).predict_proba(TEXTS).tobytes()
    for X, y in [
        (pandas.Series(TEXTS), pandas.Series(LABELS)),
        (polars.Series(TEXTS), polars.Series(LABELS)),
        (np.array(TEXTS, dtype=object), np.array(LABELS).reshape(-1, 1)),
    ]:
        assert small(epochs=2).fit(X, y).predict_proba(X).tobytes() == expected


def test_several_labels_are_lists_or_a_matrix() -> None:
    matrix = np.array([[label == "yes", number % 2] for number, label in enumerate(LABELS)], dtype=int)
    lists = [[name for name, value in zip(("good", "odd"), row) if value] for row in matrix]
    of_matrix, of_lists = small().fit(TEXTS, matrix), small().fit(TEXTS, lists)
    predicted = of_matrix.predict(TEXTS)
    assert predicted.shape == matrix.shape and (predicted[:, 0] == matrix[:, 0]).mean() > 0.9
    assert of_lists.classes_.tolist() == ["good", "odd"]
    assert [("good" in row) for row in of_lists.predict(TEXTS)] == predicted[:, 0].astype(bool).tolist()
    assert of_lists.score(TEXTS, lists) == of_matrix.score(TEXTS, matrix) == (predicted == matrix).all(axis=1).mean()
    pandas, sparse = pytest.importorskip("pandas"), pytest.importorskip("scipy.sparse")
    for other in (matrix.tolist(), pandas.DataFrame(matrix, columns=["good", "odd"]), sparse.csr_matrix(matrix)):
        assert small().fit(TEXTS, other).predict(TEXTS).tolist() == predicted.tolist()
    column = pandas.DataFrame({"label": LABELS})
    assert small().fit(TEXTS, column).classes_.tolist() == ["no", "yes"]


def test_every_key_of_a_network_is_an_argument() -> None:
    arguments = set(birnn.BiRnnClassifier().get_params())
    of_runs_in_folders = {"output", "checkpoint_every", "log_every", "first_evaluation", "teachers", "precision"}
    of_network = {
        key.rsplit(".", 1)[-1]
        for key in birnn.config_keys()
        if not key.startswith("data.")
    }
    assert of_network - of_runs_in_folders <= arguments
    assert arguments - of_network == {"validation_fraction", "validation_limit", "config", "device", "threads", "verbose"}


def test_a_config_is_a_dict_or_a_recipe() -> None:
    keyword = small(epochs=2).fit(TEXTS, LABELS)
    of_dict = birnn.BiRnnClassifier(config={**SMALL, "learning_rate": 0.03, "min_frequency": 1}, epochs=2).fit(TEXTS, LABELS)
    assert of_dict.model_ == keyword.model_
    recipe = birnn.BiRnnClassifier(config="d2l", epochs=1, num_hiddens=8, embedding_size=8, vectors=None)
    assert recipe.fit(TEXTS, LABELS).model_ != keyword.model_


def test_copies_predict_the_same(fitted: birnn.BiRnnClassifier) -> None:
    restored = pickle.loads(pickle.dumps(fitted))
    assert restored.predict_proba(TEXTS).tobytes() == fitted.predict_proba(TEXTS).tobytes()
    fresh = clone(fitted)
    assert fresh.get_params() == fitted.get_params() and not hasattr(fresh, "model_")
    with pytest.raises(NotFittedError):
        fresh.predict(TEXTS)
    again = fresh.fit(TEXTS, LABELS)
    assert again.model_ == fitted.model_
    assert repr(fresh.set_params(epochs=3)).startswith("BiRnnClassifier(")


def test_it_is_searched_validated_calibrated_and_piped() -> None:
    search = GridSearchCV(small(), {"num_hiddens": [4, 8], "epochs": [1, 12]}, cv=2).fit(TEXTS, LABELS)
    assert search.best_params_["epochs"] == 12 and search.best_score_ > 0.9
    parallel = GridSearchCV(small(threads=1), {"epochs": [1, 12]}, cv=2, n_jobs=2).fit(TEXTS, LABELS)
    assert parallel.best_params_ == {"epochs": 12}
    assert cross_val_score(small(), TEXTS, LABELS, cv=2).mean() > 0.9
    assert cross_val_predict(small(), TEXTS, LABELS, cv=2, method="predict_proba").shape == (64, 2)
    calibrated = CalibratedClassifierCV(small(), cv=2).fit(TEXTS, LABELS)
    assert calibrated.predict_proba(TEXTS).shape == (64, 2)
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    with config_context(transform_output="default"):
        assert make_pipeline(lower, small()).fit(TEXTS, LABELS).score(TEXTS, LABELS) == 1.0


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (TEXTS, None, "requires y to be passed, but the target y is None"),
        (TEXTS, ["yes"] * 64, "y: there is only one class, yes, but at least two classes are needed"),
        (TEXTS, LABELS[:5], "labels: 5 of them for 64 texts"),
        (TEXTS, [None] + LABELS[1:], r"y\[0\] is missing: leave its text out"),
        (TEXTS, np.linspace(0, 1, 64), "Unknown label type: continuous"),
        (TEXTS, [["yes"]] + LABELS[1:], r"y\[1\]: one label, but others are lists of labels"),
        ([None] + TEXTS[1:], LABELS, r"texts\[0\] is missing \(1 of 64 are\): leave them and their labels out"),
        (np.zeros((64, 3)), LABELS, "an array of 2 dimensions"),
        (TEXTS, np.array([np.nan] + LABELS[1:], dtype=object), r"y\[0\] is missing"),
        ([], [], "y: there is none"),
    ],
)
def test_wrong_texts_and_labels_are_named(texts: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small().fit(texts, labels)


class OfNumbers(birnn.BiRnnClassifier):
    """The estimator on matrices of numbers, each of which is written as a word: for the checks of scikit-learn."""

    def fit(self, X: Any, y: Any) -> Any:
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        return super().fit(self._words(X), y)

    def predict(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict(self._words(validate_data(self, X, reset=False)))

    def predict_proba(self, X: Any) -> Any:
        check_is_fitted(self)
        return super().predict_proba(self._words(validate_data(self, X, reset=False)))

    def _words(self, X: Any) -> list[str]:
        numbers = np.clip(np.floor(X), -9, 9).astype(int)
        return [" ".join(f"f{column}_{number}" for column, number in enumerate(row)) for row in numbers]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, False, True
        tags.classifier_tags.multi_label = False
        return tags


def test_the_checks_of_scikit_learn() -> None:
    """All of them, on numbers that are written as words; on texts themselves scikit-learn has checks of copies alone."""
    estimator = OfNumbers(**{**SMALL, "epochs": 8, "learning_rate": 0.03, "min_frequency": 1})
    found = estimator_checks.check_estimator(estimator, on_skip=None)
    skipped = {check["check_name"] for check in found if check["status"] == "skipped"}
    assert len(found) > 40 and skipped <= {"check_array_api_input"}
    with pytest.warns(SkipTestWarning, match="Can't test estimator BiRnnClassifier"):
        found = estimator_checks.check_estimator(small())
    assert all(check["status"] in ("passed", "skipped") for check in found)

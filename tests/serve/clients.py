"""Asks a running `birnn serve` as other programs do, and compares with what `birnn predict --json` says.

    clients.py BIRNN URL [TOKEN]

The server has the model that is part of the program. Hugging Face's own client asks `POST /`; requests as they are written
for Text Embeddings Inference ask `POST /predict` and `GET /info`.
"""

import json
import math
import subprocess
import sys
import urllib.error
import urllib.request

from huggingface_hub import InferenceClient

TEXTS = [
    "Not bad at all!",
    "I want my money back.",
    "",
    "Ünïcödé, 字 and 🎬: \"quoted\"\tand\nwith lines.",
    "good " * 2000,
]

birnn, url = sys.argv[1:3]
token = sys.argv[3] if len(sys.argv) > 3 else None


def predicted(texts):
    """What the command line says of each text; one at a time, as the server gets them."""
    answers = []
    for text in texts:
        ran = subprocess.run(
            [birnn, "predict", "--json", "--", text],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        answers.append(json.loads(ran.stdout))
    return answers


def ask(path, body=None, authorization=token):
    """The status and the content of an answer."""
    request = urllib.request.Request(url + path)
    if authorization:
        request.add_header("Authorization", f"Bearer {authorization}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def answered(path, body=None):
    status, content = ask(path, body)
    assert status == 200, (path, status, content)
    return content


def check(found, scores, what):
    """Classes by their scores, the highest first. In a batch, sums are made in another order."""
    labels = [label for label, _ in found]
    assert labels == sorted(scores, key=scores.get, reverse=True)[: len(found)], (what, found)
    for label, score in found:
        assert math.isclose(score, scores[label], abs_tol=1e-5), (what, label, score, scores)


def of_objects(ranked):
    for entry in ranked:
        assert set(entry) == {"label", "score"}, entry
    return [(entry["label"], entry["score"]) for entry in ranked]


def hugging_face(expected):
    client = InferenceClient(token=token)
    for text, known in zip(TEXTS, expected):
        scores = known["scores"]
        for top_k in [None, 1, 2, 10]:
            # Left out, it is not even null in the request.
            given = {} if top_k is None else {"top_k": top_k}
            found = client.text_classification(text, model=url, **given)
            assert len(found) == min(top_k or len(scores), len(scores)), (top_k, found)
            check([(entry.label, entry.score) for entry in found], scores, (text, top_k))
        raw = client.text_classification(text, model=url, function_to_apply="none")
        logits = dict(zip(scores, known["logits"]))
        check([(entry.label, entry.score) for entry in raw], logits, (text, "none"))


def text_embeddings_inference(expected):
    for text, known in zip(TEXTS, expected):
        scores = known["scores"]
        check(of_objects(answered("/predict", {"inputs": text})), scores, text)
        # All fields that these clients send, with their defaults.
        body = {"inputs": text, "truncate": True, "raw_scores": False}
        check(of_objects(answered("/predict", body)), scores, text)
        raw = answered("/predict", {"inputs": text, "raw_scores": True})
        check(of_objects(raw), dict(zip(scores, known["logits"])), text)
    # A batch is a list of lists there.
    for inputs in [[[text] for text in TEXTS], TEXTS]:
        batch = answered("/predict", {"inputs": inputs})
        assert len(batch) == len(TEXTS), batch
        for text, known, ranked in zip(TEXTS, expected, batch):
            check(of_objects(ranked), known["scores"], text)
    whole = {"inputs": TEXTS[-1], "truncate": False}
    for body, status in [
        (whole, 413),
        ({"inputs": []}, 422),
        ({"inputs": [["a", "b"]]}, 422),
        ({"texts": "a"}, 422),
    ]:
        found, error = ask("/predict", body)
        assert found == status and error["error_type"] == "Validation", (body, found, error)
        assert isinstance(error["error"], str), error

    information = answered("/info")
    labels = list(expected[0]["scores"])
    classifier = information["model_type"]["classifier"]
    assert classifier["id2label"] == {str(at): label for at, label in enumerate(labels)}
    assert classifier["label2id"] == {label: at for at, label in enumerate(labels)}
    # Texts are cut after as many tokens as the server says.
    limit = information["max_input_length"]
    for known in expected:
        assert known["truncated"] == (0 < limit < known["tokens"]), (limit, known)
    many = ["a"] * (information["max_client_batch_size"] + 1)
    assert ask("/predict", {"inputs": many})[0] == 413


def tokens():
    if token is None:
        return
    for wrong in [None, token + "x", token[:-1]]:
        for path, body in [("/predict", {"inputs": "a"}), ("/", {"inputs": "a"}), ("/info", None)]:
            status, error = ask(path, body, authorization=wrong)
            assert status == 401 and error["error_type"] == "Unauthorized", (wrong, status, error)
    assert ask("/health", authorization=None)[0] == 200


known = predicted(TEXTS)
hugging_face(known)
text_embeddings_inference(known)
tokens()
print("the answers to clients are those of the command line")

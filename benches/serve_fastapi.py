#!/usr/bin/env python3
"""The same model behind FastAPI, uvicorn and PyTorch: what `birnn serve` is compared with.

    pip install fastapi 'uvicorn[standard]' torch tokenizers safetensors numpy
    python benches/serve_fastapi.py                             # data/pretrained on http://127.0.0.1:8000, one process
    python benches/serve_fastapi.py --model runs/d2l --port 8001
    python benches/serve_fastapi.py --workers 2                 # two processes with one thread each
    python benches/serve_fastapi.py --endpoint def              # FastAPI's own thread pool

    curl -H 'Content-Type: application/json' -d '{"inputs": "Not bad at all!"}' http://127.0.0.1:8000/predict

It is written as such servers usually are: each request is a batch of its own, which is packed if its
texts differ in length, and PyTorch runs beside the event loop, in one thread (`--endpoint executor`)
or in those of FastAPI (`def`). POST /predict takes `inputs` (a text or a list) and `truncate`, and
answers as `birnn serve` does; the header x-compute-tokens has the number of tokens, and GET /health
answers once the model is loaded. An LSTM with the poolings `ends` and `max` and one label a text is
all that it reads: a model with n-grams or TF-IDF is refused, not read without them.

Needs Python 3.10 or newer.
"""

import argparse
import asyncio
import json
import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from safetensors import safe_open
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
POOLINGS = {"ends": 2, "max": 1}


class BiRNN(torch.nn.Module):
    """The network of docs/pytorch.md, with pooling over time."""

    def __init__(self, vocabulary_size, classes, model):
        super().__init__()
        layers, both = model["num_layers"], model.get("bidirectional", True)
        self.pooling = model["pooling"]
        width = model["num_hiddens"] * (2 if both else 1)
        self.embedding = torch.nn.Embedding(vocabulary_size, model["embedding_size"])
        self.encoder = torch.nn.LSTM(
            model["embedding_size"], model["num_hiddens"], layers, bias=model.get("bias", True), bidirectional=both
        )
        self.decoder = torch.nn.Linear(width * sum(POOLINGS[kind] for kind in self.pooling), classes)

    def forward(self, ids, lengths):  # [steps, batch], [batch]
        embedded = self.embedding(ids)
        if bool((lengths == len(ids)).all()):
            outputs, _ = self.encoder(embedded)
        else:
            packed = torch.nn.utils.rnn.pack_padded_sequence(embedded, lengths, enforce_sorted=False)
            outputs, _ = self.encoder(packed)
            outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, padding_value=float("-inf"))
        parts = []
        for kind in self.pooling:
            if kind == "ends":
                parts += [outputs[0], outputs[lengths - 1, torch.arange(len(lengths))]]
            else:
                parts.append(outputs.max(dim=0).values)
        return self.decoder(torch.cat(parts, dim=1))


class Classifier:
    """A model folder of birnn."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model, text = config["model"], config.get("text", {})
        unread = [
            (model.get("cell", "lstm") != "lstm", "its cell is no LSTM"),
            (model.get("output", "softmax") != "softmax", "a text may have several labels"),
            (bool(model.get("ngrams", {}).get("order")), "it has n-grams"),
            (not set(model["pooling"]) <= set(POOLINGS), f"its pooling is {model['pooling']}"),
            (text.get("truncation", "head") != "head", "it does not read the beginning of a long text"),
        ]
        for is_unread, reason in unread:
            if is_unread:
                raise SystemExit(f"{folder}: this server cannot read the model: {reason}")
        self.labels = config["labels"]
        self.max_tokens = text.get("max_tokens")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.unknown = self.tokenizer.token_to_id("<unk>") or 0
        with safe_open(folder / "model.safetensors", "pt") as file:
            metadata = file.metadata() or {}
            # Large matrices may be stored in half precision.
            weights = {name: file.get_tensor(name).float() for name in file.keys()}
        self.temperature = float(config.get("temperature") or metadata.get("temperature", 1))
        self.network = BiRNN(len(weights["embedding.weight"]), len(self.labels), model).eval()
        self.network.load_state_dict(weights)

    @torch.inference_mode()
    def predict(self, texts, truncate=True):
        """For each text the labels with their probabilities, highest first; and the number of tokens."""
        encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        # An empty text is read as one unknown token.
        ids = [encoding.ids or [self.unknown] for encoding in encodings]
        if self.max_tokens and any(len(row) > self.max_tokens for row in ids):
            if not truncate:
                raise HTTPException(422, f"a text has more than {self.max_tokens} tokens")
            ids = [row[: self.max_tokens] for row in ids]
        lengths = torch.tensor([len(row) for row in ids])
        padded = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in ids])
        logits = self.network(padded, lengths)
        answers = []
        for scores in torch.softmax(logits / self.temperature, dim=1).tolist():
            pairs = sorted(zip(self.labels, scores), key=lambda pair: -pair[1])
            answers.append([{"label": label, "score": score} for label, score in pairs])
        return answers, int(lengths.sum())


class Request(BaseModel):
    """The body of a request."""

    inputs: str | list[str] | list[list[str]]
    truncate: bool = True


def create_app():
    """The application of one process; its settings are in the environment, which the processes share."""
    torch.set_num_threads(int(os.environ["SERVE_THREADS"]))
    classifier = Classifier(os.environ["SERVE_MODEL"])
    # The first call is slower.
    classifier.predict(["one", "two words"])
    app = FastAPI()

    def answer(request):
        is_one = isinstance(request.inputs, str)
        texts = [request.inputs] if is_one else request.inputs
        texts = [text if isinstance(text, str) else " ".join(text) for text in texts]
        answers, tokens = classifier.predict(texts, request.truncate) if texts else ([], 0)
        headers = {"x-compute-tokens": str(tokens)}
        return JSONResponse(answers[0] if is_one else answers, headers=headers)

    if os.environ["SERVE_ENDPOINT"] == "def":

        @app.post("/predict")
        def predict(request: Request):
            return answer(request)

    else:
        executor = ThreadPoolExecutor(max_workers=1)

        @app.post("/predict")
        async def predict(request: Request):
            return await asyncio.get_running_loop().run_in_executor(executor, answer, request)

    @app.get("/health")
    async def health():
        return {"status": "ok"}

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(ROOT / "data/pretrained"), help="the folder of a model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="the number of processes")
    parser.add_argument("--threads", type=int, help="the threads of PyTorch in each process: 2, or 1 with several workers")
    parser.add_argument("--endpoint", choices=["executor", "def"], default="executor")
    parser.add_argument("--access-log", action="store_true")
    arguments = parser.parse_args()
    if not (pathlib.Path(arguments.model) / "config.json").is_file():
        sys.exit(f"{arguments.model} is no folder of a model: it has no config.json")
    os.environ["SERVE_MODEL"] = arguments.model
    os.environ["SERVE_THREADS"] = str(arguments.threads or (2 if arguments.workers == 1 else 1))
    os.environ["SERVE_ENDPOINT"] = arguments.endpoint
    uvicorn.run(
        "serve_fastapi:create_app",
        factory=True,
        app_dir=str(pathlib.Path(__file__).resolve().parent),
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        access_log=arguments.access_log,
        log_level="info" if arguments.access_log else "warning",
    )


if __name__ == "__main__":
    main()

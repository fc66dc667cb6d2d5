"""SentenceEncoder: texts to vectors by a pretrained BERT, such as MiniLM.

In: a folder as sentence-transformers saves it (config.json, model.safetensors, tokenizer.json). Out: one vector per text.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnfast import passes
from nnfast.config import get_num_threads
from nnfast.errors import DataError, ModelFileError, missing_extra
from nnfast.graph.ir import Graph
from nnfast.graph.trace import tracing
from nnfast.io.safetensors import load_safetensors
from nnfast.layers.bert import BertEncoder
from nnfast.plan.plan import Plan, build

MOST_PLANS = 64


def bert_mapping(name: str) -> dict[str, str | None]:
    """How PyTorch's BertModel names the weights of a BertEncoder of this name: a mapping for nnfast.io.load_safetensors."""
    norm = {"weight": "gamma", "bias": "beta"}
    parts: dict[str, str | None] = {
        r"(?:bert\.)?embeddings\.word_embeddings\.weight": f"{name}_words/embeddings",
        r"(?:bert\.)?embeddings\.position_embeddings\.weight": f"{name}_places/embeddings",
        r"(?:bert\.)?embeddings\.token_type_embeddings\.weight": f"{name}_segments/embeddings",
        r"(?:bert\.)?embeddings\.position_ids": None,
        r"(?:bert\.)?pooler\..*": None,
    }
    layer = r"(?:bert\.)?encoder\.layer\.(\d+)\."
    for theirs, ours in norm.items():
        parts[rf"(?:bert\.)?embeddings\.LayerNorm\.{theirs}"] = f"{name}_norm/{ours}"
        parts[rf"{layer}attention\.output\.LayerNorm\.{theirs}"] = rf"{name}_\1_self_attention_layer_norm/{ours}"
        parts[rf"{layer}output\.LayerNorm\.{theirs}"] = rf"{name}_\1_output_layer_norm/{ours}"
    for theirs, ours in {"weight": "kernel", "bias": "bias"}.items():
        for part in ("query", "key", "value"):
            parts[rf"{layer}attention\.self\.{part}\.{theirs}"] = rf"{name}_\1_self_attention/{part}/{ours}"
        parts[rf"{layer}attention\.output\.dense\.{theirs}"] = rf"{name}_\1_self_attention/attention_output/{ours}"
        parts[rf"{layer}intermediate\.dense\.{theirs}"] = rf"{name}_\1_intermediate/{ours}"
        parts[rf"{layer}output\.dense\.{theirs}"] = rf"{name}_\1_output/{ours}"
    return parts


class SentenceEncoder:
    """Vectors of texts: the mean over a BERT's tokens, divided by its norm.

    folder: holds config.json, model.safetensors and, for `encode`, tokenizer.json. max_length: tokens of a text that are read.

    >>> encoder = SentenceEncoder("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> encoder.encode(["A sentence.", "Another one."]).shape  # doctest: +SKIP
    (2, 384)
    """

    def __init__(self, folder: str | os.PathLike[str], max_length: int = 256) -> None:
        self.folder = Path(folder)
        try:
            config = json.loads((self.folder / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise ModelFileError(f"{self.folder / 'config.json'}: cannot be read ({error})") from error
        if config.get("hidden_act") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
            raise ModelFileError(f"{self.folder}: expected a BERT with gelu and absolute positions, got {config}")
        self.max_length = min(max_length, config["max_position_embeddings"])
        self.layer = BertEncoder(
            config["vocab_size"], config["num_hidden_layers"], config["num_attention_heads"], config["hidden_size"],
            config["intermediate_size"], config["max_position_embeddings"], config["type_vocab_size"], pooling="mean",
            layer_norm_epsilon=config["layer_norm_eps"], name="bert",
        )  # fmt: skip
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        self._plan(1, 2)  # builds the layers
        load_safetensors(self.folder / "model.safetensors", self.layer, bert_mapping("bert"))
        self._tokenizer: Any = None

    def __call__(self, ids: Any) -> np.ndarray:
        """Vectors, float32 (texts, features), of token numbers (texts, length), 0 where a text is shorter."""
        tokens = np.asarray(ids)
        if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or not tokens.size:
            raise DataError(
                f"SentenceEncoder: ids {tokens.dtype}{list(tokens.shape)}: expected whole numbers (texts, length)"
            )
        return self._plan(*tokens.shape).call([np.ascontiguousarray(tokens, np.int32)])[0]

    def encode(self, texts: Sequence[str], batch_size: int = 32) -> np.ndarray:
        """Vectors of texts, in their order; texts of like length are computed together (extra `text`)."""
        found = [e.ids for e in self._tokens().encode_batch(list(texts))]
        order = sorted(range(len(found)), key=lambda i: len(found[i]))
        vectors: list[Any] = [None] * len(found)
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            ids = np.zeros((len(chosen), max(len(found[i]) for i in chosen)), np.int32)
            for row, i in enumerate(chosen):
                ids[row, : len(found[i])] = found[i]
            for i, vector in zip(chosen, self(ids), strict=True):
                vectors[i] = vector
        return np.stack(vectors) if vectors else np.zeros((0, self.layer.words.output_dim), np.float32)

    def _tokens(self) -> Any:
        if self._tokenizer is None:
            try:
                from tokenizers import Tokenizer
            except ImportError as error:
                raise missing_extra("tokenizers", "text") from error
            self._tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(self.max_length)
        return self._tokenizer

    def _plan(self, rows: int, length: int) -> Plan:
        key = rows, length, get_num_threads()
        plan = self._plans.get(key)
        if plan is None or not plan.valid:
            graph = Graph()
            with tracing(graph, training=False):
                graph.outputs = [self.layer(graph.input((rows, length), "int32", "ids"))]
            graph = passes.run(passes.run(graph, forward=True), forward=False)
            plan = self._plans[key] = build(graph, threads=get_num_threads())
            if len(self._plans) > MOST_PLANS:
                self._plans.popitem(last=False)
        return plan

"""Seconds for norms, relevance, decompositions and Jacobians compared with forward and backward runs, and their FLOPs.

    python -m tests.benchmark.attributions

One thread, the median of a few calls, on the trained DistilBERT (6 layers, 384 wide) and sentences of SST-2
concatenated to 30 tokens. We report processor time, which a busy machine distorts less than wall-clock time.
"""

import time
from collections.abc import Callable
from statistics import median

import pandas as pd
import torch

from harness.contracts import Explainer
from harness.tracing.batch import Example, Role, collate
from harness.tracing.run import Trace
from methods.explainers.alti import Alti
from methods.explainers.attention_attribution import AttentionAttribution
from methods.explainers.decompx import DecompX
from methods.explainers.generic_relevance import GenericRelevance
from methods.explainers.globenc import GlobEnc
from methods.explainers.hidden_token_attribution import HiddenTokenAttribution
from methods.explainers.norm_based import NormBased
from methods.explainers.value_zeroing import ValueZeroing
from tests.benchmark.models import Subject, sst2

TOKENS, EXAMPLES = 30, 4
METHODS = {
    "norm_based": NormBased(),
    "norm_residual_layer_norm": NormBased("layer_norm"),
    "globenc": GlobEnc(),
    "alti": Alti(),
    "generic_relevance": GenericRelevance(),
    "attention_attribution": AttentionAttribution(steps=20),
    "value_zeroing": ValueZeroing(),
    "value_zeroing_rollout": ValueZeroing(rollout=True),
    "decompx": DecompX(),
    "hidden_token_attribution_sampled": HiddenTokenAttribution(samples=32),
    "hidden_token_attribution": HiddenTokenAttribution(),
    "hidden_token_attribution_by_head": HiddenTokenAttribution("head"),
}
LAYERS = 6
PASSES = {"attention_attribution": 20 * LAYERS}  # forward and backward, where a method's definition requires many


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Median processor time of a call, after one warm-up call."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return median(times)


def stacked(subject: Subject) -> Subject:
    """Its sentences concatenated and cut to `TOKENS` tokens."""
    words = [word for one in subject.batch.examples for word in one.input_ids[1:-1]]
    first, last = subject.batch.examples[0].input_ids[0], subject.batch.examples[0].input_ids[-1]
    size = TOKENS - 2
    roles = [Role.CLS, *[Role.CONTENT] * size, Role.FINAL]
    chosen = [
        Example(str(index), [first, *words[index * size : (index + 1) * size], last], roles, 0, 0)
        for index in range(EXAMPLES)
    ]
    return Subject(subject.name, subject.module, collate(chosen, "all", subject.batch.blank_ids))


def layers_arithmetic(hidden: int, layers: int) -> float:
    """Floating-point operations of n re-runs of n tokens through every layer, for all examples: matrix products."""
    linear = 24 * hidden**2 * TOKENS  # four projections and a feed-forward block four times as wide
    return EXAMPLES * TOKENS * layers * (linear + 4 * TOKENS**2 * hidden)


def matrix_product_rate() -> float:
    """Floating-point operations per second of a layer's largest product, in float32."""
    left, right = torch.randn(2048, 384), torch.randn(384, 1536)
    return 2 * 2048 * 384 * 1536 / seconds(lambda: left @ right, repeats=15)


def table() -> pd.DataFrame:
    """One line per method; empty if the checkpoint is absent."""
    subject = sst2()
    if subject is None:
        return pd.DataFrame()
    subject = stacked(subject)
    hidden = subject.module.config.dim
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one, because processor time adds up all threads

    def forward_and_backward() -> None:
        trace = Trace(subject.module, subject.batch)
        assert trace.gradient.isfinite().all()

    run = seconds(forward_and_backward)
    reruns = layers_arithmetic(hidden, LAYERS) / matrix_product_rate()
    rows = []
    for name, method in METHODS.items():
        trace = Trace(subject.module, subject.batch)

        def alone(method: Explainer = method, trace: Trace = trace) -> None:
            trace.forget()  # otherwise it would find what the previous call cached
            method(trace)

        taken = seconds(alone)
        rows.append(
            {
                "method": name,
                "milliseconds an example": round(1000 * taken / EXAMPLES, 1),
                "of forward and backward": round(taken / run, 2),
                "of all its forward and backward": round(taken / run / PASSES.get(name, 1), 2),
                "of the arithmetic of n re-runs of each layer": round(taken / reruns, 3),
            }
        )
    torch.set_num_threads(threads)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    print(table().to_string(index=False))

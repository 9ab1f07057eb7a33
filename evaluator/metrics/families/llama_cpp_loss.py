"""The loss of the file as llama.cpp runs it; measured by the engine stage of a run."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column

METRIC_FAMILIES.add(
    "llama_cpp_loss",
    Family(
        "Loss in llama.cpp",
        13,
        (
            Column(
                "llamacpp_kld_mean",
                "KLD that llama.cpp adds",
                "loss that llama.cpp's kernels and cache add to the file's own (`kld_mean`): KL divergence of "
                "llama.cpp from the file's exact weights",
                "nats",
                better="lower",
                run="kld_added",
            ),
            Column(
                "llamacpp_baseline_kld_mean",
                "KLD in llama.cpp",
                "loss of the file as llama.cpp runs it: KL divergence of llama.cpp from the baseline's exact weights",
                "nats",
                better="lower",
                main=True,
                run="kld_mean",
            ),
            Column(
                "llamacpp_ppl",
                "Perplexity in llama.cpp",
                "perplexity of the file as llama.cpp runs it",
                better="lower",
                low=0,
            ),
        ),
        over="all tokens",
        engine="llama.cpp",
    ),
)

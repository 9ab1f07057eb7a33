"""The loss of the file as llama.cpp runs it; measured by the engine stage of a run."""

from __future__ import annotations

from collections.abc import Iterator

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column


def _against(reference: str, whose: str, ratio: str, top: str) -> Iterator[Column]:
    """Yield the columns that compare llama.cpp with exact weights token by token; `ratio` and `top` are labels."""
    prefix = f"llamacpp_{reference}"
    yield Column(
        f"{prefix}ln_ppl_ratio",
        ratio,
        f"ln of the ratio of the perplexity in llama.cpp to that of {whose} exact weights, on the same tokens",
        "nats",
        better="lower",
        error=f"{prefix}ln_ppl_ratio_se",
        clustered=True,
    )
    yield Column(
        f"{prefix}same_top",
        top,
        f"share of tokens where llama.cpp and {whose} exact weights have the same most probable token",
        "share",
        better="higher",
        error=f"{prefix}same_top_se",
        clustered=True,
        low=0,
        high=1,
    )


METRIC_FAMILIES.add(
    "llama_cpp_loss",
    Family(
        "Loss in llama.cpp",
        13,
        (
            Column(
                "llamacpp_n_tokens",
                "Tokens compared in llama.cpp",
                "scored tokens that the losses in llama.cpp are means over",
                "count",
                low=1,
                whole=True,
                run="n_tokens",
            ),
            Column(
                "llamacpp_kld_mean",
                "KLD that llama.cpp adds",
                "loss that llama.cpp's kernels and cache add to the file's own (`kld_mean`): KL divergence of "
                "llama.cpp from the file's exact weights",
                "nats",
                better="lower",
                error="llamacpp_kld_se",
                clustered=True,
                run="kld_added",
            ),
            Column(
                "llamacpp_baseline_kld_mean",
                "KLD in llama.cpp",
                "loss of the file as llama.cpp runs it: KL divergence of llama.cpp from the baseline's exact "
                "weights, on the tokens compared in llama.cpp (`llamacpp_n_tokens`)",
                "nats",
                better="lower",
                error="llamacpp_baseline_kld_se",
                clustered=True,
                main=True,
                run="kld_mean",
            ),
            Column(
                "llamacpp_kld_change",
                "KLD change in llama.cpp",
                "KLD of llama.cpp from the baseline's exact weights minus that of the file's exact weights "
                "(`kld_mean`), on the same tokens",
                "nats",
                better="lower",
                error="llamacpp_kld_change_se",
                clustered=True,
                run="kld_change",
            ),
            Column(
                "llamacpp_ppl",
                "Perplexity in llama.cpp",
                "perplexity of the file as llama.cpp runs it",
                better="lower",
                error="llamacpp_ppl_se",
                clustered=True,
                low=0,
            ),
            *_against(
                "", "the file's", "ln PPL ratio that llama.cpp adds", "Same top token, llama.cpp and file"
            ),
            *_against(
                "baseline_", "the baseline's", "ln PPL ratio in llama.cpp", "Same top token in llama.cpp"
            ),
        ),
        over="all tokens",
        engine="llama.cpp",
    ),
)

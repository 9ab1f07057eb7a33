"""Hand-written variants, for testing rules and findings without a results folder."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from dashboard.results.engines import columns_by_engine, run_columns
from dashboard.results.results import Results
from evaluator.results.manifest import NoiseFloor


class NoTokens:
    """Results without token files and noise floor, so that comparisons fall back on the rows."""

    manifest = SimpleNamespace(baseline_id="base", noise_floor=None)
    engines = ("onnxruntime",)
    methods = ("bartowski", "main")

    def engine(self, _selection: object) -> str:
        return "onnxruntime"

    def speed(self, _engine: str) -> None:
        return None

    def kv_cache(self) -> None:
        return None

    def memoized(self, _key: str, compute: Callable[[], Any]) -> Any:
        return compute()

    def contrast(self, *_names: object) -> None:
        return None

    def paired(self, *_names: object) -> None:
        return None


NONE = cast(Results, NoTokens())


def as_run_in_onnx(variant: dict[str, Any]) -> dict[str, Any]:
    """Add what `engines.as_run` adds for onnxruntime; what the variant lacks is null."""
    of = columns_by_engine()["onnxruntime"]
    run = {name: of.get(name.removeprefix("run_")) for name in run_columns()}
    added = {name: variant.get(column.name) if column else None for name, column in run.items()}
    return {**added, "run_engine": "onnxruntime", **variant}


def row(method: str, quant: str, bits: float, rise: float, se: float = 0.001, **more: Any) -> dict[str, Any]:
    """Return a variant whose perplexity is `rise` (a share) above a baseline of 10."""
    ratio = math.log1p(rise)
    return as_run_in_onnx(
        {
            "variant_id": f"{method}-{quant}",
            "baseline_id": "base",
            "model": "m",
            "device": "cpu",
            "is_baseline": False,
            "label": f"{method} {quant}",
            "method": method,
            "quant": quant,
            "bits_per_weight": bits,
            "size_bytes": int(bits * 1e6),
            "ppl": 10 * (1 + rise),
            "ppl_se": 0.1,
            "ln_ppl_ratio": ratio,
            "ln_ppl_ratio_se": se,
            "kld_mean": max(ratio, 1e-4),
            "kld_se": 0.0005,
            "kld_se_clustered": None,
            "inv_ppl_per_mb": 1 / (10 * (1 + rise)) / bits,
            "prefill_tps": None,
            "decode_ms_p10": None,
            "decode_ms_p50": None,
            "decode_ms_p90": None,
            "deploy_kld_mean": None,
            **more,
        }
    )


def step(quant: str, bits: float, ratio: float, se: float = 0.001) -> dict[str, Any]:
    """Return a variant of main with the ln PPL ratio `ratio` and the error `se`."""
    return row("main", quant, bits, math.expm1(ratio), se, variant_id=quant)


#: A noise floor without errors, as measured on few tokens.
FLOOR = NoiseFloor(
    n_tokens=100,
    n_windows=2,
    kld_mean=0.0004,
    kld_se=None,
    kld_p990=0.001,
    ln_ppl_ratio=0.0003,
    ln_ppl_ratio_se=None,
    same_top=0.99,
    same_top_se=None,
)

GOOD = [row("a", "Q2", 3, 0.5), row("a", "Q4", 5, 0.02), row("a", "Q8", 8, 0.001)]
BAD = [row("b", "Q2", 3, 0.9), row("b", "Q4", 5, 0.06), row("b", "Q8", 8, 0.001)]

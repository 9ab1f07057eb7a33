"""A minimal request to compare tiny models."""

from __future__ import annotations

from pathlib import Path

from evaluator.planning.config import Comparison, VariantSource


def tiny_comparison(baseline: Path, variants: Path, text: Path, out: Path, chunks: int = 4) -> Comparison:
    """Return a request for `variants` (a file or pattern) against `baseline`, windows of 16 tokens, no speed."""
    return Comparison(
        baseline=str(baseline),
        variants=(VariantSource(method="m", source=str(variants)),),
        texts=(f"prose={text}",),
        out=out,
        context=16,
        chunks=chunks,
        device="cpu",
        threads=1,
        speed=False,
        engines=("onnxruntime",),
    )

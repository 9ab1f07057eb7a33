"""Speed and memory of the packed artifact; measured by the timing stage of a run."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column, Score

METRIC_FAMILIES.add(
    "speed",
    Family(
        "Speed and memory",
        9,
        (
            Column(
                "artifact_bytes",
                "Packed ONNX",
                "size of the packed artifact, the one that is timed",
                "bytes",
                better="lower",
                low=1,
                whole=True,
            ),
            Column(
                "prefill_tps",
                "Prefill",
                "median speed of processing a prompt",
                "tokens/s",
                better="higher",
                low=0,
                main=True,
                score=Score("prefill speed", "best", "fastest measured"),
                run="prefill_tps",
            ),
            Column(
                "decode_ms_p10",
                "Decode p10",
                "10th percentile of the time per new token",
                "ms",
                better="lower",
                low=0,
                run="decode_ms_p10",
            ),
            Column(
                "decode_ms_p50",
                "Decode",
                "median time per new token",
                "ms",
                better="lower",
                low=0,
                main=True,
                score=Score("decode speed", "best", "fastest measured"),
                run="decode_ms_p50",
            ),
            Column(
                "decode_ms_p90",
                "Decode p90",
                "90th percentile of the time per new token",
                "ms",
                better="lower",
                low=0,
                run="decode_ms_p90",
            ),
            Column(
                "load_s",
                "Load",
                "time to load the packed artifact",
                "s",
                better="lower",
                low=0,
                run="load_s",
            ),
            Column(
                "peak_rss_bytes",
                "Peak memory",
                "peak memory of the process that runs the packed artifact",
                "bytes",
                better="lower",
                low=0,
                whole=True,
                main=True,
                score=Score("peak memory", "best", "least measured"),
                run="peak_rss_bytes",
            ),
        ),
        over="file",
        engine="onnxruntime",
    ),
)

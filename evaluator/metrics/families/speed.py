"""Speed and memory of the packed artifact, timed by a stage of its own."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column, Score

METRIC_FAMILIES.add(
    "speed",
    Family(
        "Speed and memory",
        9,
        (
            Column("artifact_bytes", "Packed ONNX", "bytes", better="lower", low=1, whole=True),
            Column("prefill_tps", "Prefill", "tokens/s", better="higher", low=0, main=True),
            Column("decode_ms_p10", "Decode, 10 %", "ms", better="lower", low=0),
            Column(
                "decode_ms_p50",
                "Decode",
                "ms",
                better="lower",
                low=0,
                main=True,
                score=Score("decode speed", "best"),
            ),
            Column("decode_ms_p90", "Decode, 90 %", "ms", better="lower", low=0),
            Column("load_s", "Load", "s", better="lower", low=0),
            Column("peak_rss_bytes", "Peak memory", "bytes", better="lower", low=0, whole=True),
        ),
        over="file",
    ),
)

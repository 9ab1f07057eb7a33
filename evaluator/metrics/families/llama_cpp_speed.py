"""Speed and memory of the file in llama.cpp; measured by the engine stage of a run."""

from __future__ import annotations

from evaluator.metrics import METRIC_FAMILIES, Family
from evaluator.metrics.columns import Column

METRIC_FAMILIES.add(
    "llama_cpp_speed",
    Family(
        "Speed and memory in llama.cpp",
        12,
        (
            Column(
                "llamacpp_prefill_tps",
                "Prefill, llama.cpp",
                "median speed of processing a prompt in llama.cpp",
                "tokens/s",
                better="higher",
                low=0,
                run="prefill_tps",
            ),
            *(
                Column(
                    f"llamacpp_decode_ms_p{percent}",
                    "Decode, llama.cpp" if percent == 50 else f"Decode p{percent}, llama.cpp",
                    f"{meaning} time per new token in llama.cpp, after the prompt",
                    "ms",
                    better="lower",
                    low=0,
                    main=percent == 50,
                    run=f"decode_ms_p{percent}",
                )
                for percent, meaning in (
                    (10, "10th percentile of the"),
                    (50, "median"),
                    (90, "90th percentile of the"),
                )
            ),
            Column(
                "llamacpp_load_s",
                "Load, llama.cpp",
                "time to load the file in llama.cpp",
                "s",
                better="lower",
                low=0,
                run="load_s",
            ),
            Column(
                "llamacpp_peak_rss_bytes",
                "Peak memory, llama.cpp",
                "peak memory of the process that runs the file in llama.cpp, with both copies of weights that it "
                "repacks",
                "bytes",
                better="lower",
                low=0,
                whole=True,
                run="peak_rss_bytes",
            ),
        ),
        over="file",
        engine="llama.cpp",
    ),
)

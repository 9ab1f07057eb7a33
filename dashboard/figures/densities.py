"""Draw densities of a quantity over tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dashboard.results.token_summaries import Curve
from dashboard.style.theme import translucent


def density(curve: Curve, color: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    """Return a filled density; single precision and even steps keep it small."""
    y = shape["level"] + shape["height"] * np.concatenate([[0.0], curve.density, [0.0]])
    step = float(curve.x[1] - curve.x[0])
    return {
        "x0": float(curve.x[0]) - step,
        "dx": step,
        "y": y.astype(np.float32),
        "mode": "lines",
        "fill": "toself",
        "fillcolor": translucent(color, 0.04 if shape["faint"] else 0.17),
        "line": {"color": translucent(color, 0.15 if shape["faint"] else 0.9), "width": 1.2},
        "showlegend": False,
        "hoverinfo": "skip",
    }

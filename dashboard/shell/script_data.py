"""Data inside a page, for its scripts."""

from __future__ import annotations

import json

from markupsafe import Markup
from plotly.utils import PlotlyJSONEncoder


def script_data(value: object) -> Markup:
    """Write JSON for a script, figures included, that cannot end the script element it stands in."""
    text = json.dumps(value, cls=PlotlyJSONEncoder, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704  # no tag survives

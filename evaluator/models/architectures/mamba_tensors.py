"""Tensors of checkpoints with Mamba 2."""

from __future__ import annotations

from evaluator.models.architectures.changes import (
    AS_COLUMN,
    NEGATED_EXPONENTIAL,
    SQUEEZED,
    Conversions,
    Shape,
    Shaped,
)
from evaluator.models.json_file import JsonFile


def mamba_conversions(module: str, groups_key: str) -> Conversions:
    """Return the conversions of a layer of the second generation.

    Args:
        module: pattern of the module's name.
        groups_key: key of config.json with the number of groups of heads.
    """

    def by_group(config: JsonFile, shape: Shape) -> Shape:
        groups = config.count(groups_key)
        return groups, shape[0] // groups

    return {
        f"{module}.conv1d.weight": {"blk.{}.ssm_conv1d.weight": (SQUEEZED,)},
        f"{module}.conv1d.bias": {"blk.{}.ssm_conv1d.bias": ()},
        f"{module}.A_log": {"blk.{}.ssm_a": (NEGATED_EXPONENTIAL, AS_COLUMN)},
        f"{module}.D": {"blk.{}.ssm_d": (AS_COLUMN,)},
        f"{module}.dt_bias": {"blk.{}.ssm_dt.bias": ()},
        f"{module}.norm.weight": {"blk.{}.ssm_norm.weight": (Shaped(by_group),)},
        f"{module}.in_proj.weight": {"blk.{}.ssm_in.weight": ()},
        f"{module}.out_proj.weight": {"blk.{}.ssm_out.weight": ()},
    }

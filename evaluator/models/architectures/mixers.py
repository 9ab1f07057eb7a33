"""What computes a change of the residual stream, in terms of its sizes and settings.

Tensors have GGUF's names: a role such as `attn_q` stands for `blk.N.attn_q.weight` in layer N. What the tensors show
is not described: a product adds the bias that the file has (`blk.N.attn_q.bias`), and queries, keys and values, or
gate and up, may be one matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluator.models.architectures.mixture import Router


@dataclass(frozen=True)
class Xielu:
    """An activation: p·x² + b·x above 0, n·(exp(min(x, epsilon)) − 1 − x) + b·x below."""

    n: float
    p: float
    b: float
    epsilon: float


Activation = Xielu | Literal["silu", "gelu", "gelu_tanh", "relu", "relu_squared", "swiglu_clamped"]
#: A norm of queries and keys: per head with a gain, per head without one, or over all heads with a gain.
HeadNorm = Literal["head", "plain", "all"]


@dataclass(frozen=True)
class Mixer:
    """Something that computes a change of the residual stream from its norm.

    Attributes:
        post_norm: role of a norm of the output, None without one.
    """

    post_norm: str | None = None


@dataclass(frozen=True, kw_only=True)
class Attention(Mixer):
    """Attention of grouped heads.

    Attributes:
        heads: number of query heads.
        kv_heads: number of key and value heads.
        width: dimensions of a head.
        value_width: dimensions of a head's value; None for `width`.
        rotary: which of the decoder's rotary sets rotates queries and keys; None without rotation.
        scale: factor of the scores; None for 1 / √width.
        window: positions that a query attends to, including itself; None for all up to itself.
        chunk: positions that attend to one another only; None for no such limit.
        softcap: bound of the scores; 0 for none.
        norm: norm of queries and keys.
        norm_after_rotary: whether that norm comes after the rotation.
        value_norm: whether values are normalized per head, without a gain.
        gated: whether the query projection also gives a gate per head, whose sigmoid multiplies the output.
        head_gate: role of a matrix with a row per head, whose product's sigmoid multiplies the head's output.
        sinks: whether each head has a further score (`attn_sinks`) that takes part in the softmax only.
        temperature: factor of queries by position, None for 1.
        keeps: name of the stream's field in which keys and values are kept for later layers.
        shares: name of the field with the keys and values of an earlier layer, which are used instead of own ones.
    """

    heads: int
    kv_heads: int
    width: int
    value_width: int | None = None
    rotary: int | None = 0
    scale: float | None = None
    window: int | None = None
    chunk: int | None = None
    softcap: float = 0.0
    norm: HeadNorm | None = None
    norm_after_rotary: bool = False
    value_norm: bool = False
    gated: bool = False
    head_gate: str | None = None
    sinks: bool = False
    temperature: Temperature | None = None
    keeps: str | None = None
    shares: str | None = None


@dataclass(frozen=True)
class Temperature:
    """Factor of queries that grows with the position: 1 + factor · ln(1 + ⌊(position + offset) / span⌋)."""

    factor: float
    span: int
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LatentAttention(Mixer):
    """Attention whose keys and values are products of one narrow vector per token (DeepSeek's MLA).

    Attributes:
        heads: number of heads.
        latent: width of the narrow vector.
        plain: dimensions of a head's query and key that are not rotated.
        rotated: dimensions of a head's query and key that are rotated; the keys' are shared by all heads.
        value: dimensions of a head's value.
        scale: factor of the scores.
        rotary: which of the decoder's rotary sets.
        query_latent: whether queries are products of a narrow vector too.
        split: whether keys and values have a matrix each (`attn_k_b`, `attn_v_b`) or a common one (`attn_kv_b`).
        temperature: factor of queries by position, None for 1.
    """

    heads: int
    latent: int
    plain: int
    rotated: int
    value: int
    scale: float
    rotary: int = 0
    query_latent: bool = True
    split: bool = True
    temperature: Temperature | None = None


@dataclass(frozen=True, kw_only=True)
class DeltaNet(Mixer):
    """Gated DeltaNet: a matrix per head that forgets and is corrected token by token.

    Attributes:
        key_heads: number of query and key heads.
        value_heads: number of value heads; queries and keys are repeated for them.
        key_width: dimensions of a query and key head.
        value_width: dimensions of a value head.
        kernel: length of the convolution.
        joint_beta: whether rates and decays come from one product (`ssm_ba`) instead of two.
    """

    key_heads: int
    value_heads: int
    key_width: int
    value_width: int
    kernel: int
    joint_beta: bool = False


@dataclass(frozen=True, kw_only=True)
class Mamba(Mixer):
    """A state space layer of the second generation: one decay per head and token.

    Attributes:
        heads: number of heads.
        width: dimensions of a head.
        state: dimensions of the state.
        groups: number of groups of heads that share input and output vectors.
        kernel: length of the convolution.
        norm: whether the gated output is normalized, in groups.
    """

    heads: int
    width: int
    state: int
    groups: int
    kernel: int
    norm: bool = True


@dataclass(frozen=True, kw_only=True)
class ShortConvolution(Mixer):
    """A gated convolution over a few tokens."""

    kernel: int


#: Mixers with a state that goes from token to token, so that windows run through them as a whole.
Recurrent = DeltaNet | Mamba | ShortConvolution


@dataclass(frozen=True, kw_only=True)
class FeedForward(Mixer):
    """Two or three products with an activation.

    Attributes:
        activation: the function of the gate, or of the only product without one.
        gated: whether there is a gate.
        suffix: end of the roles, `_shexp` for a mixture's shared expert.
        weigher: role of a vector whose product's sigmoid multiplies the output.
        sparsity: standard deviations above the mean below which gates are zero; None without.
        limit: bound of activated gates from above, and of what they multiply on both sides; None without.
    """

    activation: Activation = "silu"
    gated: bool = True
    suffix: str = ""
    weigher: str | None = None
    sparsity: float | None = None
    limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class Experts(Mixer):
    """The experts of a mixture, of which each token passes through a few.

    Attributes:
        count: number of experts.
        width: inner width of an expert.
        router: how a token's experts are chosen.
        activation: see `FeedForward`.
        gated: whether experts have a gate.
        selection_bias: role of a bias of the scores by which experts are chosen, but not of the weights.
        norm: role of the norm before the experts, None for the part's.
        router_gain: role of a gain; the router then sees the stream, normalized without a gain, times this and
            1 / √hidden.
        weigh_inputs: whether a token's weight multiplies what enters the expert instead of its output.
        limit: see `FeedForward`.
        latent: width that experts work in if it is not the stream's: `ffn_latent_down` leads to it, and
            `ffn_latent_up` back.
    """

    count: int
    width: int
    router: Router
    activation: Activation = "silu"
    gated: bool = True
    selection_bias: str | None = None
    norm: str | None = None
    router_gain: str | None = None
    weigh_inputs: bool = False
    limit: float | None = None
    latent: int | None = None


@dataclass(frozen=True, kw_only=True)
class LayerInput(Mixer):
    """A product with what the token's embedding holds for this layer (`inp_gate`, `proj`)."""

    width: int
    activation: Activation = "gelu_tanh"


@dataclass(frozen=True, kw_only=True)
class AlternatingUpdates(Mixer):
    """A whole layer on several streams, of which one is computed and the others are predicted and corrected.

    Attributes:
        streams: number of streams.
        active: the stream that is computed.
        attention: its attention.
        feed_forward: its feed-forward part.
        layer_input: its input per layer.
    """

    streams: int
    active: int
    attention: Attention
    feed_forward: FeedForward
    layer_input: LayerInput

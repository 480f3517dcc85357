"""Checkpoints of the research code and of its trunk: their keys, told in ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from weft_geo.errors import CheckpointError
from weft_geo.models.config import STAGES, WeftConfig
from weft_geo.models.segmenter import Segmenter
from weft_geo.models.wavelet import haar_filters
from weft_geo.models.weft import Weft


def _plus(prefix: str, n: int) -> Callable[[re.Match[str]], str]:
    return lambda m: f"{prefix}{int(m[1]) + n}."


# Every rule is applied to every key, in this order.
_RULES: list[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # trunk
        (r"^(backbone\.)?layers\.", "trunk.layers."),
        (r"gamma_([12])$", r"ls\1.gamma"),
        (r"self_attn\.in_proj\.", "attn.qkv."),
        (r"self_attn\.out_proj\.", "attn.proj."),
        (r"\blinear([12])\.", r"mlp.fc\1."),
        (r"^(backbone\.)?visual_embed\.", "trunk."),
        (r"embeddings_norm\.", "embed_norm."),
        (r"patch_embed\.proj\.", "patch_embed."),
        (r"patch_embed\.(spatial|temporal)_pos_embed\.weight$", r"\1_positions"),
        # expert extractor
        (r"^backbone\.module1\.", "expert_extractor."),
        (r"down_sampling\.", "down."),
        (r"up_embeding\.", "up_embedding."),
        (r"WTConv_EH\.", "mixture."),
        (r"gating_network\.fc\.", "router.gate."),
        (r"\b(WConv\d+|DConv)\.", "unit."),
        (r"\bConv1\.", "mix."),
        (r"\biwt_filter$", "transform.synthesis_filters"),
        (r"\bwt_filter$", "transform.analysis_filters"),
        (r"base_conv\.", "base."),
        (r"base_scale\.weight$", "base_scale"),
        (r"wavelet_convs\.0\.", "detail."),
        (r"wavelet_scale\.0\.weight$", "detail_scale"),
        # adapter
        (r"^backbone\.module2\.", "stages."),
        (r"module2_1\.", "injection."),
        (r"feat_norm\.", "value_norm."),
        (r"injection\.attn\.", "injection.attention."),
        (r"edgecross\.", "esto."),
        (r"gate_layer\.0\.", "gate."),
        (r"module2_2\.", "enhancement.0."),
        (r"extra_extractors\.(\d+)\.", _plus("enhancement.", 1)),
        (r"ffn_norm\.", "norm."),
        (r"ffn\.dwconv\.", "enhancer."),
        (r"(enhancement\.\d+\.)ffn\.", r"\1"),
        (r"log_branch\.", "directional."),
        (r"ms_conv3\.", "multi_scale.0."),
        (r"ms_conv5\.", "multi_scale.1."),
        (r"ms_conv7\.", "multi_scale.2."),
        (r"^backbone\.norm(\d)\.", _plus("norms.", -1)),
        (r"^backbone\.level_embed$", "level_embed"),
        # mask decoder
        (r"^decode_head\.", "mask_decoder."),
        (r"attentions\.0\.attn\.", "cross_attention."),
        (r"attentions\.1\.attn\.", "self_attention."),
        (r"attentions\.0\.", "attention."),
        (r"ffns\.0\.layers\.0\.0\.", "feedforward.0."),
        (r"ffns\.0\.layers\.1\.", "feedforward.2."),
        (r"(layers\.\d+\.)norms\.(\d)\.", lambda m: f"{m[1]}norm{int(m[2]) + 1}."),
        (r"(encoder|transformer_decoder)\.layers\.", "layers."),
        (r"input_convs\.", "inputs."),
        (r"lateral_convs\.0\.", "lateral."),
        (r"output_convs\.0\.", "output.0."),
        (r"(inputs\.\d|lateral|output\.0)\.conv\.", r"\1.0."),
        (r"(inputs\.\d|lateral|output\.0)\.gn\.", r"\1.1."),
        (r"mask_feature\.", "mask_features."),
        (r"(level_encoding|mask_decoder\.level_embed)\.weight$", lambda m: m[1].replace("encoding", "embed")),
        (r"transformer_decoder\.post_norm\.", "norm."),
        (r"query_embed\.weight$", "query_positions"),
        (r"query_feat\.weight$", "query_features"),
        (r"cls_embed\.", "class_head."),
        (r"mask_embed\.", "mask_head."),
    )
]
_MIXING = re.compile(r"^(.*?)weight_(log|pool|ms)_x([123])$")


def rename(key: str) -> str:
    """A key of the research code, of a whole model or of one of its parts, as our modules call it."""
    for pattern, replacement in _RULES:
        key = pattern.sub(replacement, key)
    return key


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the research code in our keys. SEE's nine mixing scalars become one [3, 3] tensor."""
    converted: dict[str, Tensor] = {}
    mixing: dict[str, Tensor] = {}
    for key, value in state.items():
        name = rename(key)
        scalar = _MIXING.match(name)
        if scalar:
            target = mixing.setdefault(f"{scalar[1]}mixing", torch.full((3, 3), torch.nan, dtype=value.dtype))
            target[int(scalar[3]) - 1, ("log", "pool", "ms").index(scalar[2])] = value.item()
        elif name in converted:
            raise CheckpointError(f"two keys of the checkpoint mean {name}; the second is {key}")
        else:
            converted[name] = value
        if name.endswith(("analysis_filters", "synthesis_filters")) and not torch.allclose(
            value.float(), haar_filters(value.shape[0] // 4).to(value.device), atol=1e-6
        ):
            raise CheckpointError(f"{key} is not the Haar wavelet; only checkpoints made with Haar (db1) can be loaded")
    for name, value in mixing.items():
        if value.isnan().any():
            raise CheckpointError(f"{name}: not all nine mixing weights are in the checkpoint")
    return converted | mixing


def unwrap(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of what mmcv or torch saved, bare or under "state_dict" or "model", with "module." stripped."""
    for holder in ("state_dict", "model"):
        if isinstance(checkpoint.get(holder), Mapping):
            checkpoint = checkpoint[holder]
    return {key.removeprefix("module."): value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def config_from_official(state: Mapping[str, Tensor], keywords: Mapping[str, Any]) -> WeftConfig:
    """The configuration that a checkpoint of the research code was made with.

    What the shapes of the tensors say is read from them. Heads, stages and rates leave no trace there; they come from
    the research code's own keywords: `num_heads`, `deform_num_heads`, `interaction_indexes`, `drop_path_rate`,
    `pixel_heads`, `decoder_heads`. A keyword that is not given has the paper's value; one that contradicts the
    tensors is an error.
    """

    def rows(key: str, axis: int = 0) -> int:
        if key not in state:
            raise CheckpointError(f"{key} is not in the checkpoint; is it one of the whole WEFT model?")
        return int(state[key].shape[axis])

    def count(pattern: str) -> int:
        return len({m[1] for m in map(re.compile(pattern).match, state) if m})

    depth = count(r"backbone\.layers\.(\d+)\.")
    embed_dim = rows("backbone.level_embed", 1)
    decoder_dim = rows("decode_head.query_feat.weight", 1)
    kernels = {
        int(m[1]): int(m[2])
        for m in map(re.compile(r"backbone\.module1\.WTConv_EH\.experts\.(\d+)\.WConv(\d+)\.").match, state)
        if m
    }
    stages = keywords.get("interaction_indexes") or [[0, 5], [6, 11], [12, 17], [18, 23]]
    labels = rows("decode_head.cls_embed.weight") - 1
    config = WeftConfig(
        in_channels=rows("backbone.visual_embed.patch_embed.proj.weight", 1),
        classes=("object",) if labels == 2 else tuple(f"class_{i}" for i in range(1, labels)),
        embed_dim=embed_dim,
        depth=depth,
        num_heads=keywords.get("num_heads", 16),
        position_grid=round(rows("backbone.visual_embed.patch_embed.spatial_pos_embed.weight") ** 0.5),
        stage_ends=tuple(last + 1 for _, last in stages),
        drop_path=keywords.get("drop_path_rate", 0.4),
        inner_channels=rows("backbone.module1.stem.0.weight"),
        expert_kernel_sizes=tuple(k for _, k in sorted(kernels.items())),
        injection_heads=keywords.get("deform_num_heads", 16),
        value_ratio=rows("backbone.module2.0.module2_1.attn.value_proj.weight") / embed_dim,
        see_ratio=rows("backbone.module2.0.module2_2.ffn.fc1.weight") / embed_dim,
        last_stage_enhancers=1 + count(rf"backbone\.module2\.{STAGES - 1}\.extra_extractors\.(\d+)\."),
        decoder_dim=decoder_dim,
        num_queries=rows("decode_head.query_feat.weight"),
        decoder_layers=count(r"decode_head\.transformer_decoder\.layers\.(\d+)\."),
        decoder_heads=keywords.get("decoder_heads", 8),
        decoder_feedforward=rows("decode_head.transformer_decoder.layers.0.ffns.0.layers.0.0.weight"),
        pixel_layers=count(r"decode_head\.pixel_decoder\.encoder\.layers\.(\d+)\."),
        pixel_heads=keywords.get("pixel_heads", 8),
        pixel_feedforward=rows("decode_head.pixel_decoder.encoder.layers.0.ffns.0.layers.0.0.weight"),
    )
    shaped = {
        "embed_dim": config.embed_dim,
        "depth": config.depth,
        "conv_inplane": config.inner_channels,
        "feat_channels": config.decoder_dim,
        "num_queries": config.num_queries,
        "decoder_layers": config.decoder_layers,
        "decoder_ffn": config.decoder_feedforward,
        "pixel_encoder_layers": config.pixel_layers,
        "pixel_ffn": config.pixel_feedforward,
    }
    for keyword, found in shaped.items():
        if keywords.get(keyword, found) != found:
            raise CheckpointError(
                f"the configuration says {keyword}={keywords[keyword]}, the checkpoint's tensors {found}"
            )
    return config


def load_official(
    state_dict: Mapping[str, Any], config: Mapping[str, Any] | None = None, *, esto_statistics: str = "image"
) -> Weft:
    """A Weft from a checkpoint of the research code (CSYSI/WEFT), every key used and none missing.

    Args:
        state_dict: its tensors under the research code's own keys (`backbone.*`, `decode_head.*`), or what its
            training saved around them.
        config: the research code's own keywords (see `config_from_official`); None for the paper's.
        esto_statistics: "image", or "batch" for exact parity with the research code on batches of several images.

    Returns:
        The model, in evaluation mode.

    Raises:
        CheckpointError: a key is missing, left over or of another shape, or the wavelet is not Haar.
    """
    state = unwrap(state_dict)
    shape = config_from_official(state, config or {})
    model = Weft(WeftConfig(**{**vars(shape), "esto_statistics": esto_statistics}))
    load_strictly(model, convert(state))
    return model.eval()


def load_strictly(model: torch.nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict of exactly the model's keys and shapes.

    Raises:
        CheckpointError: naming the first keys that do not fit.
    """
    check_fit(model.state_dict(), state)
    model.load_state_dict(state)


def check_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Hold a state dict against the model's own.

    Raises:
        CheckpointError: naming the first keys that do not fit.
    """
    problems = [
        *(f"missing {k}" for k in own.keys() - state.keys()),
        *(f"unknown {k}" for k in state.keys() - own.keys()),
        *(
            f"{k} is {list(state[k].shape)}, expected {list(own[k].shape)}"
            for k in own.keys() & state.keys()
            if own[k].shape != state[k].shape
        ),
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:5])
        raise CheckpointError(f"the checkpoint does not fit the model in {len(problems)} places: {shown}")


def load_trunk(model: Segmenter, state: Mapping[str, Tensor]) -> None:
    """Load the published checkpoint of the trunk ("uni-perceiver-large-L24-…_converted.pth") into a model.

    Extra bands grow from the RGB weights of the patch embedding.

    Raises:
        CheckpointError: a tensor is missing; above all the layer scales γ, without which a frozen trunk would do
            nothing.
    """
    from timm.models import adapt_input_conv

    converted = {k: v for k, v in convert(state).items() if k.startswith("trunk.")}
    missing_scales = [
        k for k in model.trunk_state() if re.search(r"\.ls[12]\.gamma$", k) and f"trunk.{k}" not in converted
    ]
    if missing_scales:
        raise CheckpointError(
            f"the trunk's checkpoint has no layer scales ({missing_scales[0]} and {len(missing_scales) - 1} more); "
            "without them the frozen trunk would not work. Use the converted checkpoint of ViT-Adapter's release."
        )
    embedding = converted.get("trunk.patch_embed.weight")
    bands = model.config.in_channels
    if embedding is not None and embedding.shape[1] == 3 and bands > 3:
        converted["trunk.patch_embed.weight"] = adapt_input_conv(bands, embedding)
    state = {k.removeprefix("trunk."): v for k, v in converted.items()}
    check_fit(model.trunk_state(), state)
    model.load_trunk_state(state)

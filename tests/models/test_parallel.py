"""Two processes that share their gradients learn what one process learns from both halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from weft_geo.models import Segmenter, build_model  # noqa: E402

SMALL: dict[str, Any] = {
    "embed_dim": 32, "depth": 4, "num_heads": 2, "stage_ends": (1, 2, 3, 4), "inner_channels": 8,
    "decoder_dim": 32, "num_queries": 6, "decoder_layers": 1, "pixel_layers": 1, "pixel_heads": 4,
    "decoder_heads": 4, "drop_path": 0.0, "train_trunk": False, "top_k": 1,
}  # fmt: skip


def model_and_images() -> tuple[Segmenter, Any]:
    """Of two images each process sees one, and the router sends them to different experts."""
    torch.manual_seed(0)
    model = build_model("weft-tiny", **SMALL).train()
    model.recompute_in_backward("adapter")
    with torch.no_grad():
        for stage in model.stages:
            stage.injection.gamma.fill_(0.5)
        gate = model.expert_extractor.mixture.router.gate
        gate.weight.zero_()
        gate.bias.zero_()
        gate.weight[0], gate.weight[3] = 1.0, -1.0  # strong maps to the first expert, weak ones to the fourth
        gate.bias[3] = 5.0
    model.expert_extractor.stem[1].eval()  # its norm would make both equally strong
    return model, torch.stack((torch.randn(3, 64, 64) * 3, torch.randn(3, 64, 64) * 0.1))


def loss(model: Any, images: Any) -> Any:
    out = model(images)
    predictions = (*out.aux, out)
    return sum(p.mask_logits.square().mean() + p.class_logits.square().mean() for p in predictions)


def one_process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    model, images = model_and_images()
    parallel = torch.nn.parallel.DistributedDataParallel(model)  # held until the gradients are there, which it joins
    loss(parallel, images[rank : rank + 1]).backward()
    torch.save({name: p.grad for name, p in model.named_parameters() if p.requires_grad}, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_mean_of_both_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    torch.multiprocessing.spawn(one_process, (str(tmp_path),), nprocs=2)
    shared = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]

    model, images = model_and_images()
    chosen = [model.expert_extractor.mixture.router(model.expert_extractor.stem(image[None])) for image in images]
    assert chosen[0].indices.tolist() != chosen[1].indices.tolist()
    for image in images:
        (loss(model, image[None]) / 2).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(shared[0][name], parameter.grad, rtol=1e-4, atol=1e-6, msg=name)
            assert torch.equal(shared[0][name], shared[1][name]), name

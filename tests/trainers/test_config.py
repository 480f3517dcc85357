"""Configurations: their defaults, their YAML, and what they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the train extra")
yaml = pytest.importorskip("yaml", reason="needs the train extra")

from weft_geo.errors import InputError, UnknownNameError  # noqa: E402
from weft_geo.trainers.config import TrainConfig, build_config, read_values  # noqa: E402

ORSI = {"data": {"dataset": "orsis4199", "data_root": "orsi"}}
OWN = {"data": {"images": ["a.tif"], "labels": ["b.gpkg"]}}


def test_the_papers_regime_is_the_default_of_its_data_sets() -> None:
    for model in ({}, {"name": "weft-tiny"}):
        config = build_config(ORSI | {"model": model})
        assert (config.data.crop, config.run.batch_size, config.run.clip) == (512, 6, 0.0)
        optimizer = config.optimizer
        assert (optimizer.lr, optimizer.weight_decay, optimizer.warmup_steps) == (5e-5, 0.05, 1_500)
        assert (optimizer.max_steps, optimizer.power) == (80_000, 1.0)
        assert (config.loss.mask_weight, config.loss.dice_weight, config.loss.semantic_weight) == (5.0, 2.0, 0.0)
    research = build_config(ORSI, "research")
    assert (research.loss.dice_weight, research.optimizer.decoder_heads) == (5.0, "research")


def test_your_own_images_train_a_small_model() -> None:
    config = build_config(OWN)
    assert (config.model.name, config.data.crop, config.optimizer.max_steps) == ("weft-tiny", 256, 2_000)


def test_a_shorter_run_warms_up_in_proportion_unless_told() -> None:
    assert build_config(ORSI | {"optimizer": {"max_steps": 8_000}}).optimizer.warmup_steps == 150
    assert build_config(ORSI | {"optimizer": {"max_steps": 200_000}}).optimizer.warmup_steps == 1_500
    assert build_config(ORSI | {"optimizer": {"max_steps": 100, "warmup_steps": 7}}).optimizer.warmup_steps == 7


def test_yaml_holds_every_field_and_reads_back_the_same(tmp_path: Path) -> None:
    for values in (ORSI, OWN, ORSI | {"model": {"ablate": ["esto", "see"], "experts": 2, "weights": "x.pth"}}):
        config = build_config(values)
        (tmp_path / "config.yaml").write_text(config.to_yaml())
        assert build_config(read_values(tmp_path / "config.yaml")) == config
        assert set(yaml.safe_load(config.to_yaml())) == set(TrainConfig.__dataclass_fields__)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either a benchmark or images to train on"),
        (ORSI | OWN | {"data": ORSI["data"] | OWN["data"]}, "either a benchmark or images"),
        ({"data": {"dataset": "orssd"}}, "give --data-root DIR"),
        ({"data": {"images": ["a.tif"]}}, "give --labels"),
        (ORSI | {"optimizer": {"lr": "fast"}}, r'"optimizer\.lr": Expected a .*float.* Got value: fast'),
        (ORSI | {"run": {"batchsize": 2}}, r"does not accept option 'run\.batchsize'"),
        (ORSI | {"run": {"batch_size": 0}}, r"run\.batch_size must be 1 or more, not 0"),
        (ORSI | {"run": {"precision": "bf16-true"}}, "bf16-true would keep the weights themselves in half; give bf16"),
        (ORSI | {"model": {"strategy": "full", "experts": 3}}, "this model has no experts"),
        (ORSI | {"model": {"ablate": ["twe"], "experts": 3}}, "this model has no experts"),
        (OWN | {"data": OWN["data"] | {"limit": 3}}, "data.limit counts pictures of a benchmark"),
        (OWN | {"data": OWN["data"] | {"overfit": 3}}, "data.overfit counts pictures of a benchmark"),
        (ORSI | {"run": {"ema": 1.0}}, "run.ema 1 would keep the values that the run starts from"),
        (ORSI | {"data": ORSI["data"] | {"class_field": "use"}}, "data.class_field is for images of your own"),
        (ORSI | {"data": ORSI["data"] | {"gsd_m": 0.3}}, "data.gsd_m is for images of your own"),
        (ORSI | {"model": {"ablate": ["moe"]}}, "moe is no part of WEFT"),
        (ORSI | {"model": {"ablate": ["twe"], "strategy": "lora"}}, "only the strategy weft has parts"),
        (ORSI | {"model": {"strategy": "prefix"}}, r'"model\.strategy": .*prefix'),
        (ORSI | {"model": 3}, "the section model of the configuration must hold named values"),
    ],
)
def test_bad_values_get_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        build_config(values)
    assert "\n" not in str(error.value)


def test_unknown_sections_list_the_known() -> None:
    with pytest.raises(UnknownNameError, match="known: data, loss, model, optimizer, run"):
        build_config(ORSI | {"trainer": {}})


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml cannot be read: No such file"):
        read_values(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(InputError, match=r"broken\.yaml cannot be read as YAML"):
        read_values(tmp_path / "broken.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(InputError, match="must hold sections"):
        read_values(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {overfit: 0}", "data.overfit must be 1 or more, not 0"),
        ("data: {workers: }", "data.workers must not be empty; leave it out for 2"),
        ("data: {gsd_m: .nan}", "data.gsd_m must be a positive number of metres or null, not nan"),
        ("model: {experts: 9}", "model.experts must lie in 1…7, not 9"),
        ("loss: {oversample: 0.5}", "loss.oversample must be 1 or more, not 0.5"),
        ("loss: {importance: 75}", "loss.importance must lie in 0…1, not 75.0"),
        ("loss: {class_weight: .nan}", "loss.class_weight must be 0 or more, not nan"),
        ("optimizer: {lr: }", "optimizer.lr must not be empty; leave it out for 5e-05"),
        ("optimizer: {lr: -1.0e-4}", "optimizer.lr must be a positive number, not -0.0001"),
        ("optimizer: {betas: [0.9, 1.0]}", "optimizer.betas must lie in 0…1, 1 left out, not [0.9, 1.0]"),
        ("run: {seed: -1}", "run.seed must be 0 or more, not -1"),
        ("run: {ema: 99}", "run.ema must lie in 0…1, not 99"),
        ("run: {freeze_norms_at: 45}", "run.freeze_norms_at must lie in 0…1, not 45"),
        ("run: {devices: two}", 'run.devices must be "auto", a number, or a list such as "0,1", not \'two\''),
    ],
)
def test_values_that_cannot_be_meant_are_refused(text: str, said: str) -> None:
    values = yaml.safe_load(text)
    with pytest.raises(InputError, match=re.escape(said)):
        build_config(OWN | values | {"data": OWN["data"] | values.get("data", {})})

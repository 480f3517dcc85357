"""Scene in, layers out: windows, predictors, blending, and the engine that joins them. No torch.

Modules, in the order of their dependence: memory, interrupts, blending, backends (and onnx_backend, torch_backend),
strips, plan, layers, engine.
"""

from weft_geo.geo.contract import ModelContract
from weft_geo.inference.backends import CallablePredictor, Predictor, load_predictor
from weft_geo.inference.engine import PredictReport, predict_scene
from weft_geo.inference.plan import ScenePlan, plan_scene

__all__ = [
    "CallablePredictor",
    "ModelContract",
    "PredictReport",
    "Predictor",
    "ScenePlan",
    "load_predictor",
    "plan_scene",
    "predict_scene",
]

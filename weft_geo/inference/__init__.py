"""Scene in, layers out: windows, predictors, blending, and the engine that joins them. No torch, but for its backend.

ARCHITECTURE.md says which module holds what.
"""

from weft_geo.geo.contract import ModelContract
from weft_geo.inference.backends import CallablePredictor, Predictor, load_predictor
from weft_geo.inference.engine import PredictReport, predict_scene
from weft_geo.inference.fleet import run_fleet
from weft_geo.inference.ledger import SceneTask, run_scene
from weft_geo.inference.plan import ScenePlan, plan_scene
from weft_geo.inference.ray_model import model_on_ray

__all__ = [
    "CallablePredictor",
    "ModelContract",
    "PredictReport",
    "Predictor",
    "ScenePlan",
    "SceneTask",
    "load_predictor",
    "model_on_ray",
    "plan_scene",
    "predict_scene",
    "run_fleet",
    "run_scene",
]

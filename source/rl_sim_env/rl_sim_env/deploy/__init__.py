"""A trained policy outside the trainer.

What is imported here needs onnxruntime and numpy only: neither torch nor the simulator. Exporting a
policy (``deploy.onnx_export``) and walking it in plain MuJoCo (``deploy.sim_to_sim``) need more.
"""

from rl_sim_env.deploy.deployed_policy import (
    DeployedPolicy,
    PolicyStep,
    SensorReading,
    open_session,
    projected_gravity,
)
from rl_sim_env.deploy.ground import HeightGrid
from rl_sim_env.deploy.metadata import PolicyMetadata

__all__ = [
    "DeployedPolicy",
    "HeightGrid",
    "PolicyMetadata",
    "PolicyStep",
    "SensorReading",
    "open_session",
    "projected_gravity",
]

"""A trained policy outside the trainer.

What is imported here needs onnxruntime and numpy only: neither torch nor the simulator. Exporting a
policy (``deploy.export``) and walking it in plain MuJoCo (``deploy.sim_to_sim``) need more.
"""

from rl_sim_env.deploy.metadata import PolicyMetadata
from rl_sim_env.deploy.policy import (
    DeployedPolicy,
    PolicyStep,
    SensorReading,
    open_session,
    projected_gravity,
)

__all__ = [
    "DeployedPolicy",
    "PolicyMetadata",
    "PolicyStep",
    "SensorReading",
    "open_session",
    "projected_gravity",
]

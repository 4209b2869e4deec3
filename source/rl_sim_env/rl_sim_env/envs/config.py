"""Configuration of the environment."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from mjlab.envs import ManagerBasedRlEnvCfg

from rl_sim_env.envs.observation_manager import FrameStackCfg
from rl_sim_env.errors import UserError
from rl_sim_env.robots import Robot


@dataclass(kw_only=True)
class StyleCfg:
    """Where the style reward counts."""

    terrain_scale: dict[str, float] = field(default_factory=dict)
    """Factor of the style reward by terrain family, in [0, 1]; 1 where none is given."""


@dataclass(kw_only=True)
class AmpVaeEnvCfg(ManagerBasedRlEnvCfg):
    """Configuration of :class:`AmpVaeEnv`, which serves any learner; saved runs carry the name."""

    robot: Robot
    """Which robot it is: its parts by name, and what it carries."""

    frame_stacks: dict[str, FrameStackCfg] = field(default_factory=dict)
    """Observation groups made of the last frames of another group."""

    terminal_groups: tuple[str, ...] = ("critic_obs", "amp_obs")
    """Groups that are also reported for the state before resets. They must have neither noise nor
    history, so that computing them twice changes nothing."""

    observation_clip: float = 100.0
    """Every observation is clipped to plus or minus this."""

    command_name: str = "velocity"
    """Name of the velocity command term."""

    feet_contact_sensor: str = "feet_contact"
    """Name of the contact sensor of the feet."""

    style: StyleCfg = field(default_factory=StyleCfg)
    """Where the style reward counts."""

    height_map_resolution: float = 0.025
    """Cell size of the height map [m]."""

    max_velocity: float = 1000.0
    """A joint or base that moves faster than this [m/s, rad/s] has left physics: its robot is reset
    before a reward of astronomical size reaches the learner."""

    largest_reward: float = 1e6
    """A weighted reward term beyond plus or minus this counts as 0, as one that is not finite does,
    and is counted; above 0. Training stops where that is more than rare."""

    fixed_shapes: bool = False
    """Whether every step runs the same operations on tensors of the same shapes and reads nothing
    from the device, as GPUs want it. One padding environment is added, the last, which stands in
    where fewer robots are due than there is room for; :class:`AmpVaeVecEnv` hides it."""

    reset_share: float = 1.0 / 16.0
    """Share of the robots that fixed shapes leave room for in one step, in (0, 1]: in resets and
    in events at intervals. Others wait for the next step, and are counted."""

    capture_step: bool = False
    """Whether a GPU captures a control step of fixed shapes as a CUDA graph and replays it."""

    overlap: bool = False
    """Whether what is captured holds parts of a step that do not depend on each other side by side,
    so that a GPU does them at the same time."""

    inverse_weight_interval: int = 25
    """Steps from one computation of the inverse weights to the next with fixed shapes on a GPU, at
    least 1. They follow the randomised masses and say how soft contacts and joint limits are."""

    def configure_for_device(self, device: str) -> None:
        """Set how steps run on a device: a GPU should never wait, a CPU would not gain from it."""
        self.fixed_shapes = self.capture_step = self.overlap = device != "cpu"

    def check(self) -> None:
        """Refuse values that no environment can be made with.

        Raises:
            UserError: Names the field, what it is and what it must be.
        """
        if self.scene.num_envs < 1:
            raise UserError(f"num_envs is {self.scene.num_envs}; it must be at least 1")
        if not self.auto_reset:
            raise UserError("auto_reset is off; this environment resets by itself, leave it on")
        if self.capture_step and not self.fixed_shapes:
            raise UserError("capture_step needs fixed_shapes; set both, or neither")
        if not 0.0 < self.reset_share <= 1.0:
            raise UserError(f"reset_share is {self.reset_share}; it must be above 0 and at most 1")
        if not 0.0 < self.largest_reward < math.inf:
            raise UserError(
                f"largest_reward is {self.largest_reward}; it must be above 0 and finite"
            )
        if self.inverse_weight_interval < 1:
            raise UserError(
                f"inverse_weight_interval is {self.inverse_weight_interval}; it must be at least 1"
            )

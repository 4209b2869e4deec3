"""Reference motion on the device: one-step pairs for the discriminator, states for resets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from rl_sim_env.errors import UserError
from rl_sim_env.motions.clip import MotionClip
from rl_sim_env.motions.rotations import quat_without_yaw
from rl_sim_env.robots import Robot

FEATURES: dict[str, Callable[[MotionClip], np.ndarray]] = {
    "base_lin_vel_xy": lambda clip: clip.root_lin_vel[:, :2],
    "base_ang_vel_z": lambda clip: clip.root_ang_vel[:, 2:],
    "joint_pos": lambda clip: clip.joint_pos,
    "joint_vel": lambda clip: clip.joint_vel,
    "foot_positions": lambda clip: clip.foot_pos.reshape(clip.num_frames, -1),
}
"""What can be observed of a clip, by observation term name: (L, width), units of the clip format.
Joints and feet are in the robot's order; foot positions go x, y, z of one foot after the other."""

_STATES: dict[str, Callable[[MotionClip], np.ndarray]] = {
    "root_height": lambda clip: clip.root_pos[:, 2:],
    "root_quat": lambda clip: quat_without_yaw(clip.root_quat),
    "root_lin_vel": lambda clip: clip.root_lin_vel,
    "root_ang_vel": lambda clip: clip.root_ang_vel,
    "joint_pos": lambda clip: clip.joint_pos,
    "joint_vel": lambda clip: clip.joint_vel,
}


class MotionSampler:
    """Draws moments of reference motion, uniformly in time within a clip drawn by its weight.

    All clips lie one after the other in one tensor on the device, and everything between two frames
    is interpolated; nothing is read back to the host. No pair spans the end of a clip, except that
    a cyclic clip goes on with its first frame.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        feature_terms: Sequence[str],
        control_dt: float,
        device: torch.device | str,
        *,
        robot: Robot,
    ) -> None:
        """Put the clips on the device.

        Args:
            clips: Reference motions; at least one with a positive weight.
            feature_terms: Names of the features, in the order in which a state lists them.
            control_dt: Time between the two states of a pair [s].
            device: Where the clips live and the samples are drawn.
            robot: Robot that the clips must be of, and whose order joints and feet are in.

        Raises:
            UserError: No clip can be sampled, a feature is unknown, or a clip is another robot's or
                too short for a pair.
        """
        unknown = [term for term in feature_terms if term not in FEATURES]
        if unknown:
            raise UserError(
                f"motion clips have no feature {', '.join(unknown)}; there are "
                f"{', '.join(FEATURES)}"
            )
        clips = [clip.arranged(robot.leg_joints, robot.feet) for clip in clips if clip.weight > 0.0]
        if not clips:
            raise UserError("no motion clip with a positive weight to sample from")
        self.control_dt = control_dt
        self.device = torch.device(device)
        self._features = self._upload(
            np.concatenate([FEATURES[term](clip) for term in feature_terms], axis=-1)
            for clip in clips
        )
        self._states = {
            name: self._upload(state(clip) for clip in clips) for name, state in _STATES.items()
        }

        lengths = [clip.num_frames for clip in clips]
        pair_starts = [_last_pair_start(clip, control_dt) for clip in clips]
        self._first_frame = self._upload_ints(np.cumsum([0, *lengths[:-1]]))
        self._num_frames = self._upload_ints(lengths)
        # The last frame that has a next one, which for a cyclic clip is its first.
        self._last_start = self._upload_ints(
            [clip.num_frames - (1 if clip.cyclic else 2) for clip in clips]
        )
        self._fps = self._upload_row([clip.fps for clip in clips])
        self._clip_duration = self._upload_row([clip.duration for clip in clips])
        self._pair_duration = self._upload_row(pair_starts)
        weights = np.array([clip.weight for clip in clips])
        self._cumulative_weight = self._upload_row(np.cumsum(weights / weights.sum()))

    @property
    def feature_dim(self) -> int:
        """Width of one state."""
        return self._features.shape[1]

    def sample_pairs(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw states and the states one control step later.

        Args:
            batch_size: Number of pairs B.
            generator: Source of randomness on the sampler's device.

        Returns:
            Two tensors (B, feature_dim) in the units of the clip format.
        """
        clip, time = self._draw(batch_size, self._pair_duration, generator)
        now = _interpolate(self._features, *self._locate(clip, time))
        later = _interpolate(self._features, *self._locate(clip, time + self.control_dt))
        return now, later

    def sample_states(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> dict[str, torch.Tensor]:
        """Draw whole states, for episodes that begin in the middle of a motion.

        Args:
            batch_size: Number of states B.
            generator: Source of randomness on the sampler's device.

        Returns:
            ``root_height`` (B,) above flat ground [m]; ``root_quat`` (B, 4) base link to world,
            wxyz, heading zero; ``root_lin_vel`` [m/s] and ``root_ang_vel`` [rad/s] (B, 3) in base
            coordinates; ``joint_pos`` [rad] and ``joint_vel`` [rad/s] (B, 12) in canonical order.
        """
        moment = self._locate(*self._draw(batch_size, self._clip_duration, generator))
        state = {
            name: _slerp(values, *moment) if name == "root_quat" else _interpolate(values, *moment)
            for name, values in self._states.items()
        }
        state["root_height"] = state["root_height"].squeeze(-1)
        return state

    def _draw(
        self, batch_size: int, duration: torch.Tensor, generator: torch.Generator | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Clip indices (B,) by weight and times (B,) [s], uniform up to the clip's ``duration``."""
        draw = torch.rand(2, batch_size, device=self.device, generator=generator)
        # Rounding may leave the last cumulative weight a little below 1.
        clip = torch.searchsorted(self._cumulative_weight, draw[0]).clamp(max=len(self._fps) - 1)
        return clip, draw[1] * duration[clip]

    def _locate(
        self, clip: torch.Tensor, time: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Frames before and after the times (B,), and how far (B, 1) in [0, 1] between them."""
        position = torch.remainder(time * self._fps[clip], self._num_frames[clip])
        before = torch.minimum(position.long(), self._last_start[clip])
        after = torch.remainder(before + 1, self._num_frames[clip])
        first = self._first_frame[clip]
        return first + before, first + after, (position - before).unsqueeze(-1)

    def _upload(self, per_clip) -> torch.Tensor:
        rows = np.concatenate(list(per_clip)).astype(np.float32)
        return torch.from_numpy(rows).to(self.device)

    def _upload_row(self, values: Sequence[float] | np.ndarray) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)

    def _upload_ints(self, values: Sequence[int] | np.ndarray) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=self.device)


def _last_pair_start(clip: MotionClip, control_dt: float) -> float:
    """Latest time at which a pair may begin [s]."""
    if clip.cyclic:
        return clip.duration
    start = clip.duration - control_dt
    if start < 0.0:
        raise UserError(
            f"motion clip {clip.name} lasts {clip.duration:.3f} s, less than one control step of "
            f"{control_dt:.3f} s; leave it out"
        )
    return start


def _interpolate(
    values: torch.Tensor, before: torch.Tensor, after: torch.Tensor, fraction: torch.Tensor
) -> torch.Tensor:
    return torch.lerp(values[before], values[after], fraction)


def _slerp(
    quats: torch.Tensor, before: torch.Tensor, after: torch.Tensor, fraction: torch.Tensor
) -> torch.Tensor:
    """Rotation at constant speed, the shorter way, from one frame's attitude to the next's."""
    start, end = quats[before], quats[after]
    cosine = (start * end).sum(dim=-1, keepdim=True)
    end = torch.where(cosine < 0.0, -end, end)
    angle = torch.acos(cosine.abs().clamp(max=1.0))
    # torch.sinc(x) = sin(pi x) / (pi x) stays defined as the angle vanishes.
    whole = torch.sinc(angle / torch.pi)
    to_start = (1.0 - fraction) * torch.sinc((1.0 - fraction) * angle / torch.pi) / whole
    to_end = fraction * torch.sinc(fraction * angle / torch.pi) / whole
    return torch.nn.functional.normalize(to_start * start + to_end * end, dim=-1)

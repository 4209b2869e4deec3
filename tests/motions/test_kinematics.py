from __future__ import annotations

import mujoco
import numpy as np
import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.motions.kinematics import LegKinematics, load_robot_spec
from grq20 import (
    BASE_BODY_NAME,
    DEFAULT_LEG_JOINT_POS,
    FOOT_RADIUS,
    FOOT_SITE_NAMES,
    LEG_JOINT_NAMES,
    MJCF_PATH,
    STANDING_HEIGHT,
)


def random_poses(legs: LegKinematics, count: int) -> np.ndarray:
    """Poses inside the limits with the feet below the hips."""
    lower, upper = legs.joint_range.T.copy()
    lower[4:8], upper[4:8] = -0.2, 1.4
    return np.random.default_rng(0).uniform(lower, upper, (count, 12))


def test_forward_agrees_with_the_physics_model(legs):
    model = load_robot_spec().compile()
    data = mujoco.MjData(model)
    for pose in random_poses(legs, 20):
        data.qpos[3:7] = [0.6, -0.3, 0.5, 0.2]
        for name, angle in zip(LEG_JOINT_NAMES, pose, strict=True):
            data.joint(name).qpos = angle
        mujoco.mj_kinematics(model, data)
        base = data.body(BASE_BODY_NAME)
        feet = np.stack([data.site(name).xpos for name in FOOT_SITE_NAMES]) - base.xpos
        np.testing.assert_allclose(legs.forward(pose), feet @ base.xmat.reshape(3, 3), atol=1e-9)


def test_inverse_undoes_forward(legs):
    poses = random_poses(legs, 500)
    np.testing.assert_allclose(legs.inverse(legs.forward(poses)), poses, atol=1e-9)


def test_default_pose_stands_at_the_known_height(legs):
    feet = legs.forward(np.array(DEFAULT_LEG_JOINT_POS))
    assert FOOT_RADIUS - feet[:, 2].mean() == pytest.approx(STANDING_HEIGHT, abs=2e-3)


def test_unreachable_target_names_the_leg_or_is_clamped(legs, message):
    feet = legs.forward(np.array(DEFAULT_LEG_JOINT_POS))
    feet[2, 2] -= 0.5
    with pytest.raises(UserError) as error:
        legs.inverse(feet)
    assert "RL" in message(error) and "out of reach" in message(error)
    clamped = legs.inverse(feet, clamp=True)
    lower, upper = legs.joint_range.T
    assert ((clamped >= lower) & (clamped <= upper)).all()
    reached = legs.forward(clamped)
    np.testing.assert_allclose(reached[[0, 1, 3]], feet[[0, 1, 3]], atol=1e-9)
    assert reached[2, 2] < feet[0, 2] - 0.1


def test_other_joint_layout_is_refused(tmp_path, message):
    xml = MJCF_PATH.read_text().replace(
        '<default class="calf"><joint axis="0 1 0"', '<default class="calf"><joint axis="0 -1 0"'
    )
    assert xml != MJCF_PATH.read_text()
    path = tmp_path / "turned.xml"
    path.write_text(xml)
    with pytest.raises(UserError) as error:
        LegKinematics.from_mjcf(path)
    assert "turned.xml" in message(error)


def test_longer_legs_of_another_model_are_read(tmp_path):
    path = tmp_path / "longer.xml"
    path.write_text(MJCF_PATH.read_text().replace('pos="0 0 -0.285"', 'pos="0 0 -0.3"'))
    assert LegKinematics.from_mjcf(path).leg_length == pytest.approx([0.6] * 4)

"""A policy on a robot, without torch."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from mjlab.utils.lab_api.math import quat_apply_inverse

from grq20 import DAMPING, LEG_JOINT_NAMES, STIFFNESS
from rl_sim_env.cli.options import POLICIES
from rl_sim_env.deploy import DeployedPolicy, PolicyMetadata, SensorReading, projected_gravity
from rl_sim_env.deploy.deployed_policy import TARE_AFTER, TARE_WINDOW, PolicyStep
from rl_sim_env.deploy.digest import DIGEST_KEY
from rl_sim_env.deploy.metadata import METADATA_KEY
from rl_sim_env.deploy.onnx_export import NETWORK_FILE, POLICY_FILE
from rl_sim_env.errors import UserError
from soak import soak_seed, times

ROBOT = {"joint_names": LEG_JOINT_NAMES, "stiffness": STIFFNESS, "damping": DAMPING}


@pytest.fixture
def policy(exported) -> DeployedPolicy:
    return DeployedPolicy.load(exported / POLICY_FILE, **ROBOT)


def a_reading(seed: int = 0) -> SensorReading:
    rng = np.random.default_rng(seed)
    return SensorReading(
        base_ang_vel=rng.normal(size=3),
        projected_gravity=(0.0, 0.0, -1.0),
        joint_pos=rng.normal(size=12),
        joint_vel=rng.normal(size=12),
        joint_torques=rng.normal(size=12),
        velocity_commands=[0.5, 0.0, 0.0],
    )


def edit_properties(source, target, properties):
    model = onnx.load(source)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, target)
    return target


def edit_constants(source, target, **values):
    """Copy an exported file, some of its tensors filled with a value; dots in names as two _."""
    model = onnx.load(source)
    tensors = {each.name: each for each in model.graph.initializer}
    for name, value in values.items():
        tensor = tensors[name.replace("__", ".")]
        filled = np.full_like(onnx.numpy_helper.to_array(tensor), value)
        tensor.CopyFrom(onnx.numpy_helper.from_array(filled, tensor.name))
    # A file that was changed on purpose, and not damaged, has no digest.
    assert model.metadata_props.pop().key == DIGEST_KEY
    onnx.save(model, target)
    return target


def test_import_needs_neither_torch_nor_the_simulator():
    heavy = "{'torch', 'mjlab', 'mujoco', 'onnx', 'rsl_rl'}"
    code = f"import sys, rl_sim_env.deploy; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_episode_begins_with_the_first_frame_in_every_place(policy):
    first = policy.step(a_reading())
    changed = policy.step(a_reading())
    assert not np.array_equal(first.joint_targets, changed.joint_targets), "memory has no effect"
    policy.reset()
    assert np.array_equal(policy.step(a_reading()).joint_targets, first.joint_targets)


def test_after_a_tare_masses_are_counted_from_what_was_estimated_without_load(exported):
    policy, untared = (DeployedPolicy(exported / POLICY_FILE) for _ in range(2))
    window = round(TARE_WINDOW / policy.metadata.control_period)
    steps = round(TARE_AFTER / policy.metadata.control_period) + window
    masses = [policy.step(a_reading(seed)).mass for seed in range(steps)]
    offset = policy.tare()
    assert offset == pytest.approx(np.mean(masses[-window:]), rel=1e-5)
    for policy_of_before in (policy, untared):
        policy_of_before.reset()
    now, raw = policy.step(a_reading()), untared.step(a_reading())
    assert now.mass == pytest.approx(raw.mass - offset, abs=1e-6)
    assert np.array_equal(now.joint_targets, raw.joint_targets)
    assert np.array_equal(now.com, raw.com)


def test_a_second_tare_does_not_build_upon_the_first(policy):
    steps = round((TARE_AFTER + TARE_WINDOW) / policy.metadata.control_period)

    def walk_and_tare() -> float:
        policy.reset()
        for seed in range(steps):
            policy.step(a_reading(seed))
        return policy.tare()

    assert walk_and_tare() == walk_and_tare() != 0.0


def test_a_tare_too_soon_is_refused(policy):
    with pytest.raises(UserError, match=r"0\.0 s .* without load for 5 s"):
        policy.tare()
    steps = round((TARE_AFTER + TARE_WINDOW) / policy.metadata.control_period)
    for _ in range(steps - 1):
        policy.step(a_reading())
    with pytest.raises(UserError, match=r"5\.0 s"):
        policy.tare()
    policy.step(a_reading())
    policy.tare()


def test_the_past_fades(exported):
    policies = [DeployedPolicy(exported / POLICY_FILE) for _ in range(2)]
    for policy, seed in zip(policies, (1, 2), strict=True):
        policy.step(a_reading(seed))
    # Untrained, the memory forgets in about twenty steps.
    gaps = []
    for step in range(300):
        one, other = (policy.step(a_reading(10 + step)).joint_targets for policy in policies)
        gaps.append(np.abs(one - other).max())
    assert gaps[0] > 1e-4
    assert gaps[-1] < 1e-3 * gaps[0]


def test_estimates_come_apart_by_name(policy):
    output = policy.step(a_reading())
    assert output.joint_targets.shape == (12,)
    assert output.velocity.shape == output.com.shape == (3,)
    assert isinstance(output.mass, float)


def test_result_of_a_step_survives_the_next(policy):
    first = policy.step(a_reading(0))
    kept = first.joint_targets.copy()
    policy.step(a_reading(1))
    assert np.array_equal(first.joint_targets, kept)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("joint_pos", np.zeros(11), r"joint_pos.*\(11,\).*\(12,\)"),
        ("joint_vel", np.full(12, np.nan), "joint_vel: not finite"),
        ("joint_pos", np.full(12, 45.0), "joint_pos: .*give radians"),
        ("velocity_commands", (50.0, 0.0, 0.0), "velocity_commands: .*beyond 10"),
        ("projected_gravity", np.zeros(3), "projected_gravity: .*length 0 instead of 1"),
        ("projected_gravity", (0.0, 0.0, -9.81), r"projected_gravity: .*length 9\.81"),
        ("base_ang_vel", 0.0, r"base_ang_vel.*\(\).*\(3,\)"),
    ],
)
def test_bad_reading_is_refused_and_forgotten(exported, name, values, words):
    policies = [DeployedPolicy(exported / POLICY_FILE) for _ in range(2)]
    for policy in policies:
        policy.step(a_reading(0))
    with pytest.raises(UserError, match=words) as refused:
        policies[0].step(replace(a_reading(1), **{name: values}))
    assert "\n" not in str(refused.value)
    one, other = (policy.step(a_reading(2)).joint_targets for policy in policies)
    assert np.array_equal(one, other)


def test_output_that_is_not_finite_is_never_returned_and_is_forgotten(exported, tmp_path):
    # Infinity times 0 is NaN; times anything else it is clipped.
    path = edit_constants(
        exported / POLICY_FILE, tmp_path / "policy.onnx", scale_of_velocity_commands=np.inf
    )
    policies = [DeployedPolicy(path) for _ in range(2)]
    moving = [replace(a_reading(seed), velocity_commands=(0.5, 0.1, 0.2)) for seed in range(2)]
    for policy in policies:
        policy.step(moving[0])
    for _ in range(2):
        with pytest.raises(UserError, match=r"not finite.*joints into damping"):
            policies[0].step(replace(a_reading(1), velocity_commands=np.zeros(3)))
    one, other = (policy.step(moving[1]).joint_targets for policy in policies)
    assert np.array_equal(one, other)


def test_limits_of_targets_hide_no_action_that_is_not_finite(limited, tmp_path):
    DeployedPolicy(limited).step(a_reading())
    path = edit_constants(
        limited, tmp_path / POLICY_FILE, network__policy__actor__mlp__2__bias=np.inf
    )
    with pytest.raises(UserError, match="not finite"):
        DeployedPolicy(path).step(a_reading())


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ({"joint_names": LEG_JOINT_NAMES[::-1]}, "! FL_hip_joint    RR_calf_joint"),
        ({"joint_names": LEG_JOINT_NAMES[:11]}, "! RR_calf_joint"),
        ({"stiffness": (60.0, *(STIFFNESS,) * 11)}, "gains kp.*! 70.0    60.0"),
        ({"damping": 3.0}, "gains kd.*! 2.0     3.0"),
    ],
)
def test_robot_that_does_not_fit_is_refused_with_both_lists(exported, difference, words):
    with pytest.raises(UserError, match=f"(?s){words}"):
        DeployedPolicy.load(exported / POLICY_FILE, **(ROBOT | difference))


def test_the_other_file_is_refused(exported):
    with pytest.raises(UserError, match=r"give the policy\.onnx"):
        DeployedPolicy(exported / NETWORK_FILE)


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, "without metadata of rl_sim_env; export"),
        ({METADATA_KEY: "{"}, "cannot be read"),
        ({METADATA_KEY: '{"format_version": 99}'}, "format 99, this program reads 1"),
        ({METADATA_KEY: '{"format_version": 1}'}, "missing or unknown facts .*joint_names"),
    ],
)
def test_file_without_our_metadata_is_told_in_one_line(exported, tmp_path, properties, words):
    path = edit_properties(exported / POLICY_FILE, tmp_path / "other.onnx", properties)
    with pytest.raises(UserError, match=rf"other\.onnx: .*{words}") as caught:
        DeployedPolicy(path)
    assert "\n" not in str(caught.value)


def test_an_estimate_that_a_policy_does_not_make_is_told_by_name():
    made = PolicyStep(joint_targets=np.zeros(12), estimates={"velocity": np.zeros(3)})
    assert made.velocity.shape == (3,)
    with pytest.raises(UserError, match="estimates no mass; it estimates velocity"):
        _ = made.mass


def test_damaged_file_is_refused_or_harmless(exported, tmp_path):
    path, rng = tmp_path / "damaged.onnx", np.random.default_rng(soak_seed())
    content = (exported / POLICY_FILE).read_bytes()
    expected = DeployedPolicy(exported / POLICY_FILE)
    targets = expected.step(a_reading()).joint_targets
    ends = len(content) - 1 - np.arange(90)
    for place in (*rng.integers(len(content), size=times(40)), *rng.choice(ends, times(40))):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            policy = DeployedPolicy(path)
        except UserError as error:
            assert re.search(r"damaged\.onnx: .*damaged[^\n]*$", str(error)), place
        else:
            # What says that there is a digest is damaged itself.
            assert len(content) - place <= 90
            assert policy.metadata == expected.metadata
            assert np.array_equal(policy.step(a_reading()).joint_targets, targets)


def test_file_of_before_has_no_digest_and_is_run(exported, tmp_path, policy):
    before = {each.key: each.value for each in onnx.load(exported / POLICY_FILE).metadata_props}
    assert before.pop(DIGEST_KEY)
    older = DeployedPolicy(edit_properties(exported / POLICY_FILE, tmp_path / "o.onnx", before))
    assert np.array_equal(
        older.step(a_reading()).joint_targets, policy.step(a_reading()).joint_targets
    )


def test_what_is_no_policy_is_told(tmp_path):
    (tmp_path / "text.onnx").write_text("walk!")
    for name, words in (("text.onnx", "not an ONNX file"), ("none.onnx", "no such file")):
        with pytest.raises(UserError, match=words):
            DeployedPolicy(tmp_path / name)


def test_metadata_survive_json_without_loss(policy):
    metadata = replace(policy.metadata, control_period=1.0 / 3.0, target_limits=((-0.1, 0.3),) * 12)
    assert PolicyMetadata.from_properties({METADATA_KEY: metadata.to_json()}, "") == metadata


def test_gravity_is_seen_from_the_body():
    quaternion = np.array((0.5, -0.1, 0.7, 0.2))
    quaternion /= np.linalg.norm(quaternion)
    expected = quat_apply_inverse(
        torch.from_numpy(quaternion), torch.tensor((0.0, 0.0, -1.0), dtype=torch.double)
    )
    np.testing.assert_allclose(projected_gravity(quaternion), expected, atol=1e-12)


def test_an_orientation_that_is_none_is_refused():
    for quaternion in (np.zeros(4), 2.0 * np.eye(4)[0]):
        with pytest.raises(UserError, match=r"quaternion_wxyz: .* instead of 1"):
            projected_gravity(quaternion)


def trained_on(exported, target, *mass_range):
    """A copy that says in which range the mass was in training [kg]; no range: it does not say."""
    model = onnx.load(exported / POLICY_FILE)
    facts = PolicyMetadata.from_properties(
        {each.key: each.value for each in model.metadata_props}, "the exported file"
    )
    estimates = tuple(
        replace(each, trained_range=mass_range or None) if each.name == "mass" else each
        for each in facts.estimates
    )
    facts = replace(facts, estimates=estimates)
    return DeployedPolicy(
        edit_properties(exported / POLICY_FILE, target, {METADATA_KEY: facts.to_json()})
    )


def test_a_mass_whose_interval_leaves_the_range_of_training_is_flagged(exported, tmp_path, policy):
    first = policy.step(a_reading())
    assert first.std is not None and first.std["com"].shape == (3,) and first.std["mass"] > 0.0
    mass, std = first.mass, float(first.std["mass"][0])
    for number, (below, above, flagged) in enumerate(
        ((3.0, 3.0, False), (3.0, 1.0, True), (1.0, 3.0, True), (30.0, -5.0, True))
    ):
        trained = (mass - below * std, mass + above * std)
        copy = trained_on(exported, tmp_path / f"{number}.onnx", trained)
        assert copy.step(a_reading()).beyond_training is flagged
        # A tare says what masses are counted from, not what was trained.
        copy.unloaded_mass = 100.0
        copy.reset()
        assert copy.step(a_reading()).beyond_training is flagged


def test_a_policy_that_does_not_know_its_range_flags_nothing(exported, tmp_path):
    assert trained_on(exported, tmp_path / "copy.onnx").step(a_reading()).beyond_training is None


def test_a_policy_of_before_tells_no_deviations_and_flags_nothing():
    step = DeployedPolicy(POLICIES / "go1" / POLICY_FILE).step(a_reading())
    assert step.std is None and step.beyond_training is None


@pytest.mark.parametrize("trained", [((5.0, -3.0),), ((0.0, 6.0), (0.0, 6.0))])
def test_a_range_that_is_none_is_refused(exported, tmp_path, trained):
    with pytest.raises(UserError, match="estimate 'mass': trained_range is"):
        trained_on(exported, tmp_path / "copy.onnx", *trained)

"""The way to other ground."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.viewer.ground_panel import GroundPanel, describe_place, family_title, send_to
from rl_sim_env.viewer.play_viewer import PlayViewer
from rl_sim_env.viewer.view import View
from small_policy import small_policy


@pytest.fixture(scope="module")
def rough_player(make_env) -> Evaluator:
    vec_env = AmpVaeVecEnv(make_env(2, terrain="rough", play=True))
    return Evaluator(vec_env, small_policy(vec_env))


def test_a_robot_begins_anew_where_it_was_sent_without_a_fall(rough_player):
    env = rough_player.env
    before = env.terrain_types.ids[0].item()
    send_to(env, torch.tensor([1]), "boxes", 3)
    step = rough_player.advance()
    assert step.dones.tolist() == [False, True] and not step.fell.any()
    assert describe_place(env, 1) == "discrete obstacles, level 3"
    assert env.terrain_types.ids[0] == before
    terrain = env.scene.terrain
    assert terrain is not None and terrain.terrain_origins is not None
    column = terrain.terrain_types[1]
    distance = env.robot.data.root_link_pos_w[1] - terrain.terrain_origins[3, column]
    assert distance[:2].norm() < 1.0


def test_the_camera_begins_where_no_stairs_hide_the_robot(rough_player, server):
    viewer = PlayViewer(rough_player, server)
    env, root = rough_player.env, rough_player.env.robot.data
    send_to(env, torch.tensor([0]), "pyramid_stairs_inv", 4)
    rough_player.advance()
    usual = torch.as_tensor(viewer.camera_offset(), dtype=torch.float)
    pose = torch.cat((root.root_link_pos_w[:1], root.root_link_quat_w[:1]), dim=-1)
    # To the foot of the stairs that are on the camera's side.
    pose[0, :2] += 0.6 * usual[:2]
    env.robot.write_root_link_pose_to_sim(pose, env_ids=torch.tensor([0]))
    env.sim.forward()
    chosen = torch.as_tensor(viewer.camera_offset(), dtype=torch.float)
    sight = (
        pose[0, :3] + torch.linspace(0.1, 1.0, 50)[:, None] * torch.stack((usual, chosen))[:, None]
    )
    hides = (sight[..., 2] < env.height_map.heights(sight[..., :2])).any(dim=-1)
    assert hides.tolist() == [True, False]
    assert chosen.norm() == pytest.approx(float(usual.norm()))


def test_families_have_the_names_of_the_report():
    assert family_title("plane_run") == "flat"
    assert family_title("pyramid_stairs_inv") == "stairs up"
    assert family_title("of a user") == "of a user"


def test_every_family_can_be_chosen_and_a_plane_has_nothing_to_choose(
    rough_player, policy_player, server
):
    view = View(server, lambda change: change())
    panel = GroundPanel(view, rough_player.env)
    panel.update()
    assert len(panel.family.options) == len(rough_player.env.terrain_types.names)
    assert "level" in panel.here.content
    plane = GroundPanel(view, policy_player.env)
    plane.update()
    assert "flat" in plane.here.content and not hasattr(plane, "family")
    assert "start it with" in plane.here.content and "start it" not in panel.here.content

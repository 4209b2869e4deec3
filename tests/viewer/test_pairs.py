"""Two policies side by side."""

from __future__ import annotations

import pytest
import torch

from rl_sim_env.envs import AmpVaeVecEnv
from rl_sim_env.evaluation import Evaluator
from rl_sim_env.evaluation.paired_policy import PairedPolicy
from rl_sim_env.mdp.events import get_load
from rl_sim_env.viewer.drive_panel import THIS
from rl_sim_env.viewer.ground_panel import end_episodes
from rl_sim_env.viewer.pairs import SPACING
from rl_sim_env.viewer.play_viewer import PlayViewer
from small_policy import small_policy

HALF = 2


@pytest.fixture(scope="module")
def vec_env(make_env) -> AmpVaeVecEnv:
    def small(cfg):
        # The page is shown all of the ground: that takes its time.
        cfg.scene.terrain.terrain_generator.num_rows = 5

    return AmpVaeVecEnv(make_env(2 * HALF, play=True, terrain="rough", edit=small))


@pytest.fixture
def viewer(vec_env, server) -> PlayViewer:
    first, second = small_policy(vec_env), small_policy(vec_env)
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(1.5)
    player = Evaluator(vec_env, PairedPolicy(first, second))
    viewer = PlayViewer(player, server, rivals=("first", "second"))
    viewer.setup()
    return viewer


def halves(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    first, second = values[: 2 * HALF].split(HALF)
    return first, second


def assert_alike(viewer: PlayViewer) -> None:
    env = viewer.player.env
    assert torch.equal(*halves(env.terrain_types.ids))
    assert torch.equal(*halves(env.scene.terrain.terrain_levels))
    torch.testing.assert_close(*halves(get_load(env)), atol=1e-4, rtol=0.0)


def test_each_policy_acts_and_believes_for_its_half(viewer):
    player = viewer.player
    obs = player.vec_env.get_observations()
    memory = player.policy.initial_memory(2 * HALF)
    together = player.policy(obs, memory)
    for place, policy in enumerate(player.policy._both):
        alone = policy(obs, memory)
        robots = slice(place * HALF, (place + 1) * HALF)
        torch.testing.assert_close(together.actions[robots], alone.actions[robots])
        torch.testing.assert_close(together.estimate.mass[robots], alone.estimate.mass[robots])


def test_pairs_begin_side_by_side_on_the_same_ground_under_the_same_load(viewer):
    assert_alike(viewer)
    env = viewer.player.env
    first, second = halves(env.robot.data.root_link_pos_w)
    distance = (first - second)[:, :2].norm(dim=-1)
    torch.testing.assert_close(distance, torch.full((HALF,), SPACING), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(*halves(env.robot.data.root_link_quat_w))
    torch.testing.assert_close(*halves(env.robot.data.joint_pos))


def test_the_second_obeys_the_commands_of_the_first(viewer):
    for _ in range(3):
        viewer.advance()
    torch.testing.assert_close(
        *halves(viewer.player.env.velocity_command.command), atol=0.05, rtol=0
    )


def test_what_is_chosen_for_the_second_counts_for_both(viewer):
    env = viewer.player.env
    viewer.view.robot = HALF
    viewer.drive.mode.value = THIS
    viewer.drive.sliders[0].value = 0.35
    viewer.load.hang_on(4.0)
    viewer.tick()
    viewer.advance()
    assert env.velocity_command.command[[0, HALF], 0].tolist() == pytest.approx([0.35, 0.35])
    assert get_load(env)[[0, HALF]].tolist() == pytest.approx([4.0, 4.0], abs=1e-3)
    viewer.ground.level.value = 4
    viewer.ground._go("this robot")
    viewer.tick()
    for _ in range(2):
        viewer.advance()
    assert env.scene.terrain.terrain_levels[[0, HALF]].tolist() == [4, 4]
    assert_alike(viewer)


def test_whoever_begins_anew_takes_the_other_along(viewer):
    env = viewer.player.env
    for _ in range(5):
        viewer.advance()
    end_episodes(env, torch.tensor([HALF]))
    for _ in range(4):
        viewer.advance()
    ages = env.episode_length_buf
    assert abs(int(ages[0] - ages[HALF])) <= 1 and ages[0] < 5 < ages[1] == ages[HALF + 1]
    assert_alike(viewer)


def test_each_policy_has_a_score_of_its_own(viewer):
    viewer.advance()
    viewer.update_panels()
    assert [len(score.robots) for score in viewer.scores.values()] == [HALF, HALF]
    assert "A: first" in viewer.status.score.content and "B: second" in viewer.status.score.content

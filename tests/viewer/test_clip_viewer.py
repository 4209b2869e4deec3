"""Motion clips on the robot."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from feet import feet_in_world
from rl_sim_env.mdp import observations
from rl_sim_env.viewer.clip_viewer import STANCE_COLOR, SWING_COLOR, ClipViewer

MID_CLIP = 40


def test_robot_takes_the_pose_and_the_speed_of_the_frame(clip_player):
    for _ in range(MID_CLIP):
        clip_player.advance()
    env, clip, frame = clip_player.vec_env.unwrapped, clip_player.clip, clip_player.frame
    assert frame == round(MID_CLIP * env.step_dt * clip.fps)

    def like(values) -> torch.Tensor:
        return torch.as_tensor(values[frame], dtype=torch.float).reshape(1, -1)

    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(observations.joint_pos(env), like(clip.joint_pos), **close)
    torch.testing.assert_close(observations.joint_vel(env), like(clip.joint_vel), **close)
    torch.testing.assert_close(observations.foot_positions(env), like(clip.foot_pos), **close)
    robot = env.robot.data
    torch.testing.assert_close(robot.root_link_quat_w, like(clip.root_quat), **close)
    torch.testing.assert_close(robot.root_link_lin_vel_b, like(clip.root_lin_vel), **close)
    torch.testing.assert_close(robot.root_link_ang_vel_b, like(clip.root_ang_vel), **close)
    position = robot.root_link_pos_w - env.scene.env_origins
    torch.testing.assert_close(position, like(clip.root_pos), **close)


def test_every_clip_is_shown_to_its_end(clip_player):
    last_frame = {}
    for _ in range(clip_player.num_steps):
        last_frame[clip_player.clip.name] = clip_player.frame
        clip_player.advance()
    assert list(last_frame) == [clip.name for clip in clip_player.clips]
    for clip in clip_player.clips:
        assert clip.num_frames - last_frame[clip.name] <= clip.fps * clip_player.vec_env.step_dt
    assert (clip_player.index, clip_player.frame) == (0, 0)


def test_clip_is_repeated_on_demand(clip_player):
    clip_player.repeat = True
    for _ in range(clip_player.num_steps):
        clip_player.advance()
        assert clip_player.index == 0


def test_chosen_clip_begins_at_its_beginning(clip_player):
    clip_player.advance()
    clip_player.select(1)
    assert (clip_player.index, clip_player.frame) == (1, 0)


def test_feet_are_drawn_where_they_are_in_the_colour_of_their_contact(clip_player):
    drawn = []

    class Paper:
        def get_env_indices(self, num_envs: int) -> range:
            return range(num_envs)

        def add_sphere(self, center, radius, color) -> None:
            drawn.append((tuple(center), color))

    env, clip = clip_player.vec_env.unwrapped, clip_player.clip
    while clip.foot_contact[clip_player.frame].all():
        clip_player.advance()
    env.manager_visualizers["feet"].debug_vis(Paper())
    feet = feet_in_world(clip)[clip_player.frame] + env.scene.env_origins[0].numpy()
    contact = clip.foot_contact[clip_player.frame]
    for (center, color), foot, stands in zip(drawn, feet, contact, strict=True):
        assert center == pytest.approx(tuple(foot), abs=1e-4)
        assert color == (STANCE_COLOR if stands else SWING_COLOR)


def test_viewer_shows_clips_and_obeys_the_choice(clip_player, server):
    viewer = ClipViewer(clip_player, server)
    viewer.setup()
    viewer.choose(clip_player.clips[1].name)
    viewer.tick()
    viewer.show()
    assert clip_player.index == 1
    assert viewer._choice.value == clip_player.clip.name
    assert clip_player.clip.source in viewer._facts.content


def test_clips_of_one_name_are_told_apart_and_what_they_say_is_text(clip_player, server):
    clip = replace(clip_player.clips[0], licence="<script>all rights</script>")
    clip_player.clips[:] = [clip_player.clips[1], clip, clip]
    viewer = ClipViewer(clip_player, server)
    viewer.setup()
    viewer.choose(f"{clip.name} (2)")
    viewer.tick()
    viewer.show()
    assert viewer._choice.options == (
        clip_player.clips[0].name,
        *(f"{clip.name} ({k})" for k in (1, 2)),
    )
    assert viewer._choice.value == f"{clip.name} (2)"
    assert "<script>" not in viewer._facts.content

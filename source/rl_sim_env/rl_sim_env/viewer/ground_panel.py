"""Which ground robots walk on: families, levels, and the way there."""

from __future__ import annotations

import torch

from rl_sim_env.envs import AmpVaeEnv
from rl_sim_env.evaluation.grid import TERRAINS
from rl_sim_env.viewer.page import within
from rl_sim_env.viewer.view import PADDED, View

FLAT_ALONE = (
    "<p>This task has flat ground alone. Stairs, slopes, rough ground and obstacles are on tasks "
    "without <code>-Flat</code> in their names: end the program and start it with "
    "<code>--task</code> and one of those that <code>rl-sim-env tasks</code> lists.</p>"
)
"""What stands where there is no other ground to go to."""


class GroundPanel:
    """Sends robots to another tile.

    Args:
        view: The page.
        env: The environment.
    """

    def __init__(self, view: View, env: AmpVaeEnv) -> None:
        self._view, self._env = view, env
        gui = view.server.gui
        self._origins = env.terrain.terrain_origins
        self.here = gui.add_html("")
        if self._origins is None:
            return
        self._names = {family_title(name): name for name in env.terrain_types.names}
        titles = tuple(self._names)
        last = self._origins.shape[0] - 1
        self.family = gui.add_dropdown("Ground", titles, initial_value=titles[0])
        self.level = gui.add_slider(
            f"level, 0 to {last}",
            min=0,
            max=last,
            step=1,
            initial_value=min(2, last),
            hint="as in reports and in training: 0 is the easiest, the last the hardest",
        )
        go = gui.add_button_group("Go there", ("this robot", "all robots"))
        go.on_click(lambda event: self._go(event.target.value))

    def update(self) -> None:
        """Say where the robot in view is."""
        text = describe_place(self._env, self._view.robot)
        hint = FLAT_ALONE if self._origins is None else ""
        self.here.content = (
            f"<div style='{PADDED}'>robot {self._view.robot}: <b>{text}</b>{hint}</div>"
        )

    def _go(self, who: str) -> None:
        assert self._origins is not None
        level = within(float(self.level.value), 0.0, len(self._origins) - 1.0)
        family = self._names.get(self.family.value)
        if level is None or family is None:
            return
        robots = (
            torch.arange(self._env.num_robots)
            if who == "all robots"
            else torch.tensor(self._view.chosen)
        )
        self._view.ask(lambda: send_to(self._env, robots, family, round(level)))


def send_to(env: AmpVaeEnv, robots: torch.Tensor, family: str, level: int) -> None:
    """Let robots begin anew on another tile with the next step, as if their time were over.

    Args:
        env: The environment, on a grid of tiles.
        robots: Indices.
        family: Family of the ground.
        level: Row of the grid.
    """
    terrain = env.terrain
    assert terrain.terrain_origins is not None, "the environment has a grid of tiles"
    robots = robots.to(env.device)
    families = torch.full_like(robots, env.terrain_types.names.index(family))
    columns = env.terrain_types.draw_columns(families)
    terrain.terrain_types[robots] = columns
    terrain.terrain_levels[robots] = level
    terrain.env_origins[robots] = terrain.terrain_origins[level, columns]
    end_episodes(env, robots)


def end_episodes(env: AmpVaeEnv, robots: torch.Tensor) -> None:
    """Have the next step end the episodes of robots, without a fall."""
    env.episode_length_buf[robots] = env.max_episode_length


def family_title(family: str) -> str:
    """What the report calls a family of ground, with its own name where that is not clear."""
    rows = [row for row, names in TERRAINS.items() if family in names]
    if not rows:
        return family
    alone = next((row for row in rows if len(TERRAINS[row]) == 1), None)
    return alone or f"{rows[0]}, {'down' if family.endswith('_inv') else 'up'}"


def describe_place(env: AmpVaeEnv, robot: int) -> str:
    """Ground under a robot, in words."""
    title = family_title(env.terrain_types.names[int(env.terrain_types.ids[robot])])
    if env.terrain.terrain_origins is None:
        return title
    return f"{title}, level {int(env.terrain.terrain_levels[robot])}"

"""A policy in the browser: what it does, what it believes, and what one can do to it."""

from __future__ import annotations

import viser

from rl_sim_env.evaluation import Evaluator
from rl_sim_env.learning.discriminator import Discriminator
from rl_sim_env.viewer.browsers import Gamepad
from rl_sim_env.viewer.drive_panel import DrivePanel
from rl_sim_env.viewer.estimate_panel import EstimatePanel
from rl_sim_env.viewer.gait_panel import GaitPanel
from rl_sim_env.viewer.ground_panel import GroundPanel, describe_place
from rl_sim_env.viewer.history import History
from rl_sim_env.viewer.load_panel import LoadPanel
from rl_sim_env.viewer.markers import Markers
from rl_sim_env.viewer.pairs import NAMES, Pairs
from rl_sim_env.viewer.player_viewer import PlayerViewer
from rl_sim_env.viewer.policy_panel import PolicyPanel, PolicySource, Walker
from rl_sim_env.viewer.record_panel import RecordPanel
from rl_sim_env.viewer.robot_panel import RobotPanel
from rl_sim_env.viewer.score import Score
from rl_sim_env.viewer.status_panel import StatusPanel
from rl_sim_env.viewer.wishes import Wishes


class PlayViewer(PlayerViewer[Evaluator]):
    """Shows a policy at work.

    Args:
        player: The policy in its environment; before its first step.
        server: Serves the page; the caller ends it.
        source: Where other policies come from; None: there are no others.
        style: Says how much its motions look like the clips; None: nobody does.
        rivals: Names of the two policies of a :class:`PairedPolicy`; None: there is one policy.

    Attributes:
        scores: How robots walk, by the name of their policy, since it began or all began anew.
        wishes: What the user has chosen for robots.
    """

    def __init__(
        self,
        player: Evaluator,
        server: viser.ViserServer,
        source: PolicySource | None = None,
        style: Discriminator | None = None,
        rivals: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(player, server)
        self._source, self._style, self._rivals = source, style, rivals

    def build_panels(self) -> None:
        """Build the page: its head, and tabs below it."""
        view, player = self.view, self.player
        env = player.env
        self.wishes = Wishes(env)
        self.pairs = None if self._rivals is None else Pairs(env, self.wishes)
        view.partner = None if self.pairs is None else self.pairs.partner
        self.scores = self._build_scores()
        self.history = History(player, self._style)
        self.status = StatusPanel(self)
        self.robots = RobotPanel(self, 0 if self.pairs is None else self.pairs.half)
        gamepad = Gamepad(self.server)
        tabs = self.server.gui.add_tab_group()
        with tabs.add_tab("Drive"):
            self.drive = DrivePanel(view, player, gamepad)
            with self.server.gui.add_folder("Load"):
                self.load = LoadPanel(view, player, self.wishes)
        with tabs.add_tab("Belief"):
            self.estimates = EstimatePanel(view, player, self.history)
            self.markers = Markers(view, player)
        with tabs.add_tab("Gait"):
            self.gait = GaitPanel(view, player, self.history)
        with tabs.add_tab("Ground"):
            self.ground = GroundPanel(view, env)
        with tabs.add_tab("Record"):
            self.record = RecordPanel(view, player)
            self.policies = None
            if self._source is not None:
                self.policies = PolicyPanel(view, self._source, self.exchange)
        if self.pairs is not None:
            self.pairs.begin()

    def advance(self) -> None:
        """Run one control step, and watch it."""
        self.drive.before_step()
        if self.pairs is not None:
            self.pairs.before_step(self.drive.steered)
        loads = self._load_in_view()
        step = self.player.advance()
        if self.pairs is not None:
            self.pairs.after_step()
        self.wishes.keep(step.dones)
        for score in self.scores.values():
            score.add(step)
        self.history.add(self.view.robot, step)
        self.record.after_step()
        fallen = step.fell.nonzero().flatten().tolist()
        if fallen:
            self.robots.last_fallen = fallen[-1]
        if self.view.robot in fallen:
            self.view.tell(
                f"robot {self.view.robot} fell at {self.steps * self.player.step_dt:.1f} s"
                f"{loads}; it begins anew"
            )

    def exchange(self, walker: Walker) -> None:
        """Let another policy walk on, and count anew."""
        self.player.exchange(walker.policy)
        self.history.style = walker.style
        self.scores = self._build_scores()

    def show(self) -> None:
        """Send what changed to the browsers, and to what records."""
        super().show()
        self.record.after_frame()

    def close(self) -> None:
        """End what is under way."""
        self.record.close()

    def restart(self) -> None:
        """Begin anew with all robots, what was chosen for them kept, and count anew."""
        super().restart()
        env = self.player.env
        self.wishes.keep(env.episode_length_buf[: env.num_robots] == 0)
        if self.pairs is not None:
            self.pairs.begin()
        self.scores = self._build_scores()
        self.history.clear(self.view.robot)
        self.view.note = ""

    def draw(self) -> None:
        """Mark what cannot be seen."""
        self.markers.draw(self.scene, self.offset())
        if self.pairs is not None:
            self.pairs.draw(self.scene, self.view)

    def update_panels(self) -> None:
        """Show the robot in view."""
        robot, env = self.view.robot, self.player.env
        falls = next(
            score.falls_of(robot) for score in self.scores.values() if robot in score.robots
        )
        counted = {0: "", 1: ", fell once"}.get(falls, f", fell {falls} times")
        self.status.update(
            f"robot {robot} of {env.num_robots} on {describe_place(env, robot)}{counted}",
            self.scores,
        )
        for panel in (self.load, self.estimates, self.gait, self.ground, self.policies):
            if panel is not None:
                panel.update()

    def _build_scores(self) -> dict[str, Score]:
        vec_env = self.player.vec_env
        if self._rivals is None:
            return {"all robots": Score(vec_env)}
        half = vec_env.num_envs // 2
        parts = (range(half), range(half, 2 * half))
        return {
            f"{letter}: {name}": Score(vec_env, part)
            for letter, name, part in zip(NAMES, self._rivals, parts, strict=True)
        }

    def _load_in_view(self) -> str:
        if not self.wishes.can_carry:
            return ""
        return f" under {self.wishes.load_of(self.view.robot):.1f} kg"

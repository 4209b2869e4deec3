"""What the policy believes about a robot, beside the truth."""

from __future__ import annotations

from dataclasses import dataclass

from rl_sim_env.conventions import DEVIATIONS_95, leaves_range
from rl_sim_env.evaluation import Evaluator

BEYOND_TRAINING = "maybe beyond training"
"""What is said of a load that may be heavier, or lighter, than any that was trained."""

MASS, COM, VELOCITY = "mass", "com", "velocity"
"""Quantities that the page has a picture for, where the policy estimates them."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One quantity as it is and as the policy believes it to be."""

    target: str
    """Name of the quantity."""
    label: str
    unit: str
    shown_range: tuple[float, float]
    """Values that its bar and its plot cover."""
    true: float
    estimated: float
    reach: float | None = None
    """Half of the estimate's 95 % interval; None where the policy does not tell."""
    beyond_training: bool = False
    """Whether it is a mass that may be beyond training."""

    @property
    def title(self) -> str:
        """What the page calls it, everywhere."""
        return f"{self.label} [{self.unit}]"


def compare(player: Evaluator, env_id: int) -> list[Comparison]:
    """What is true of one robot, and what its policy believed when it last acted."""
    true, estimated = (
        belief.joined()[env_id].tolist() for belief in (player.truth, player.output.estimate)
    )
    targets, std = player.policy.targets, player.output.std
    deviations = [None] * len(true) if std is None else std.joined()[env_id].tolist()
    trained = None if std is None else player.policy.trained_range()
    rows = []
    for each, truth, guess, deviation in zip(
        targets.components, true, estimated, deviations, strict=True
    ):
        rows.append(
            Comparison(
                target=each.target,
                label=each.label,
                unit=each.unit,
                shown_range=targets.declared[each.target].shown_range,
                true=each.per_si * truth,
                estimated=each.per_si * guess,
                reach=None if deviation is None else DEVIATIONS_95 * each.per_si * deviation,
                beyond_training=trained is not None
                and each.target == MASS
                and leaves_range(guess, deviation, *trained[MASS].flatten().tolist()),
            )
        )
    # Quantities of a single number first, and of them the first is plotted over time.
    return sorted(rows, key=lambda row: targets.widths[row.target] > 1)


def caption(player: Evaluator, env_id: int) -> str:
    """One line about one robot, for a video."""
    row, env = compare(player, env_id)[0], player.vec_env.unwrapped
    command = env.velocity_command.command[env_id, :2].norm()
    speed = env.robot.data.root_link_lin_vel_b[env_id, :2].norm()
    interval = "" if row.reach is None else f" ± {row.reach:.1f}"
    beyond = f" ({BEYOND_TRAINING})" if row.beyond_training else ""
    return (
        f"{row.label} {row.true:.1f} {row.unit}, estimated {row.estimated:.1f}{interval} {row.unit}"
        f"{beyond}    speed {speed:.2f} m/s, commanded {command:.2f} m/s"
    )

"""What can be said about a quantity that is estimated, and what a robot under load estimates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from rl_sim_env.configuration.limits import ASCENDING, NOT_NEGATIVE, POSITIVE

TRUTH_GROUP = "critic_obs"
"""Observation group that holds the truth about what is estimated, unless said otherwise."""


@dataclass(kw_only=True)
class EstimateCfg:
    """One quantity that is estimated: all that anybody needs to know of it.

    Loss, logs, console, curves, reports, the viewer's page and exported files follow from it; its
    width and its scale are those of the observation term.
    """

    term: str
    """Privileged observation term that shows the truth."""

    group: str = TRUTH_GROUP
    """Observation group of the term; one without noise."""

    unit: str
    """SI unit of the quantity, in which it is logged and exported."""

    factor: Annotated[float, POSITIVE] = 1.0
    """From the observed value, which the term has scaled, to the target of the loss."""

    weight: Annotated[float, NOT_NEGATIVE] = 1.0
    """Weight of its mean square error in the loss."""

    label: str
    """What people read: ``CoM``."""

    shown_unit: str
    """Unit that people read it in: ``cm``."""

    shown_per_si: Annotated[float, POSITIVE] = 1.0
    """From the SI unit to the shown one: 100 for centimetres."""

    shown_range: Annotated[tuple[float, float], ASCENDING] = (-1.0, 1.0)
    """Values that plots and bars cover [shown unit]."""

    decimals: Annotated[int, NOT_NEGATIVE] = 2
    """Decimals that people read."""

    by_axis: bool = True
    """Whether reports tell the errors of its elements apart."""

    loss_name: str = ""
    """Its part in the name of the loss curve, ``Loss/vae_<loss_name>_loss``; empty: its name."""


def velocity_mass_com() -> dict[str, EstimateCfg]:
    """What a quadruped under an unknown load has to know.

    Checkpoints and files of the time before anybody could declare anything else mean these.
    """
    return {
        "velocity": EstimateCfg(
            term="base_lin_vel",
            unit="m/s",
            label="velocity",
            shown_unit="m/s",
            shown_range=(-1.5, 1.5),
            decimals=3,
            by_axis=False,
            loss_name="vel",
        ),
        "mass": EstimateCfg(
            term="random_mass",
            unit="kg",
            label="extra mass",
            shown_unit="kg",
            shown_range=(-4.0, 12.0),
        ),
        "com": EstimateCfg(
            term="random_com",
            unit="m",
            # A few centimetres weigh as much as a few kilograms.
            factor=10.0,
            weight=0.1,
            label="CoM",
            shown_unit="cm",
            shown_per_si=100.0,
            shown_range=(-16.0, 16.0),
        ),
    }

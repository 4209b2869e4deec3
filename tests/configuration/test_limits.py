"""Values that fields must not have: each is refused in one line, before anything starts."""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
import torch

from fields import leaves, nonsense
from rl_sim_env.configuration.limits import (
    ASCENDING,
    COUNT,
    MAY_BE_INFINITE,
    MAY_BE_OFF,
    NOT_EMPTY,
    SHARE,
    FolderName,
    Number,
    check_limits,
)
from rl_sim_env.errors import UserError
from rl_sim_env.experiment import (
    EnvOptions,
    TrainerOptions,
    build_vec_env,
    configure_env,
    configure_trainer,
)
from rl_sim_env.tasks import find_task, make_env_cfg
from soak import SOAK, soak_seed

FAMILY = "Rl-Sim-Env-AmpVae-Grq20-V2d3"
FLAT, ROUGH = f"{FAMILY}-Flat-v0", f"{FAMILY}-v0"
DRIVES = "env.scene.entities.robot.articulation.actuators.0.drives"


def slide(env: object, *, limit: Annotated[float, SHARE], speed: float = 1.0) -> None:
    """A term's function."""


@dataclass
class Term:
    params: dict[str, Any]
    func: Any = slide


@dataclass
class Checked:
    gain: float = 1.0

    def __post_init__(self) -> None:
        if self.gain < 0.5:
            raise ValueError("gain must not be small")


@dataclass
class Settings:
    share: Annotated[float, SHARE] = 0.5
    widths: Annotated[tuple[int, ...], COUNT, NOT_EMPTY] = (8,)
    span: Annotated[tuple[float, float], ASCENDING] = (0.0, 1.0)
    limit: Annotated[float | None, Number(above=0, at_most=2)] = None
    free: float = 1.0
    endless: Annotated[float, MAY_BE_INFINITE] = 1.0
    gait: Literal["walk", "trot"] = "walk"
    table: dict[str, Checked] = field(default_factory=dict)
    terms: dict[str, Term | None] = field(default_factory=dict)
    name: Annotated[str, FolderName()] = "run"


def refusal(**values: Any) -> str:
    with pytest.raises(UserError) as caught:
        check_limits(Settings(**values), "agent")
    return str(caught.value)


def test_a_value_outside_of_its_limits_is_refused_by_its_path() -> None:
    assert refusal(share=1.5) == "agent.share is 1.5; it must be between 0 and 1"
    assert refusal(limit=3.0) == "agent.limit is 3.0; it must be above 0 and at most 2"
    assert refusal(widths=(8, 0)) == "agent.widths is [8, 0]; it must be at least 1"
    assert "at least 1 of them" in refusal(widths=())
    check_limits(Settings(share=1.0, limit=2.0, widths=(1,)), "agent")


def test_a_number_is_finite_unless_its_field_says_otherwise() -> None:
    assert "agent.free is inf; it must be a finite number" in refusal(free=float("inf"))
    assert "agent.table.left.gain is nan" in refusal(table={"left": Checked(float("nan"))})
    check_limits(Settings(endless=float("inf")), "agent")


def test_a_range_begins_with_its_lower_end() -> None:
    assert "begin with the lower end" in refusal(span=(1.0, 0.0))
    check_limits(Settings(span=(1.0, 1.0)), "agent")


def test_none_is_refused_where_nothing_allows_it() -> None:
    assert refusal(share=None) == "agent.share is None; it must have a value"
    assert refusal(table={"left": None}) == "agent.table.left is None; it must have a value"
    check_limits(Settings(limit=None, terms={"off": None}), "agent")


def test_a_part_may_be_off_where_the_limits_of_its_table_say_so() -> None:
    switched_off = Settings(table={"left": None, "right": Checked()})  # type: ignore[dict-item]
    check_limits(switched_off, "agent", {Settings: {"table": (MAY_BE_OFF,)}})


def test_a_choice_is_one_of_those_declared() -> None:
    assert refusal(gait="fly") == "agent.gait is 'fly'; it must be one of walk, trot"


def test_arguments_of_a_term_have_the_limits_of_its_function() -> None:
    def of(**params: Any) -> dict[str, Term | None]:
        return {"slide": Term(params)}

    assert "agent.terms.slide.params.limit is 2.0" in refusal(terms=of(limit=2.0))
    assert "agent.terms.slide.params.speed is None" in refusal(terms=of(limit=1.0, speed=None))
    assert "must hold limit" in refusal(terms=of())
    assert "did you mean limit?" in refusal(terms=of(limit=1.0, limits=1.0))
    check_limits(Settings(terms=of(limit=1.0)), "agent")


def test_what_a_constructor_would_refuse_is_refused_later_too() -> None:
    part = Checked()
    part.gain = 0.1
    assert refusal(table={"left": part}) == "agent.table.left: gain must not be small"


@pytest.mark.parametrize("name", ("", " ", ".", "..", "../..", "a/b", "a\\b", "a\nb", "x" * 300))
def test_a_folder_is_named_by_one_name(name: str) -> None:
    assert refusal(name=name).startswith("agent.name is ")


def test_names_of_folders_may_be_in_any_script() -> None:
    for name in ("grq20_amp_vae", "走路 2.0", "läuft"):
        check_limits(Settings(name=name), "agent")


def configure(*settings: str, task: str = FLAT) -> Any:
    """The environment's setup, or None where only the trainer was set."""
    if not settings[-1].startswith("env."):
        configure_trainer(TrainerOptions(task=task, settings=settings))
        return None
    return configure_env(EnvOptions(task=task, device="cpu", num_envs=2, seed=0, settings=settings))


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("agent.save_interval=0", "at least 1"),
        ("agent.seed=-1", "between 0 and 4294967295"),
        ("agent.max_minutes=0", "above 0"),
        ("agent.actor.activation=foo", "'elu'"),
        ("agent.algorithm.gamma=1.5", "between 0 and 1"),
        ("agent.algorithm.learning_rate=1e10", "at most 1"),
        ("agent.algorithm.learning_rate_range=(1e-2, 1e-5)", "lower end"),
        ("agent.vae.beta=1.0", "agent.vae.beta_range"),
        ("agent.vae.encoder_dims=[8]", "at least 2"),
        ("agent.actor.obs_groups=[]", "at least 1 of them"),
        ("agent.experiment_name=../..", "name of a folder"),
        ("agent.run_name=a/b", "name of a folder"),
        ("env.decimation=0", "at least 1"),
        ("env.episode_length_s=-1", "above 0"),
        ("env.sim.mujoco.timestep=0", "above 0"),
        ("env.rewards.lin_vel_z_l2.weight=1e999", "finite"),
        ("env.rewards.track_lin_vel_xy_exp.params.std=0", "above 0"),
        ("env.events.friction.params.friction=(1.2, 0.25)", "lower end"),
        ("env.events.push.mode=x", "'interval'"),
        ("env.events.base.mode=interval", "interval_range_s"),
        ("env.commands.velocity.resampling_time_range=(8, 3)", "lower end"),
        ("env.command_name=speed", "there are velocity"),
        ("env.commands.velocity=None", "env.command_name names it"),
        ("env.observations.amp_obs=None", "env.terminal_groups.1 names it"),
        ("env.actions.joint_pos=None", "leave one on"),
        ("env.feet_contact_sensor=feet", "there are feet_contact"),
        ("env.terminations.body_contact.params.sensor_name=body", "there are feet_contact"),
        ("env.scene.sensors.feet_contact.track_air_time=False", "air time"),
        ("env.actions.joint_pos.actuator_names=()", "at least 1 of them"),
        ("env.events.load.params.mass=(0, 6000)", "between 0 and 500"),
        ("env.scene.terrain=None", "a robot needs ground"),
        ("env.frame_stacks.vae_obs=None", "must have a value"),
        (f"{DRIVES}.FL_hip_joint=None", "must have a value"),
    ],
)
def test_values_that_made_no_sense_are_refused(setting: str, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        configure(setting)
    assert setting.partition("=")[0] in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("=None", "set terrain_generator"),
        (".curriculum=False", "each family has its own column"),
        (".sub_terrains.boxes=None", "boxes is None; it must have a value"),
    ],
)
def test_ground_that_nobody_can_make_is_refused(part: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        configure(f"env.scene.terrain.terrain_generator{part}", task=ROUGH)


@pytest.mark.parametrize(
    "setting", ["env.rewards.feet_slide=None", "env.events.push=None", "env.curriculum=None"]
)
def test_a_term_can_be_switched_off_and_a_table_of_them_cannot(setting: str) -> None:
    if setting.count(".") == 1:
        with pytest.raises(UserError, match=r"env\.curriculum"):
            configure(setting)
    else:
        configure(setting)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (
            "env.scene.entities.robot.articulation.actuators.0.drives.FL_hip_joint.damping=-1",
            r"drives\.FL_hip_joint: .*damping is -1",
        ),
        (
            "env.observations.actor_obs.terms.base_ang_vel.noise.n_min=1",
            r"base_ang_vel\.noise: n_min \(1",
        ),
    ],
)
def test_fields_that_do_not_fit_together_are_refused(setting: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        configure(setting)


def sample(share: float, seed: int) -> list[str]:
    """Nonsense for a part of all fields."""
    fields = [*leaves(make_env_cfg(FLAT), "env"), *leaves(find_task(FLAT).runner_cfg(), "agent")]
    settings = [f"{path}={text}" for path, value in fields for text in nonsense(value)]
    return random.Random(seed).sample(settings, round(min(share * SOAK, 1.0) * len(settings)))


@contextlib.contextmanager
def refused_in_one_line(setting: str) -> Iterator[None]:
    """Lets nothing pass but a line of refusal, and says what else came of which setting."""
    try:
        yield
    except UserError as refused:
        assert "\n" not in str(refused), setting
    except Exception as error:
        raise AssertionError(setting) from error


def test_arguments_set_as_a_whole_are_of_their_declared_types() -> None:
    with pytest.raises(UserError, match=r"^env\.events\.arm\.params\.angle is -1.0; it must be of"):
        configure("env.events.arm.params={'angle': -1.0, 'length': -1.0}")
    with pytest.raises(UserError, match=r"params\.length is \[0\.4\]; it must be of type tuple"):
        configure("env.events.arm.params={'angle': (-1.0, 1.0), 'length': (0.4,)}")


def test_nonsense_is_refused_or_configured() -> None:
    for setting in sample(0.03, seed=soak_seed()):
        with refused_in_one_line(setting):
            configure(setting)


@pytest.mark.slow
def test_nonsense_is_refused_or_works() -> None:
    for setting in sample(0.05, seed=soak_seed(1)):
        with refused_in_one_line(setting), contextlib.redirect_stdout(io.StringIO()):
            setup = configure("env.height_map_resolution=0.1", setting)
            if setup is None:
                continue
            env = build_vec_env(setup)
            for _ in range(3):
                observations, rewards, *_ = env.step(torch.zeros(2, env.num_actions))
            assert all(group.isfinite().all() for group in observations.values()), setting
            assert rewards.isfinite().all(), setting
            env.close()

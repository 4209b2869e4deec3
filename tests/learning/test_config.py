from __future__ import annotations

import pytest

from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import to_plain
from rl_sim_env.learning.config import ActorCfg, AmpVaeRunnerCfg, runner_cfg_from_dict


def test_configuration_survives_a_checkpoint() -> None:
    cfg = AmpVaeRunnerCfg(actor=ActorCfg(hidden_dims=(16, 8)), max_minutes=3.0, run_name="x")
    cfg.amp.motion_paths = ("a.npz", "b")
    assert runner_cfg_from_dict(to_plain(cfg), "model_1.pt") == cfg


@pytest.mark.parametrize(
    "edit", [lambda vae: vae.pop("latent_dim"), lambda vae: vae.update(latent_dims=16)]
)
def test_other_settings_are_refused_by_name(edit) -> None:
    values = to_plain(AmpVaeRunnerCfg())
    edit(values["vae"])
    with pytest.raises(UserError, match=r"model_1\.pt.*ContextVaeCfg.*latent_dim"):
        runner_cfg_from_dict(values, "model_1.pt")

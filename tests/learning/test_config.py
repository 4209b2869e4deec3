from __future__ import annotations

import pytest

from rl_sim_env.configuration import to_plain
from rl_sim_env.errors import UserError
from rl_sim_env.learning.config import ActorCfg, AmpVaeRunnerCfg
from rl_sim_env.learning.saved_config import runner_cfg_from_dict


def test_configuration_survives_a_checkpoint() -> None:
    cfg = AmpVaeRunnerCfg(actor=ActorCfg(hidden_dims=(16, 8)), max_minutes=3.0, run_name="x")
    cfg.amp.motion_paths = ("a.npz", "b")
    assert runner_cfg_from_dict(to_plain(cfg), "model_1.pt") == cfg


def test_settings_newer_than_the_checkpoint_take_their_defaults_aloud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    values = to_plain(AmpVaeRunnerCfg())
    del values["vae"]["final_learning_rate"]
    assert runner_cfg_from_dict(values, "model_1.pt") == AmpVaeRunnerCfg()
    (record,) = caplog.records
    assert "model_1.pt: written before ContextVaeCfg had final_learning_rate" in record.message


def test_unknown_settings_are_refused_by_name() -> None:
    values = to_plain(AmpVaeRunnerCfg())
    values["vae"]["latent_dims"] = 16
    with pytest.raises(UserError, match=r"model_1\.pt.*ContextVaeCfg.*latent_dims"):
        runner_cfg_from_dict(values, "model_1.pt")

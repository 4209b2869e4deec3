from __future__ import annotations

import logging

import pytest
import torch

from rl_sim_env.learning.metrics import LossMeter, SpikeDetector


def test_meter_gives_means_and_starts_anew() -> None:
    meter = LossMeter()
    meter.add({"a": torch.tensor(1.0)})
    meter.add({"a": torch.tensor(3.0), "b": torch.tensor(5.0)})
    assert meter.read() == {"a": 2.0, "b": 5.0}
    meter.add({"a": torch.tensor(7.0)})
    assert meter.read() == {"a": 7.0}


def test_meter_names_the_loss_that_is_not_finite() -> None:
    meter = LossMeter()
    meter.add({"good": torch.tensor(1.0), "bad": torch.tensor(torch.nan)})
    with pytest.raises(FloatingPointError, match=r"update: bad\."):
        meter.read()


def test_spike_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    detector = SpikeDetector("decode loss", factor=10.0, window=5)
    with caplog.at_level(logging.WARNING):
        for value in (100.0, 1.0, 1.0, 1.0, 1.0, 9.0):
            detector.watch(value)
        assert not caplog.records, "neither before the window is full nor below the factor"
        detector.watch(11.0)
        detector.watch(1000.0)
    assert len(caplog.records) == 1
    assert "decode loss is 11" in caplog.text

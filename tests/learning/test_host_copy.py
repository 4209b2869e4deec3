from __future__ import annotations

import pytest
import torch

from rl_sim_env.learning.host_copy import HostCopy


def test_a_copy_stays_while_what_was_copied_goes_on() -> None:
    weight, copy = torch.nn.Parameter(torch.ones(3)), HostCopy()
    copy.refresh({"weight": weight, "steps": [1, "of", None]})
    with torch.no_grad():
        weight += 1.0
    kept = copy.read()
    assert kept["weight"].tolist() == [1.0] * 3
    assert not kept["weight"].requires_grad
    assert kept["steps"] == [1, "of", None]


def test_a_copy_follows_what_changes_its_form() -> None:
    # Optimisers have no moments before their first step; replay grows.
    copy = HostCopy()
    copy.refresh({"moments": {}, "replay": torch.zeros(2)})
    copy.refresh({"moments": {0: torch.ones(2)}, "replay": torch.arange(4)})
    kept = copy.read()
    assert kept["moments"][0].tolist() == [1.0, 1.0]
    assert kept["replay"].tolist() == [0, 1, 2, 3]


def test_what_is_read_stays_whole_while_the_next_copy_is_written() -> None:
    copy, weights = HostCopy(), [torch.zeros(2), torch.zeros(2)]
    copy.refresh({"iteration": 1, "weights": weights})
    kept = copy.read()

    class Broken(torch.Tensor):
        def detach(self) -> torch.Tensor:
            raise ConnectionError("this process is gone")

    broken = torch.ones(2).as_subclass(Broken)
    with pytest.raises(ConnectionError):
        copy.refresh({"iteration": 2, "weights": [torch.ones(2), broken]})
    for each in (kept, copy.read()):
        assert each["iteration"] == 1
        assert [weight.tolist() for weight in each["weights"]] == [[0.0, 0.0]] * 2


def test_memory_of_one_form_is_taken_twice() -> None:
    copy, places = HostCopy(), []
    for number in range(4):
        copy.refresh([torch.full((2,), float(number))])
        (place,) = copy.read()
        assert place.tolist() == [number] * 2
        places.append(place)
    assert places[0] is places[2]
    assert places[1] is places[3]


@pytest.mark.gpu
def test_a_copy_is_read_while_the_device_is_held_up() -> None:
    weight, copy = torch.ones(1000, device="cuda"), HostCopy()
    copy.refresh([weight])
    done = torch.cuda.Event()
    torch.cuda._sleep(10**10)
    weight += 1.0
    done.record()
    assert torch.equal(copy.read()[0], torch.ones(1000))
    assert not done.query(), "reading waited for the device"

from __future__ import annotations

import pytest
import torch

from rl_sim_env.learning.constraint_figures import ConstraintWatch, worst_violation
from rl_sim_env.learning.constraint_layout import ConstraintLayout
from rl_sim_env.learning.reward_faults import RewardFaultWatch

LAYOUT = ConstraintLayout({"torque": 3, "tilt": 1, "slip": 2}, "cpu")


def test_the_worst_column_speaks_for_its_constraint():
    margins = torch.tensor([[-0.5, 0.2, 0.1, -1.0, -0.3, -0.2]])
    assert LAYOUT.worst(margins)[0].tolist() == pytest.approx([0.2, -1.0, -0.2])
    assert LAYOUT.total(margins)[0].tolist() == pytest.approx([-0.2, -1.0, -0.5])
    columns = LAYOUT.of_columns(torch.tensor([1.0, 2.0, 3.0]))
    assert columns.tolist() == [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]


def test_constraints_are_found_by_name_in_the_order_of_the_environment():
    assert LAYOUT.chosen(("slip", "torque")) == ("torque", "slip")
    assert LAYOUT.chosen(()) == ("torque", "tilt", "slip")
    assert LAYOUT.places(("torque", "slip")).tolist() == [0, 2]


def test_the_worst_constraint_has_a_curve():
    scalars = {"Constraint/tilt": 0.25, "Constraint/slip": 0.5, "Loss/kl": 1.0}
    assert worst_violation(scalars) == {"Constraints/worst": 0.5}
    assert worst_violation({}) == {}


def test_limits_that_are_always_or_never_violated_are_told_once():
    watch = ConstraintWatch()
    seen = {"Constraint/tilt": 0.0, "Constraint/slip": 0.97, "Constraint/torque": 0.2}
    assert [line for _ in range(19) for line in watch.news(seen)] == []
    warning, note = watch.news(seen)
    assert "'slip' was violated in 97% of the robot-steps after 20 iterations" in warning
    assert "0 violations of tilt in the first 20 iterations" in note
    assert [line for _ in range(40) for line in watch.news(seen)] == []


def test_what_an_untrained_policy_violates_for_a_while_is_not_told():
    watch = ConstraintWatch()
    assert watch.news({"Constraint/target_rate": 0.97}) == []
    assert [line for _ in range(40) for line in watch.news({"Constraint/target_rate": 0.4})] == []


def test_a_constraint_without_a_measure_is_named_and_ends_training_where_it_is_frequent():
    watch = RewardFaultWatch()
    seen = {"Constraint_Faults/tilt": 0.001, "Constraint_Faults/slip": 0.0}
    (warning,) = watch.news(seen)
    assert "constraint 'tilt' was not a number in 0.10%" in warning
    assert watch.news(seen) == []
    assert watch.reason_to_stop(seen, 10**6) is None
    reason = watch.reason_to_stop({"Constraint_Faults/tilt": 0.5}, 10**6)
    assert reason is not None and "constraint 'tilt'" in reason

"""Functions on the device recorded once as CUDA graphs, and what keeps one from being recorded."""

from rl_sim_env.recording.host_reads import HostReads
from rl_sim_env.recording.recorded_function import RecordedFunction
from rl_sim_env.recording.side_by_side import overlapping, side_by_side

__all__ = ["HostReads", "RecordedFunction", "overlapping", "side_by_side"]

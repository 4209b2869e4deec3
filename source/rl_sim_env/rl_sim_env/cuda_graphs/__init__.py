"""Functions on the device captured once as CUDA graphs, and what keeps one from being captured."""

from rl_sim_env.cuda_graphs.fork_join import fork_join, overlapping
from rl_sim_env.cuda_graphs.graphed_callable import GraphedCallable
from rl_sim_env.cuda_graphs.host_reads import HostReads

__all__ = ["GraphedCallable", "HostReads", "fork_join", "overlapping"]

"""Where physics runs: native MuJoCo on the CPU, MuJoCo Warp on a GPU."""

from rl_sim_env.simulation.backend import simulation_class as simulation_class
from rl_sim_env.simulation.backend import use_simulation as use_simulation
from rl_sim_env.simulation.native import NativeSimulation as NativeSimulation
from rl_sim_env.simulation.warp import SimulationCfg as SimulationCfg
from rl_sim_env.simulation.warp import WarpSimulation as WarpSimulation

"""GRQ20 V2d3: twelve driven leg joints and a swivelling boom that carries 0 to 6 kg."""

from rl_sim_env.robots.grq20_v2d3.robot import GRQ20_V2D3

__all__ = ["GRQ20_V2D3"]

"""Ground: the terrains of the tasks, and the map that answers every height query."""

from rl_sim_env.terrains.height_map import HeightMap as HeightMap
from rl_sim_env.terrains.presets import PIT_FAMILIES as PIT_FAMILIES
from rl_sim_env.terrains.presets import flat_terrain_cfg as flat_terrain_cfg
from rl_sim_env.terrains.presets import perceptive_terrain_cfg as perceptive_terrain_cfg
from rl_sim_env.terrains.presets import rough_terrain_cfg as rough_terrain_cfg
from rl_sim_env.terrains.presets import with_columns as with_columns
from rl_sim_env.terrains.support import support_deficiency_map as support_deficiency_map
from rl_sim_env.terrains.terrain_types import TerrainTypes as TerrainTypes
from rl_sim_env.terrains.terrain_types import terrain_type_names as terrain_type_names

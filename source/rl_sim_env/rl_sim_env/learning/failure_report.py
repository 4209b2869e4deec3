"""What a run that cannot go on leaves behind, for whoever wants to know why."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rl_sim_env.atomic_file import write_atomically
from rl_sim_env.errors import UserError
from rl_sim_env.learning.checkpoint import Checkpoint


def write_dump(
    parent: Path | None,
    place: Path,
    facts: Mapping[str, Any],
    checkpoint: Checkpoint,
    dump_state: Callable[[Path], None],
) -> str:
    """Write what reproduces a failure.

    Args:
        parent: Folder to write into, such as the run's; None, or where it takes nothing, a new
            temporary one.
        place: Folder of this process in there.
        facts: What is known, ``last_checkpoint`` among it.
        checkpoint: The state of the failed iteration.
        dump_state: Writes the environment's state into a file.

    Returns:
        Where it is, and what to go on from; or why nothing was written.
    """
    try:
        folder = (parent or Path(tempfile.mkdtemp(prefix="rl_sim_env_"))) / place
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "facts.json", json.dumps(facts, indent=2).encode())
        dump_state(folder / "env_state.pt")
        checkpoint.write(path := folder / "failed.pt")
    except (OSError, RuntimeError, UserError) as error:  # torch.save raises RuntimeErrors
        if parent is not None:
            return write_dump(None, place, facts, checkpoint, dump_state)
        return f"What reproduces it could not be written ({error})"
    remedy = f"what was learned is sound: go on from it with --checkpoint {path}"
    if poisoned := checkpoint.first_not_finite():
        remedy = f"{poisoned} is not finite: go on from {facts['last_checkpoint']}"
    return f"What reproduces it is in {folder.parent}; {remedy}"

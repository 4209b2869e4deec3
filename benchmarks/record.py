"""What all benchmarks leave: a record that says where it was measured, and a table of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
import warp
from rich.console import Console
from rich.table import Table

from rl_sim_env.errors import UserError
from rl_sim_env.hardware import available_cores, processor_name
from rl_sim_env.learning.checkpoint import package_versions
from rl_sim_env.learning.run_files import code_commit

Figures = Mapping[str, Any]
"""What was measured of one case: numbers, groups of numbers, repeats; None: not available."""

NOT_RECORDED = "not recorded"
NO_FIGURE = "-"
GIB = 2.0**30
WHOLE_FROM = 100.0
"""Numbers from here on are printed without decimals."""


def prepare_output(path: Path) -> None:
    """Make sure that a record can be written before anything is measured.

    Raises:
        UserError: It cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise UserError(
            f"--output {path}: {error.strerror}; give a file in a folder of yours"
        ) from error


def leave_record(title: str, options: Any, device: str, cases: Mapping[str, Figures]) -> None:
    """Print what was measured, and write it with what, where and when.

    Args:
        title: Title of the table.
        options: The benchmark's, a dataclass; its ``output`` is where the record goes, as JSON.
        device: Torch device.
        cases: Figures by the name of what was measured.
    """
    record = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": code_commit() or NOT_RECORDED,
        "hardware": hardware(device),
        "packages": {**package_versions(), "warp-lang": warp.config.version},
        "options": {
            # Where files lie on the machine that measured is nobody's business.
            name: value.name if isinstance(value, Path) else value
            for name, value in asdict(options).items()
        },
        "subjects": cases,
    }
    _print(title, record)
    options.output.write_text(json.dumps(record, indent=2) + "\n")
    print(f"record: {options.output}")


def hardware(device: str) -> dict[str, Any]:
    """Processor, and for a GPU its name, memory, driver and CUDA version."""
    facts: dict[str, Any] = {
        "device": device,
        "cpu": processor_name(),
        "cores": available_cores(),
        "torch_threads": torch.get_num_threads(),
    }
    if device != "cpu":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "gpu": properties.name,
            "gpu_memory_gib": properties.total_memory / GIB,
            "driver": _driver(),
            "cuda": torch.version.cuda,
        }
    return facts


def _print(title: str, record: Figures) -> None:
    """Print the figures of a record, one column for each case; repeats stay in the file."""
    cases = {name: _flatten(figures) for name, figures in record["subjects"].items()}
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True)
    for name in cases:
        table.add_column(name, justify="right", overflow="fold")
    for label in dict.fromkeys(label for figures in cases.values() for label in figures):
        table.add_row(label, *(_text(figures.get(label)) for figures in cases.values()))
    facts = record["hardware"]
    print(f"{facts.get('gpu', facts['cpu'])}, commit {record['commit']}, {record['date']}")
    Console(markup=False).print(table)


def _flatten(figures: Figures) -> dict[str, Any]:
    """Figures and, indented below its name, each group of figures."""
    rows: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows[name] = ""
            rows |= {f"  {part}": number for part, number in value.items()}
        elif not isinstance(value, list):
            rows[name] = value
    return rows


def _text(value: Any) -> str:
    if value is None:
        return NO_FIGURE
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= WHOLE_FROM else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _driver() -> str:
    query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    try:
        answer = subprocess.run(query, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return NOT_RECORDED
    return answer.split()[0]

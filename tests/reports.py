"""Small reports of known figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rl_sim_env.evaluation.report import Column, Figure, Report, Row, Section, Table

Cells = Mapping[str, Sequence[float]]
"""Values of each row."""

FACTS = {"Policy": "model_1.pt", "Evaluated on": "Task-v0", "Seeds": "0, 1", "Robots": "8 in each"}


def figure(value: float, spread: float = 0.001) -> Figure:
    return Figure(mean=value, spread=spread, seeds=2, robots=8)


def table(title: str, columns: Sequence[str], rows: Cells, rows_title: str = "terrain") -> Table:
    """Columns are given as ``title`` or ``title [unit]``."""
    parted = [name.removesuffix("]").partition(" [") for name in columns]
    return Table(
        title=title,
        rows_title=rows_title,
        columns=tuple(Column(title=name, unit=unit, decimals=3) for name, _, unit in parted),
        rows=tuple(
            Row(label=label, cells=tuple(map(figure, values))) for label, values in rows.items()
        ),
    )


def section(name: str, *tables: Table, method: str = "Somehow.") -> Section:
    return Section(name=name, title=name.capitalize(), method=method, tables=tables)


def report(*sections: Section, **facts: str) -> Report:
    return Report(facts={**FACTS, **facts}, sections=sections)


def tracking(rows: Cells, method: str = "Somehow.") -> Section:
    """Rows of velocity error, yaw rate error and falls per 1000 s."""
    columns = ("velocity error [m/s]", "yaw rate error while walking [rad/s]", "falls [per 1000 s]")
    return section("tracking", table("Tracking, mean over loads", columns, rows), method=method)


def survival(seconds: int, rows: Cells) -> Section:
    return section("survival", table(f"Survivors of {seconds} s", ("survivors [%]",), rows))


def estimation(rows: Cells) -> Section:
    """Rows of errors of mass and of the centre of mass."""
    columns = ("extra mass [kg]", "CoM x [cm]", "CoM y [cm]", "CoM z [cm]")
    title = "RMSE of the estimates by time since the episode began"
    return section("estimation", table(title, columns, rows, "time since the episode began"))

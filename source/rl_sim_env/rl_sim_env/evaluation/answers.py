"""What each section of a report asks, and what it answers in a few words."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rl_sim_env.evaluation.printed import number_text
from rl_sim_env.evaluation.report import Column, Figure, Row, Section, Table
from rl_sim_env.evaluation.wording import TOTAL, by_sensors, is_total, split_label


def headline(section: Section) -> tuple[str, str]:
    """Question and answer, one for each kind of sensors that it was measured with.

    A protocol that is not known here has its title and no answer.
    """
    if section.name not in _ANSWERS:
        return section.title, ""
    question, answer = _ANSWERS[section.name]
    texts = []
    for sensors, part in by_sensors(section).items():
        text = answer(part)
        texts.append(
            f"with {sensors} sensors {text}" if sensors else f"{text[:1].upper()}{text[1:]}"
        )
    return question, "; ".join(texts) or section.title


def _tracking(section: Section) -> str:
    table = section.tables[0]
    velocity, yaw = (
        _of_all(table, name) for name in ("velocity error", "yaw rate error while walking")
    )
    text = f"off by {_all(velocity, yaw)}"
    return text + _extreme(table, "velocity error", "most on")


def _estimation(section: Section) -> str:
    late = next((each for each in section.tables if "since the episode" in each.title), None)
    if late is None or not late.rows:
        return section.title
    row = late.rows[-1]
    within = [
        f"{column.title} within {_text(figure, column)}"
        for figure, column in zip(row.cells, late.columns, strict=True)
        if figure is not None
    ]
    return f"{row.label}, {', '.join(within)}"


def _survival(section: Section) -> str:
    table = section.tables[0]
    share = _of_all(table, "survivors")
    walks = table.title.removeprefix("Survivors of ")
    return f"{_all(share)} survive {walks} of pushes" + _extreme(
        table, "survivors", "fewest on", least=True
    )


def _pushes(section: Section) -> str:
    table = section.tables[0]
    text = f"up to {_all(_of_all(table, 'largest push'))}"
    return text + _extreme(table, "largest push", "least on", least=True)


def _load_limits(section: Section) -> str:
    parts = []
    for table in section.tables:
        for row in table.rows[:1]:
            label, sign = split_label(row.label)
            parts.append(f"{sign}{_all((row.cells[0], table.columns[0]))} ({label})")
    return " and ".join(parts)


def _violations(section: Section) -> str:
    table = section.tables[0]
    if not table.rows:
        return section.title
    row, unit = table.rows[-1], table.columns[0].unit
    cells = zip(row.cells, table.columns, strict=True)
    worst = _most((figure, column) for figure, column in cells if column.unit == unit)
    if worst is None:
        return section.title
    # The unit says of what: % of steps.
    return f"most often beyond: {worst[1].title}, {_text(*worst)} ({row.label})"


def _footholds(section: Section) -> str:
    table = section.tables[0]

    def most(title: str) -> _Cell | None:
        return _most((figure, column) for _, figure, column in _column(table, title))

    titles = ("at an edge", "on an edge", "against a riser")
    parts = [f"{_text(*found)} {title}" for title in titles if (found := most(title))]
    by_chance = most("at an edge, random")
    text = f"up to {' and '.join(parts)}" if parts else section.title
    return text if by_chance is None else f"{text}; by chance up to {_text(*by_chance)} at an edge"


def _levels(section: Section) -> str:
    """What is passed under the easiest of conditions: the first load, the last friction."""
    passed, conditions = [], ""
    for table in section.tables:
        load = table.rows[0].label.rpartition(", ")[2] if table.rows else ""
        column = table.columns[-1]
        for row in table.rows:
            name, _, of = row.label.rpartition(", ")
            figure = row.cells[-1]
            if of == load and figure is not None:
                passed.append(f"{name} {_text(figure, column)}")
                conditions = f" ({load}, {column.title})"
    return f"{', '.join(passed)}{conditions}" if passed else section.title


def _gait(section: Section) -> str:
    table = section.tables[-1]
    text = f"cost of transport {_all(_of_all(table, 'cost of transport'))}"
    return text + _extreme(table, "cost of transport", "highest on")


def _sim_to_sim(section: Section) -> str:
    table = section.tables[0]
    falls = [figure.mean for _, figure, _ in _column(table, "walks with a fall")]
    worst = _most((figure, column) for _, figure, column in _column(table, "velocity error"))
    fell = "no walk ends in a fall" if not any(falls) else f"up to {max(falls):.0f} % of walks fall"
    return fell if worst is None else f"{fell}, off by up to {_text(*worst)}"


_ANSWERS: dict[str, tuple[str, Callable[[Section], str]]] = {
    "tracking": ("Does it go where it is told?", _tracking),
    "estimation": ("Does it know how it moves and what it carries?", _estimation),
    "survival": ("Does it stay on its legs?", _survival),
    "pushes": ("How hard a push do nine of ten stand?", _pushes),
    "load_limits": ("How much does it carry?", _load_limits),
    "violations": ("Does it keep its limits?", _violations),
    "footholds": ("Does it step on edges?", _footholds),
    "levels": ("How high does it get?", _levels),
    "gait": ("What does walking cost?", _gait),
    "sim_to_sim": ("Does it walk outside the trainer?", _sim_to_sim),
}

_Cell = tuple[Figure, Column]


def _text(figure: Figure, column: Column) -> str:
    return f"{number_text(figure.mean, column)} {column.unit}".rstrip()


def _all(*cells: tuple[Figure | None, Column] | None) -> str:
    texts = [_text(each[0], each[1]) for each in cells if each is not None and each[0] is not None]
    return " and ".join(texts) or "-"


def _column(table: Table, title: str) -> list[tuple[Row, Figure, Column]]:
    return [
        (row, figure, column)
        for row in table.rows
        for figure, column in zip(row.cells, table.columns, strict=True)
        if column.title == title and figure is not None
    ]


def _of_all(table: Table, title: str) -> _Cell | None:
    """The figure over all ground, or that of the first row."""
    cells = _column(table, title)
    of_all = [each for each in cells if split_label(each[0].label)[0] == TOTAL]
    return next(((figure, column) for _, figure, column in of_all or cells), None)


def _extreme(table: Table, title: str, words: str, *, least: bool = False) -> str:
    """Where a figure is worst, if there are several places."""
    cells = [each for each in _column(table, title) if not is_total(each[0], table)]
    if len(cells) < 2:
        return ""
    row, figure, column = (min if least else max)(cells, key=lambda each: each[1].mean)
    return f"; {words} {split_label(row.label)[0]}, {_text(figure, column)}"


def _most(cells: Iterable[tuple[Figure | None, Column]]) -> _Cell | None:
    known = [(figure, column) for figure, column in cells if figure is not None]
    return max(known, key=lambda each: each[0].mean, default=None)

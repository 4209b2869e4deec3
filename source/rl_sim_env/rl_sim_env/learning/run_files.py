"""Text files in the folder of a run: its configuration and the state of the code, for people.

Programs read the configuration from checkpoints; of these files only beside older ones.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rl_sim_env.configuration import to_plain
from rl_sim_env.errors import UserError

_PARAMS = "params"
_CODE_STATE = "git.diff"
_GIT_COMMANDS = (("rev-parse", "HEAD"), ("status", "--short"), ("diff", "HEAD"))
_SECTION = re.compile(r"^--- git .*$", re.MULTILINE)
"""Heading of what one git command said."""


def write_run_files(log_dir: Path, *, env_cfg: Any, agent_cfg: Any) -> dict[str, Any]:
    """Write ``params/env.yaml``, ``params/agent.yaml`` and the state of the code's git repository.

    Returns:
        Both configurations as plain values, under "env" and "agent".

    Raises:
        UserError: A file could not be written: a folder that takes none before training is no
            folder to train into.
    """
    config = {"env": to_plain(env_cfg, classes=True), "agent": to_plain(agent_cfg)}
    folder = log_dir / _PARAMS
    code_state = _git_state()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in config.items():
            text = yaml.safe_dump(content, sort_keys=False)
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        if code_state is not None:
            (log_dir / _CODE_STATE).write_text(code_state, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{log_dir}: the run's folder cannot be written ({error.strerror}); free some space, "
            "or train in another folder"
        ) from error
    return config


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What :func:`write_run_files` left in the folder of a run, as far as it is there."""

    env: dict[str, Any] | None
    """The environment's configuration as plain values; None where it is missing."""

    agent: dict[str, Any] | None
    """The trainer's configuration as plain values; None where it is missing."""

    commit: str
    """Commit of the code that trained, with "+ changes" where there were any; empty where it was
    not recorded."""

    @staticmethod
    def read(log_dir: Path) -> RunFiles:
        """Read the files of a run.

        Raises:
            UserError: A file is there and cannot be read.
        """
        code_state = log_dir / _CODE_STATE
        try:
            env, agent = (_read_params(log_dir, name) for name in ("env", "agent"))
            code = (
                code_state.read_text(encoding="utf-8", errors="replace")
                if code_state.is_file()
                else ""
            )
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(
                f"{log_dir}: {_PARAMS} or {_CODE_STATE} cannot be read ({error}); restore them, "
                "or move the checkpoint away from them"
            ) from error
        return RunFiles(env=env, agent=agent, commit=_commit(code))


def _read_params(log_dir: Path, name: str) -> dict[str, Any] | None:
    path = log_dir / _PARAMS / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None


def code_commit() -> str:
    """Commit of the code that runs, with "+ changes" where there are any; empty without one."""
    return _commit(_git_state() or "")


def _commit(code_state: str) -> str:
    """Commit in what :func:`_git_state` returned, and whether there were changes to it."""
    sections = _SECTION.split(code_state)
    if len(sections) <= len(_GIT_COMMANDS):
        return ""
    _, commit, status, *_ = (section.strip() for section in sections)
    return f"{commit} + changes" if status else commit


def _git_state() -> str | None:
    """Return commit, status and changes of the package's repository; None without one.

    A repository that the package merely lies in, as in an environment inside somebody's project, is
    none of ours, and its changes are nobody's business.
    """
    code = Path(__file__)
    try:
        _git(code.parent, "ls-files", "--error-unmatch", code.name)
        outputs = {command: _git(code.parent, *command) for command in _GIT_COMMANDS}
    except (OSError, subprocess.CalledProcessError):
        return None
    sections = (f"--- git {' '.join(command)}\n{of}" for command, of in outputs.items())
    return "\n".join(sections)


def _git(folder: Path, *command: str) -> str:
    """What a git command prints; whatever the locale, as git has it."""
    return subprocess.run(
        ("git", *command),
        cwd=folder,
        capture_output=True,
        check=True,
        encoding="utf-8",
        errors="replace",
    ).stdout

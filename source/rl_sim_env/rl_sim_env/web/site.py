"""A folder that any static host serves: page, packages, robot, policy."""

from __future__ import annotations

import json
import shutil
import warnings
from importlib.metadata import packages_distributions
from pathlib import Path

from rl_sim_env.deploy import open_session
from rl_sim_env.errors import Notice, UserError
from rl_sim_env.robots import Robot
from rl_sim_env.web.packages import PAGE, copy_packages, license_of, packed
from rl_sim_env.web.scene import make_scene

POLICY_NAME = "policy.onnx"

_SHIPPED = ("*.html", "*.css", "*.js", "*.svg", "package.json")
"""The page's own files."""


def write_site(folder: Path, policy_path: Path, robot: Robot, packages: Path) -> None:
    """Write a site; one that is there already is written anew.

    Args:
        folder: The site's folder.
        policy_path: ``policy.onnx`` as exported.
        robot: The robot that it drives.
        packages: Folder with the packages of npm, see
            :func:`~rl_sim_env.web.packages.install_packages`.

    Raises:
        UserError: The policy or the robot's model cannot be read, they do not fit, or the folder
            cannot be written.
    """
    session, metadata = open_session(policy_path)
    inputs = {node.name: (1, *node.shape[1:]) for node in session.get_inputs()}
    scene = make_scene(robot, metadata, inputs)
    try:
        vendor = folder / "vendor"
        vendor.mkdir(parents=True, exist_ok=True)
        for pattern in _SHIPPED:
            for file in PAGE.glob(pattern):
                shutil.copy(file, folder)
        copy_packages(packages, vendor)
        shutil.copy(policy_path, folder / POLICY_NAME)
        (folder / "model.xml").write_text(scene.model, encoding="utf-8")
        meshes, terms = folder / "meshes.bin", folder / "MODEL_LICENSE.txt"
        if scene.meshes:
            meshes.write_bytes(packed(scene.meshes))
            terms.write_text(_license_of_model(robot), encoding="utf-8")
        else:
            # Those of another robot, which had this folder before.
            for file in (meshes, terms):
                file.unlink(missing_ok=True)
        awaited = [*folder.glob("*.bin"), *vendor.glob("*.bin"), folder / POLICY_NAME]
        sizes = {file.name: file.stat().st_size for file in awaited}
        facts = json.dumps({**scene.facts, "sizes": sizes})
        (folder / "scene.json").write_text(facts, encoding="utf-8")
    except OSError as error:
        # Of a copy that does not fit the second name is the one that was written to.
        place = error.filename2 or error.filename or folder
        raise UserError(
            f"{place}: cannot be written ({error.strerror}); give another --output, or make room"
        ) from error


def size_on_the_line(folder: Path) -> int:
    """Bytes that a visitor waits for, where the host compresses texts, as most do."""
    sizes = 0
    for file in folder.rglob("*"):
        if file.is_dir() or file.suffix == ".txt" or file.name == "package.json":
            continue
        content = file.read_bytes()
        texts = file.suffix in (".html", ".css", ".js", ".json", ".xml")
        sizes += len(packed(content) if texts else content)
    return sizes


def _license_of_model(robot: Robot) -> str:
    """Where a robot's meshes come from, and on what terms, as far as their package says."""
    owners = packages_distributions()
    folders = [parent.name for parent in robot.mjcf_path.parents]
    found = [owner for name in folders for owner in owners.get(name, ())]
    text = license_of(found[0]) if found else ""
    if not text:
        warnings.warn(
            f"the page shows the meshes of {robot.mjcf_path}, and no licence was found with them; "
            "see that you may publish them",
            Notice,
            stacklevel=2,
        )
    return f"Shapes of {robot.name}: {' '.join(found[:1]) or robot.mjcf_path}\n\n{text}"

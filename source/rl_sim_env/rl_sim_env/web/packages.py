"""What the page stands on: packages of npm, installed once and copied into every site."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path

from rl_sim_env.errors import UserError
from rl_sim_env.motions.library import CACHE_VARIABLE, cache_root

PAGE = Path(__file__).parent / "page"
"""The page's own files; its ``package.json`` and lock name the packages."""

_LOCK = PAGE / "package-lock.json"

_COPIED = {
    "mujoco.js": "@mujoco/mujoco/mujoco.js",
    "ort.js": "onnxruntime-web/dist/ort.wasm.min.mjs",
    "ort-wasm.js": "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs",
    "three.module.js": "three/build/three.module.js",
    "three.core.js": "three/build/three.core.js",
    "OrbitControls.js": "three/examples/jsm/controls/OrbitControls.js",
    "RoundedBoxGeometry.js": "three/examples/jsm/geometries/RoundedBoxGeometry.js",
}
"""Files of a site by their names there; not every host knows what ``.mjs`` is."""

_PACKED = {
    "mujoco.bin": "@mujoco/mujoco/mujoco.wasm",
    "ort.bin": "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
}
"""Files that are compressed here, because few hosts do it for them."""

_LICENSED_AS = {"@mujoco/mujoco": "mujoco", "onnxruntime-web": "onnxruntime"}
"""Packages of npm without the text of their licence, and the same project's distribution for
Python, which has it."""


def packages_folder() -> Path:
    """Where the packages are, or would be installed: a folder for each set of versions."""
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]
    return cache_root() / "page" / digest / "node_modules"


def install_packages() -> Path:
    """Install the packages where they are not yet, exactly as the lock says.

    Returns:
        The folder with them.

    Raises:
        UserError: There is no npm, or it cannot install them.
    """
    folder = packages_folder()
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            "the page needs MuJoCo, onnxruntime and three.js for browsers, which npm installs, and "
            "there is no npm: install Node.js 18 or newer (https://nodejs.org), or copy "
            f"{folder.parent} from a machine where this program has run"
        )
    print(f"installing the page's packages into {folder.parent}: 170 MB, once", flush=True)
    try:
        folder.parent.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent.parent, prefix="unfinished-") as made:
            for name in ("package.json", _LOCK.name):
                shutil.copy(PAGE / name, made)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
            if done.returncode:
                words = [line for line in done.stderr.splitlines() if line.strip()]
                reason = words[0] if words else f"status {done.returncode}"
                raise UserError(
                    f"npm cannot install the page's packages ({reason}); try again with access to "
                    f"registry.npmjs.org, or copy {folder.parent} from a machine that has it"
                )
            # Complete or not at all; of several processes at once, the first one wins.
            folder.parent.mkdir(exist_ok=True)
            (Path(made) / folder.name).rename(folder)
    except OSError as error:
        if folder.is_dir():
            return folder
        raise UserError(
            f"cannot write {folder.parent}: {error.strerror}; set {CACHE_VARIABLE} to a folder "
            "that can be written"
        ) from error
    return folder


def copy_packages(packages: Path, site: Path) -> None:
    """Copy what a site needs of the packages, with the licences.

    Args:
        packages: Folder with the packages.
        site: Folder for the files; it is there.
    """
    for name, source in _COPIED.items():
        shutil.copy(packages / source, site / name)
    for name, source in _PACKED.items():
        (site / name).write_bytes(packed((packages / source).read_bytes()))
    (site / "LICENSES.txt").write_text(_licenses(packages), encoding="utf-8")


def packed(content: bytes) -> bytes:
    """Compressed with gzip, the same bytes each time."""
    return gzip.compress(content, compresslevel=9, mtime=0)


def _licenses(packages: Path) -> str:
    """Names, versions and licences of the packages."""
    parts = []
    for name in json.loads((PAGE / "package.json").read_text(encoding="utf-8"))["dependencies"]:
        facts = json.loads((packages / name / "package.json").read_text(encoding="utf-8"))
        file = packages / name / "LICENSE"
        text = (
            file.read_text(encoding="utf-8") if file.is_file() else license_of(_LICENSED_AS[name])
        )
        parts.append(f"{name} {facts['version']}, {facts['license']}\n\n{text}")
    return f"\n\n{'=' * 80}\n\n".join(parts)


def license_of(distribution: str) -> str:
    """Text of the licence of a distribution installed for Python; empty where it has none."""
    files = metadata.files(distribution) or ()
    texts = (file.read_text() for file in files if file.name == "LICENSE")
    return next(texts, "")

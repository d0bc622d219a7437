"""Packages that only some tests need, in folders beside this environment's own."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path


def install_beside(name: str, *packages: str) -> Path:
    """Install packages in a folder beside this environment's, once, and give the folder."""
    folder = Path(sys.prefix) / name
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            new = f"{folder}.new"
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            subprocess.run([*pip, "--target", new, *packages], check=True)
            Path(new).rename(folder)
    return folder

"""A separate environment per peer, created once, with pinned versions."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".peers"
PACKAGES: Final = {
    "phoenix": ("arize-phoenix-evals==3.9.4", "openai==3.57.0"),
    "deepeval": ("deepeval==4.3.1", "openai==3.57.0"),
    "bare": ("aiohttp==3.14.5",),
}


def python_of(peer: str) -> Path:
    """The interpreter of the peer's environment; creates a missing environment."""
    folder = FOLDER / peer
    python, finished = folder / "bin" / "python", folder / ".finished"
    pinned = "\n".join(PACKAGES[peer])
    if not finished.exists() or finished.read_text() != pinned:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES[peer]]
        subprocess.run(install, check=True)
        finished.write_text(pinned)
    return python

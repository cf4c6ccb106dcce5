"""``make pictures``: run the notebooks and keep the figures they save, with 256 colours each."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent


def main():
    with tempfile.TemporaryDirectory(prefix="xrfsr-pictures-") as folder:
        environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(HERE.parent)}
        for notebook in sorted((HERE.parent / "notebooks").glob("*.py")):
            print(notebook.name, flush=True)
            subprocess.run([sys.executable, str(notebook)], cwd=folder, env=environment, check=True)
            for name in re.findall(r'savefig\(folder / "([^"]+)"', notebook.read_text()):
                picture = Image.open(Path(folder) / "figures" / name).convert("RGB")
                picture.quantize(256, Image.Quantize.MAXCOVERAGE).save(HERE / "figures" / name, optimize=True)


if __name__ == "__main__":
    main()

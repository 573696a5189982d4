"""Refuse a starter weight whose sha256 is not the one on its MODEL_CARD.md. Run by `make check`."""

import re
import sys
from hashlib import sha256
from pathlib import Path

STARTER = Path(__file__).parents[1] / "workers" / "spinbot_workers" / "starter"


def faults(starter: Path) -> list[str]:
    """One line for each weight that is not on its card, differs from it, or is on it and missing."""
    found: list[str] = []
    for folder in sorted(path for path in starter.iterdir() if path.is_dir()):
        text = (folder / "MODEL_CARD.md").read_text()
        card = {
            name: digest for digest, name in re.findall(r"^`?sha256 ([0-9a-f]{64})\s+(\S+?)`?$", text, re.MULTILINE)
        }
        weights = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*.safetensors"))}
        found += [f"{folder.name}/{name}: on the card, but missing" for name in sorted(card.keys() - weights.keys())]
        for name, path in weights.items():
            if name not in card:
                found.append(f"{folder.name}/{name}: not on the card")
            elif sha256(path.read_bytes()).hexdigest() != card[name]:
                found.append(f"{folder.name}/{name}: not the file the card describes")
        if not weights:
            found.append(f"{folder.name}: no weights")
    return found


if __name__ == "__main__":
    if wrong := faults(STARTER):
        sys.exit("\n".join(wrong))

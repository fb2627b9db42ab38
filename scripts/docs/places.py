"""Where the pages and the captures lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = ROOT / "docs/captures"

"""The original repository that `Engine=compvis` runs, and at which commit."""

from __future__ import annotations

REPOSITORY = "https://github.com/CompVis/stable-diffusion"
COMMIT = "21f890f9da3cfbeaba8e2ac3c425ee9e998d5229"
COMPVIS = "compvis"
LAYOUT = "stable-diffusion-v1"

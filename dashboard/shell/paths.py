"""Where the dashboard's own files lie: beside the packages in a checkout, inside the package in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def bundled(name: str) -> Path:
    """Folder `name` (`assets`, `sample_results`) of the checkout, else of the installed package.

    The path is returned even when neither exists, so that a caller can name it in its message.
    """
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def assets_folder() -> Path:
    """Return the dashboard's stylesheets and scripts."""
    return bundled("assets")


def sample_results() -> Path:
    """Return the comparison that is shown when no results folder is named."""
    return bundled("sample_results")

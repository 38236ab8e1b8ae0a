# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the hub answers with in words of ours: pages, and refusals on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tornado.web import HTTPError

__all__ = ["forbidden", "show_first"]


def forbidden(message: str) -> HTTPError:
    """What a request is answered with that somebody may not make. To the hub it is an answer, not a failed start."""
    problem = HTTPError(403)
    problem.jupyterhub_message = message
    return problem


def show_first(config: Any, folder: Path) -> None:
    """Let the pages of a folder go before JupyterHub's, whatever else is there already."""
    known = config.JupyterHub.get("template_paths")
    # What is appended to JupyterHub's own would never be looked at.
    config.JupyterHub.template_paths = [str(folder), *(known if isinstance(known, list) else [])]

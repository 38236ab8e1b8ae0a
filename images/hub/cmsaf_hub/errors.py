# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What can go wrong, in words for the person who waits for the server."""

from __future__ import annotations

__all__ = ["ClusterError", "CredentialError", "HubError", "SettingsError"]


class HubError(Exception):
    """JupyterHub shows ``jupyterhub_message`` on the page of the failed start."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.jupyterhub_message = message


class SettingsError(HubError):
    """A value of ``custom.cmsaf`` cannot be used."""


class CredentialError(HubError):
    """A credential could not be made."""


class ClusterError(HubError):
    """The cluster refused what a server needs."""

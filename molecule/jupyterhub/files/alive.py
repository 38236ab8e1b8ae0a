# SPDX-License-Identifier: GPL-3.0-or-later
"""Says that the kernel is the one it was: it counts how often it was asked."""

asked = globals().get("asked", 0) + 1
answer({"asked": asked})  # noqa: F821

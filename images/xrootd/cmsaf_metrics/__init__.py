# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an XRootD server says of itself, as metrics for Prometheus: python3 -m cmsaf_metrics --help"""

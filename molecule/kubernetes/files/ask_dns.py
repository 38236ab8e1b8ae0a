# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a DNS server for the address of a name: ask_dns.py SERVER NAME."""

from __future__ import annotations

import socket
import struct
import sys

server, name = sys.argv[1:]
labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
query = struct.pack(">HHHHHH", 6440, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(10)
    sock.sendto(query, (server, 53))
    answer = sock.recv(4096)
_, flags, _, answers, _, _ = struct.unpack(">HHHHHH", answer[:12])
if flags & 0xF or not answers:
    sys.exit(f"{server} answers {name} with code {flags & 0xF} and {answers} records")
print(socket.inet_ntoa(answer[-4:]) if len(answer) >= 4 else "")

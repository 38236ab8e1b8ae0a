# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hub made for this user and his workers alone, for a search after it; runs after victim.py, which has "cluster".

Of a file with a private key it is each line of the key, as nobody else has one of them.
"""

from pathlib import Path

made = {path.name for path in Path("/etc/cmsaf-secrets").iterdir() if path.is_file()}
places = {
    "stored": Path("/etc/cmsaf-secrets").iterdir(),
    "copied": Path("/run/cmsaf").rglob("*"),
    "travelled": cluster._files.iterdir(),  # noqa: F821
}


def secret_parts(path):
    text = path.read_text().strip()
    if "CERTIFICATE-----" not in text:
        return [text]
    return text.partition("PRIVATE KEY-----")[2].partition("-----END")[0].split()


found = {}
for place, paths in places.items():
    for path in paths:
        if path.name in made and path.is_file():
            for number, part in enumerate(secret_parts(path)):
                found.setdefault(part, f"{path.name}, {place}, {number}")
answer([{"name": name, "text": text} for text, name in found.items()])  # noqa: F821

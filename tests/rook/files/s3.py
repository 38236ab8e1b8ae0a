# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes, reads, lists and removes objects of a bucket by S3, and asks for them without the right key.

Name, place and key of the bucket are in the environment, as a claim for a bucket leaves them. The last line is JSON.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
import json
import os
import time
from urllib.parse import quote

COUNT, SIZE, REGION = 16, 4 << 20, "us-east-1"
HOST = os.environ["BUCKET_HOST"]
BUCKET = os.environ["BUCKET_NAME"]


def mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signed(method: str, path: str, query: str, body: bytes, secret: str) -> dict[str, str]:
    """The headers of a request, signed in the way called AWS4-HMAC-SHA256."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day, moment, digest = f"{now:%Y%m%d}", f"{now:%Y%m%dT%H%M%SZ}", hashlib.sha256(body).hexdigest()
    headers = {"host": HOST, "x-amz-content-sha256": digest, "x-amz-date": moment}
    names = ";".join(headers)
    listed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = "\n".join((method, path, query, listed, names, digest))
    scope = f"{day}/{REGION}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = mac(key, part)
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, SignedHeaders={names}, "
        f"Signature={mac(key, text).hex()}"
    )
    return headers


def ask(
    method: str, name: str = "", query: str = "", body: bytes = b"", secret: str | None = None
) -> tuple[int, bytes]:
    """One request; an empty secret sends it without a signature."""
    path = f"/{BUCKET}" + (f"/{quote(name)}" if name else "")
    secret = os.environ["AWS_SECRET_ACCESS_KEY"] if secret is None else secret
    connection = http.client.HTTPConnection(HOST, int(os.environ["BUCKET_PORT"]), timeout=60)
    headers = signed(method, path, query, body, secret) if secret else {}
    connection.request(method, f"{path}?{query}" if query else path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def expect(found: tuple[int, bytes], *wanted: int) -> bytes:
    if found[0] not in wanted:
        raise SystemExit(f"{HOST}/{BUCKET} answered {found[0]}, expected {wanted}: {found[1][:400]!r}")
    return found[1]


def rate(began: float) -> float:
    return round(COUNT * SIZE / (1 << 20) / (time.monotonic() - began), 1)


def main() -> None:
    contents = {f"soak/{number}": os.urandom(SIZE) for number in range(COUNT)}
    began = time.monotonic()
    for name, content in contents.items():
        expect(ask("PUT", name, body=content), 200)
    written = rate(began)
    began = time.monotonic()
    for name, content in contents.items():
        if expect(ask("GET", name), 200) != content:
            raise SystemExit(f"{name} came back as something else")
    read = rate(began)
    listed = expect(ask("GET", query="list-type=2&prefix=soak%2F"), 200)
    missing = [name for name in contents if f"<Key>{name}</Key>".encode() not in listed]
    if missing:
        raise SystemExit(f"The list of the bucket lacks {missing}: {listed[:400]!r}")
    expect(ask("GET", "soak/0", secret=""), 403)
    expect(ask("GET", "soak/0", secret="another"), 403)  # it has to be wrong
    for name in contents:
        expect(ask("DELETE", name), 204)
    expect(ask("GET", "soak/0"), 404)
    print(json.dumps({"objects": COUNT, "bytes_each": SIZE, "put_MiB_s": written, "get_MiB_s": read}))


if __name__ == "__main__":
    main()

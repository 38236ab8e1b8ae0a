# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user has put in the place of his server: it asks nobody who comes, and keeps what browsers send.

Beside stranger.html there is seen, the cookies that came with requests for the page.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

PAGE = Path(__file__).with_name("stranger.html").read_bytes()
seen = []


class Stranger(BaseHTTPRequestHandler):
    """Answers everybody."""

    def do_GET(self):
        if self.path.partition("?")[0].endswith("/seen"):
            kind, body = "application/json", json.dumps(seen).encode()
        else:
            seen.append(self.headers.get("Cookie", ""))
            kind, body = "text/html", PAGE
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
ThreadingHTTPServer((address.hostname, address.port), Stranger).serve_forever()

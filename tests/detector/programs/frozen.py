"""Answers HTTP, for a program that is frozen with its interpreter."""

import http.server

http.server.ThreadingHTTPServer(("127.0.0.1", 8080), http.server.SimpleHTTPRequestHandler).serve_forever()

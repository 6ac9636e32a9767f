"""Answers HTTP on the port it is given."""

import http.server
import sys

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()

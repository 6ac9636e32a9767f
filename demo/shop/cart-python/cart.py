"""The shop's cart: asks pricing what an item costs and adds the tax. It knows nothing of telemetry.

`taxes` lies in a folder that only PYTHONPATH leads to, as applications do: whoever adds to that variable must keep it.
"""

import logging
import os
import signal
import threading
from types import FrameType

import requests
import taxes
from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

PORT = int(os.environ.get("PORT", "8080"))
PRICING = os.environ.get("PRICING_URL", "http://pricing:8080")

app = Flask("cart")
log = logging.getLogger("cart")


@app.get("/cart")
def cart() -> Response:
    item = request.args.get("item", "tea")
    answer = requests.get(f"{PRICING}/price", params={"item": item}, timeout=5)
    answer.raise_for_status()
    price = answer.json()["price"]
    log.warning("added %s at %s", item, price)
    return jsonify(item=item, total=taxes.with_tax(price))


@app.get("/healthz")
def healthz() -> str:
    return "ok\n"


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("0.0.0.0", PORT, app, threaded=True)

    def stop(signum: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    print(f"cart listens on {PORT}, requests {requests.__version__}", flush=True)
    server.serve_forever(poll_interval=0.1)
    print("cart closed", flush=True)


if __name__ == "__main__":
    main()

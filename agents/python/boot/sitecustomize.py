"""The entry of the Python agent: PYTHONPATH=/odigos-cp/python/boot:<the application's own>.

Only this directory stands before the application's packages. The agent's packages are appended to the END of
sys.path, so whatever the application brings itself wins; where that is too old for the SDK, telemetry stays off.
Whatever goes wrong here, the application runs; one line on stderr says that it runs without telemetry.
Old syntax on purpose: an old Python reads this file too, and must run on as if it were not there.
"""

# ruff: noqa: UP031, UP036 - the syntax of the oldest Python that may meet this file
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
AGENT = os.path.join(os.path.dirname(HERE), "agent")
LAST_TRY = 0.6  # seconds


def run_own_sitecustomize():
    """Python imports the first sitecustomize on sys.path, and that is this file: run the one that it hides."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if os.path.abspath(entry) != HERE])
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def settings():
    """What this SDK reads differently: `otlp` would need protobuf, and it takes timeouts for seconds."""
    for signal in ("TRACES", "METRICS", "LOGS"):
        name = "OTEL_%s_EXPORTER" % signal
        if os.environ.get(name, "otlp") == "otlp":
            yield name, "otlp_json_http"
        name = "OTEL_EXPORTER_OTLP_%s_TIMEOUT" % signal
        if name in os.environ:
            yield name, str(float(os.environ[name]) / 1000)
    yield "OTEL_EXPORTER_OTLP_TIMEOUT", str(float(os.environ.get("OTEL_EXPORTER_OTLP_TIMEOUT", 2000)) / 1000)


def hurry_at_exit():
    """The SDK flushes three signals one after the other: one short try each, or a dead collector holds the exit.

    Its logging handler would flush a second time, in a thread, which an interpreter that ends refuses with a traceback.
    """
    import atexit

    from opentelemetry.exporter.otlp.common import http
    from opentelemetry.instrumentation.logging.handler import LoggingHandler

    def hurry():
        submit = http._OTLPHTTPClient._submit
        http._OTLPHTTPClient._submit = lambda client, data, timeout: submit(client, data, min(timeout, LAST_TRY))
        http._MAX_RETRIES = 1
        LoggingHandler.flush = lambda handler: None

    atexit.register(hurry)  # after the SDK's own, hence called before them


def export_in_silence():
    """A collector that is away must not fill the application's log, nor the way to it one that is at DEBUG.

    The HTTP client may be the application's own: only what it says while the SDK exports is left out.
    """
    import logging

    from opentelemetry.instrumentation.utils import is_instrumentation_enabled

    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(lambda record: is_instrumentation_enabled())


def start():
    """Start OpenTelemetry, and leave the environment as it was: the application's children read it too."""
    sys.path.append(AGENT)
    before = {}
    try:
        for name, value in settings():
            before[name] = os.environ.get(name)
            os.environ[name] = value
        from opentelemetry.instrumentation.auto_instrumentation import initialize

        initialize(swallow_exceptions=False)
        hurry_at_exit()
        if "OTEL_LOG_LEVEL" not in os.environ:
            export_in_silence()
    except (Exception, SystemExit) as error:
        sys.path.remove(AGENT)
        sys.stderr.write("odigos-cp: the application runs without telemetry: %s: %s\n" % (type(error).__name__, error))
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


try:
    if sys.version_info >= (3, 5):
        run_own_sitecustomize()
finally:
    if sys.version_info >= (3, 10) and sys.implementation.name == "cpython":
        start()

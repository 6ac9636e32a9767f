"""The command line: `odigos-cp run | describe | version`.

`run` takes every setting of settings.py as a flag. Wrong input ends with exit code 2 and one line that says what to do;
a control plane that stops for a fault ends with code 1 (by its watchdog: 3), so that Kubernetes starts it again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from odigos_cp import settings as settings_module
from odigos_cp.release import VERSION
from odigos_cp.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        if given.command == "version":
            print(VERSION)
            return 0
        chosen = _settings(given)
        if given.command == "describe":
            # Imported late: the help and the version answer at once.
            from odigos_cp import describe

            return describe.main(chosen, given.workload, given.workload_namespace)
        chosen.runs("ui")  # a wrong --controllers is refused before anything starts
        # Until the process has its own ear for it (process.py): the first process of a container has no default action.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        from odigos_cp import app

        return app.main(chosen)
    except ValueError as error:
        parser.exit(2, f"odigos-cp: {error}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="odigos-cp", description="An observability control plane for Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", help="run the control plane: instrumentor, autoscaler, scheduler and UI in one process"
    )
    _add_settings(run)
    describe = commands.add_parser("describe", help="say what is known and decided about one workload, and why")
    describe.add_argument("workload", help="kind/name, for example deployment/cart")
    describe.add_argument("-n", "--workload-namespace", required=True, metavar="NAMESPACE", help="its namespace")
    _add_settings(describe, only=("kubeconfig", "context", "request_timeout"))
    commands.add_parser("version", help="print the version")
    return parser


def _add_settings(parser: argparse.ArgumentParser, only: Sequence[str] = ()) -> None:
    defaults = Settings()
    for setting in fields(Settings):
        if only and setting.name not in only:
            continue
        default = getattr(defaults, setting.name)
        flag = "--" + setting.name.replace("_", "-")
        shown = ",".join(f"{k}={v}" for k, v in default.items()) if isinstance(default, dict) else default
        text = f"{setting.metadata['help']} (default: {shown!s}; {settings_module.environment_name(setting)})"
        help_ = text.replace("%", "%%")
        if isinstance(default, bool):
            parser.add_argument(
                flag, dest=setting.name, action=argparse.BooleanOptionalAction, default=None, help=help_
            )
        elif isinstance(default, dict):
            parser.add_argument(flag, dest=setting.name, action="append", metavar="KEY=VALUE", help=help_)
        else:
            parser.add_argument(flag, dest=setting.name, metavar="VALUE", help=help_)


def _settings(given: argparse.Namespace) -> Settings:
    """Defaults, then the environment, then the flags."""
    chosen: dict[str, Any] = settings_module.from_environment(dict(os.environ))
    defaults = Settings()
    for setting in fields(Settings):
        value = getattr(given, setting.name, None)
        if value is None:
            continue
        default = getattr(defaults, setting.name)
        flag = "--" + setting.name.replace("_", "-")
        try:
            if isinstance(default, dict):
                before = chosen.get(setting.name, default)
                chosen[setting.name] = before | settings_module.mapping(value, flag)
            else:
                chosen[setting.name] = value if isinstance(value, bool) else settings_module.parse(value, default, flag)
        except ValueError as error:
            raise ValueError(f"{flag}: {error}") from None
    return settings_module.checked(Settings(**chosen))


if __name__ == "__main__":
    sys.exit(main())

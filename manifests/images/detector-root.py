"""Copies this Python and what it needs into a directory: detector-root.py TARGET, for the detector's image.

The interpreter, the shared libraries that it and its extension modules name, and the standard library without what a
program never imports at run time. Works for Debian's Python and for the public python images alike.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

LEFT_OUT = (
    # packages that serve other ends than running a program
    "config-*", "curses", "dbm", "dist-packages", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "site-packages", "sqlite3", "test", "tests", "tkinter", "turtle*", "unittest", "venv", "wsgiref", "xmlrpc",
    # extension modules with large libraries behind them: the detector has no network, and needs no database
    "_codecs_*", "_curses*", "_dbm*", "_gdbm*", "_hashlib*", "_sqlite3*", "_ssl*", "_test*", "_tkinter*", "nis*",
    "readline*", "xx*",
)  # fmt: skip

target = Path(sys.argv[1])
interpreter = Path(sys.executable).resolve()
library = Path(sysconfig.get_path("stdlib"))
shutil.copytree(library, target / library.relative_to("/"), ignore=shutil.ignore_patterns(*LEFT_OUT))
binaries = [interpreter, *(target / library.relative_to("/") / "lib-dynload").glob("*.so")]
needed = {interpreter}
for binary in binaries:
    said = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    needed |= {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(", said, re.MULTILINE)}
for path in sorted(needed):
    copy = target / path.relative_to("/")
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copy)
(target / "bin").mkdir(exist_ok=True)
(target / "bin/python").symlink_to(interpreter)

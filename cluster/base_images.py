"""What FROM means without an image registry: stand-ins for the few public images that our Dockerfiles name.

    debian:bookworm-slim        debootstrap, from the Debian mirror that this machine itself is set up with
    python:3.11-slim-bookworm   that, and Debian's Python 3.11 with pip and venv, as `python` and `pip`
    node:20-bookworm-slim       that, and this machine's own node and npm
    golang:1.26-bookworm        that, and this machine's own Go

A stand-in is made only while the storage holds no image of that name, so images pulled from a registry under these
names are used instead, and users build the same Dockerfiles with Docker and the public images. A second name carries
the hash of a stand-in's recipe: a changed recipe makes it again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.buildah import UNFINISHED, Buildah, BuildError, Say

SUITE = "bookworm"
APT = Path("/etc/apt")
STAND_IN = "localhost/stand-in/"

DEBIAN = """\
FROM scratch
ADD root.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["bash"]
"""
PYTHON = """\
FROM debian:bookworm-slim
RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists \\
    apt-get update -q \\
    && apt-get install -qy --no-install-recommends ca-certificates python3.11 python3-pip python3-venv \\
    && rm -rf /usr/lib/python3.11/EXTERNALLY-MANAGED /usr/share/doc/* /usr/share/man/* \\
    && ln -s /usr/bin/python3.11 /usr/local/bin/python
CMD ["python"]
"""
NODE = """\
FROM debian:bookworm-slim
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \\
    && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
CMD ["node"]
"""
GO = """\
FROM debian:bookworm-slim
COPY go /usr/local/go
ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin GOTOOLCHAIN=local
CMD ["bash"]
"""
DEBIAN_LEAVES_OUT = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/cache/apt", "var/log")
GO_LEAVES_OUT = ("api", "doc", "misc", "test", "src/cmd")


@dataclass(frozen=True)
class Source:
    """One place that apt gets packages from."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]

    def line(self, suite: str) -> str:
        return f"deb {self.uri} {suite} {' '.join(self.components)}"


@dataclass(frozen=True)
class StandIn:
    """`fill` puts beside the Dockerfile what it copies; `machine` is what of this machine goes in, as words to hash."""

    dockerfile: str
    fill: Callable[[Path, Buildah, Say], None]
    machine: Callable[[], str]
    base: str | None = "debian:bookworm-slim"


def identities(buildah: Buildah, names: Iterable[str], say: Say) -> dict[str, str]:
    """The image id behind each name, made first where it is absent. Two builds of one name differ by it."""
    known = {name: image.identity for image in buildah.images() for name in image.names}
    return {name: _identity(buildah, name, known, say) for name in sorted(names)}


def _identity(buildah: Buildah, name: str, known: dict[str, str], say: Say) -> str:
    public = qualified(name)
    stand_in = STAND_INS.get(name)
    if stand_in is None:
        if public in known:
            return known[public]
        raise BuildError(f"no image {name} here and no recipe for it: add one to STAND_INS in {Path(__file__).name}")
    base = _identity(buildah, stand_in.base, known, say) if stand_in.base else ""
    recipe = hashlib.sha256("\n".join((stand_in.dockerfile, stand_in.machine(), base)).encode()).hexdigest()[:12]
    mark = f"{STAND_IN}{name.replace(':', '/')}:{recipe}"
    pulled = public in known and not any(
        other.startswith(STAND_IN) and identity == known[public] for other, identity in known.items()
    )
    if not pulled and (mark not in known or known.get(public) != known[mark]):
        say(f"{name}: no such image here, making a stand-in")
        with tempfile.TemporaryDirectory(dir=buildah.root, prefix=UNFINISHED) as directory:
            context = Path(directory)
            stand_in.fill(context, buildah, say)
            dockerfile = context / "Dockerfile"
            dockerfile.write_text(stand_in.dockerfile)
            label = re.sub(r"[^a-z0-9]+", "-", name)
            known[public] = known[mark] = buildah.build(
                label, dockerfile, context, tags=(public, mark), labels={}, say=say
            )
    return known[public]


def qualified(name: str) -> str:
    """The full name that a short one stands for."""
    return f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"


# --- Debian ---------------------------------------------------------------------------------------------------------


def read_sources(directory: Path = APT) -> list[Source]:
    """What apt is set up with, in both of its formats; entries that are switched off are left out."""
    lists = [directory / "sources.list", *sorted((directory / "sources.list.d").glob("*.list"))]
    found = [source for path in lists if path.is_file() for source in _one_line(path.read_text())]
    for path in sorted((directory / "sources.list.d").glob("*.sources")):
        found += _deb822(path.read_text())
    return found


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        words = re.sub(r"\[[^\]]*\]", "", line.split("#")[0]).split()
        if len(words) >= 4 and words[0] == "deb":
            yield Source(words[1].rstrip("/"), (words[2],), tuple(words[3:]))


def _deb822(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, list[str]] = {}
        last = ""
        for line in stanza.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0].isspace():
                fields[last] += line.split()
            else:
                last, _, value = line.partition(":")
                last = last.lower()
                fields[last] = value.split()
        if "deb" not in fields.get("types", ()) or fields.get("enabled", ["yes"])[0].lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", ()):
            yield Source(uri.rstrip("/"), tuple(fields.get("suites", ())), tuple(fields.get("components", ())))


def debian_sources(sources: Iterable[Source], suite: str = SUITE) -> list[str]:
    """The lines of a sources.list for `suite`, its updates and its security fixes; the first is the main archive.

    A machine of another Debian release has the same archives under other suites. Other vendors' archives are left out.
    """
    lines: dict[str, None] = {}
    archives = [s for s in sources if re.search(r"/debian$", s.uri) and "main" in s.components]
    security = [s for s in sources if re.search(r"/debian-security$", s.uri) and "main" in s.components]
    if not archives:
        raise BuildError(
            f"no Debian archive in {APT}: the images stand on debian:{SUITE}-slim; configure one (a URI that ends in "
            f"/debian with the component main), or load that image into the build storage"
        )
    lines[archives[0].line(suite)] = None
    lines[archives[0].line(f"{suite}-updates")] = None
    if security:
        lines[security[0].line(f"{suite}-security")] = None
    return list(lines)


def _fill_debian(context: Path, buildah: Buildah, say: Say) -> None:
    lines = debian_sources(read_sources())
    _needs("debootstrap", "apt-get install debootstrap")
    root = context / "root"
    archives = buildah.root / "debootstrap"
    archives.mkdir(exist_ok=True)
    # in a mount namespace: what debootstrap mounts goes with it, however it ends
    command = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--cache-dir={archives}", SUITE, str(root)]
    command.append(lines[0].split()[1])
    buildah.logged("debootstrap", command, say=say, timeout=600)
    for entry in DEBIAN_LEAVES_OUT:
        for path in sorted((root / entry).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    archive = context / "root.tar"
    command = [
        "tar",
        "--create",
        "--numeric-owner",
        "--exclude=./dev/*",
        f"--file={archive}",
        f"--directory={root}",
        ".",
    ]
    buildah.logged("debian-tar", command, say=say, timeout=120)
    shutil.rmtree(root)


# --- what comes from this machine -----------------------------------------------------------------------------------


def _fill_nothing(context: Path, buildah: Buildah, say: Say) -> None:
    """The Dockerfile copies nothing."""


def _fill_node(context: Path, buildah: Buildah, say: Say) -> None:
    shutil.copy2(_needs("node", "install Node.js 20"), context / "node")
    npm = Path(os.path.realpath(_needs("npm", "install npm")))
    shutil.copytree(npm.parents[1], context / "npm", symlinks=True)


def _fill_go(context: Path, buildah: Buildah, say: Say) -> None:
    root = Path(_answer(_needs("go", "install Go 1.26"), "env", "GOROOT"))
    left_out = {str(root / entry) for entry in GO_LEAVES_OUT}

    def ignore(directory: str, names: list[str]) -> set[str]:
        return {n for n in names if n == "testdata" or n.endswith("_test.go") or f"{directory}/{n}" in left_out}

    shutil.copytree(root, context / "go", symlinks=True, ignore=ignore)


def _node_version() -> str:
    return _version("node", "Node.js 20", ("--version",), r"v20\.\S+")


def _go_version() -> str:
    return _version("go", "Go 1.26", ("env", "GOVERSION"), r"go1\.26\S*")


def _version(program: str, wanted: str, arguments: tuple[str, ...], pattern: str) -> str:
    said = _answer(_needs(program, f"install {wanted}"), *arguments)
    if not re.fullmatch(pattern, said):
        raise BuildError(f"the image stands on {wanted}, but `{program}` on this machine says {said}: install {wanted}")
    return said


def _answer(*command: str) -> str:
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=30, env=environment, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def _needs(program: str, remedy: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise BuildError(f"{program} is not installed on this machine, and a base image is made from it: {remedy}")
    return found


STAND_INS: Mapping[str, StandIn] = {
    "debian:bookworm-slim": StandIn(DEBIAN, _fill_debian, lambda: "\n".join(DEBIAN_LEAVES_OUT), base=None),
    "python:3.11-slim-bookworm": StandIn(PYTHON, _fill_nothing, lambda: ""),
    "node:20-bookworm-slim": StandIn(NODE, _fill_node, _node_version),
    "golang:1.26-bookworm": StandIn(GO, _fill_go, _go_version),
}

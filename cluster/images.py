"""Which container images the project has, and how they come to be where no image registry can be reached.

They are built from the Dockerfiles in manifests/images and demo/, the same that users build with Docker (their header
says how), and kept as docker-archives in the cache directory. An image is built again only when its Dockerfile, a file
that it may copy, or its base image has changed: the first twelve hex digits of a hash over these are its tag. The
archive holds two names, `odigos-cp/NAME:HASH` and `odigos-cp/NAME:local`; manifests for the local cluster use the
second one. cluster/walk.py brings the archives to the nodes.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import archive, base_images, packages
from cluster.buildah import UNFINISHED, Buildah, BuildError, Say
from cluster.commands import ClusterError
from cluster.steps import Steps

ROOT = Path(__file__).resolve().parent.parent
KEPT_ARCHIVES = 2  # of one image: the newest, and the one to go back to
LEFT_OUT = ("__pycache__", "node_modules", ".pytest_cache", ".mypy_cache")
CONTENT_LABEL = "odigos.io/content"


@dataclass(frozen=True)
class ImageSpec:
    """One image: `context` lists files and folders of the repository, `made` what is made elsewhere, by its place."""

    name: str
    dockerfile: str
    context: tuple[str, ...]
    made: tuple[tuple[str, Callable[[], Path]], ...] = ()


@dataclass(frozen=True)
class BuiltImage:
    """`reference` is the name with the content's hash; `digest` identifies exactly what a node runs (the image id)."""

    name: str
    reference: str
    archive: Path
    digest: str


WITH_CA = "manifests/images/with-ca"
AGENTS = ("java", "python", "nodejs")
SHOP = ("frontend-nodejs", "cart-python", "pricing-java", "load-go")


def all_images(collector: Path | None = None, say: Say = print) -> list[ImageSpec]:
    """Every image. `collector` is the collector's static binary; by default the one that cluster/builds.py makes.

    Its image is the last: a first build of the binary takes minutes, which the others use.
    """
    return [
        ImageSpec(
            "control-plane",
            "manifests/images/control-plane.Dockerfile",
            ("requirements.lock", "src/odigos_cp", WITH_CA),
        ),
        ImageSpec(
            "detector",
            "manifests/images/detector.Dockerfile",
            ("src/odigos_cp/__init__.py", "src/odigos_cp/detector", "manifests/images/detector-root.py"),
        ),
        *(
            ImageSpec(f"agent-{name}", f"manifests/images/agent-{name}.Dockerfile", (f"agents/{name}", WITH_CA))
            for name in AGENTS
        ),
        *(
            ImageSpec(f"demo-{part.split('-')[0]}", f"demo/shop/{part}/Dockerfile", (f"demo/shop/{part}", WITH_CA))
            for part in SHOP
        ),
        ImageSpec("demo-store", "demo/store/Dockerfile", ("demo/store", WITH_CA)),
        ImageSpec(
            "collector",
            "manifests/images/collector.Dockerfile",
            (),
            (("build/otelcol", lambda: collector or _collector(say)),),
        ),
    ]


def ensure(specs: Iterable[ImageSpec], say: Say, cache: Path | None = None) -> list[BuiltImage]:
    """Every image as an archive, built where it is not there yet; in the order of `specs`."""
    cache = (cache or cache_directory()) / "images"
    cache.mkdir(parents=True, exist_ok=True)
    specs = list(specs)
    with _alone(cache, say):
        buildah = Buildah(cache / "buildah")
        buildah.sweep()
        names = {base for spec in specs for base in base_names((ROOT / spec.dockerfile).read_text())}
        bases = base_images.identities(buildah, names, say)
        return [_ensure_one(spec, bases, buildah, cache, say) for spec in specs]


def _ensure_one(spec: ImageSpec, bases: Mapping[str, str], buildah: Buildah, cache: Path, say: Say) -> BuiltImage:
    content = content_hash(spec, bases)
    reference = f"docker.io/odigos-cp/{spec.name}"
    file = cache / f"{spec.name}-{content}.tar"
    if not file.exists():
        started = time.monotonic()
        say(f"{spec.name}: building")
        with tempfile.TemporaryDirectory(dir=buildah.root, prefix=UNFINISHED) as directory:
            context, unfinished = Path(directory) / "context", Path(directory) / "archive"
            stage(spec, context)
            tag = f"{reference}:{content}"
            identity = buildah.build(
                spec.name,
                context / spec.dockerfile,
                context,
                tags=(tag,),
                labels={CONTENT_LABEL: content},
                say=say,
            )
            buildah.save(identity, tag, unfinished)
            archive.rename(unfinished, (tag, f"{reference}:local"))
            os.replace(unfinished, file)
        _forget_old(spec.name, file, buildah, cache)
        say(f"{spec.name}: built in {time.monotonic() - started:.0f} s, {file.stat().st_size / 1e6:.0f} MB")
    os.utime(file)
    return BuiltImage(spec.name, f"{reference}:{content}", file, archive.contents(file).identity)


# --- what an image is made of ---------------------------------------------------------------------------------------


def content_hash(spec: ImageSpec, bases: Mapping[str, str], root: Path = ROOT) -> str:
    """Twelve hex digits that change with whatever the image could hold."""
    digest = hashlib.sha256()
    for base in sorted(base_names((root / spec.dockerfile).read_text())):
        digest.update(f"FROM {base} = {bases[base]}\n".encode())
    for place, path in files(spec, root).items():
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{place} {os.access(path, os.X_OK)} {content}\n".encode())
    return digest.hexdigest()[:12]


def base_names(dockerfile: str) -> set[str]:
    """The images that a Dockerfile stands on: its FROM lines without its own stages."""
    found: set[str] = set()
    stages = {"scratch"}
    for match in re.finditer(r"(?im)^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", dockerfile):
        image, stage = match.groups()
        if image not in stages:
            found.add(image)
        if stage:
            stages.add(stage)
    return found


def files(spec: ImageSpec, root: Path = ROOT) -> dict[str, Path]:
    """Place in the build context -> file, in one order on every machine."""
    found: dict[str, Path] = {}
    for entry in (spec.dockerfile, *spec.context):
        path = root / entry
        if path.is_file():
            found[entry] = path
        elif path.is_dir():
            found.update(
                {str(p.relative_to(root)): p for p in path.rglob("*") if p.is_file() and not _left_out(p, root)}
            )
        else:
            raise BuildError(
                f"the image {spec.name} needs {path}, which is not there: make it, or mend the list in images.py"
            )
    for place, make in spec.made:
        path = make()
        if not path.is_file():
            raise BuildError(f"the image {spec.name} needs {path} as {place}, which has not been made")
        found[place] = path
    return dict(sorted(found.items()))


def _left_out(path: Path, root: Path) -> bool:
    return path.suffix == ".pyc" or any(part in LEFT_OUT for part in path.relative_to(root).parts)


def stage(spec: ImageSpec, context: Path, root: Path = ROOT) -> None:
    """A directory with exactly the files that count: what is not hashed cannot get into an image."""
    for place, path in files(spec, root).items():
        target = context / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        target.chmod(0o755 if os.access(path, os.X_OK) else 0o644)


# --- archives that are not needed any more --------------------------------------------------------------------------


def _forget_old(name: str, newest: Path, buildah: Buildah, cache: Path) -> None:
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{12}\.tar")
    archives = [p for p in cache.iterdir() if pattern.fullmatch(p.name)]
    for old in sorted(archives, key=lambda p: (p == newest, p.stat().st_mtime), reverse=True)[KEPT_ARCHIVES:]:
        old.unlink()
        buildah.forget(f"docker.io/odigos-cp/{name}:{old.stem.removeprefix(name + '-')}")


# --- where ----------------------------------------------------------------------------------------------------------


def cache_directory(environment: Mapping[str, str] = os.environ) -> Path:
    if chosen := environment.get("ODIGOS_CP_CACHE"):
        return Path(chosen)
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "odigos-cp"


@contextmanager
def _alone(cache: Path, say: Say, timeout: float = 1800) -> Iterator[None]:
    """One builder at a time: a second one waits, and then finds the images made."""
    deadline = time.monotonic() + timeout
    with (cache / "lock").open("w") as lock:
        waiting = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BuildError(
                        f"another process has been building images for {timeout:.0f} s ({lock.name})"
                    ) from None
                if not waiting:
                    say("waiting for another build of the images to end")
                waiting = True
                time.sleep(0.5)
        yield


def _collector(say: Say) -> Path:
    from cluster import builds  # made only when the image is: a Go build takes minutes

    return builds.collector(say)


def main() -> int:
    """`python -m cluster.images [NAME...]`: build them and say what there is."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster.images", description="Build the project's images into the cache."
    )
    parser.add_argument("names", nargs="*", help="only these (default: all)")
    parser.add_argument("--collector", type=Path, help="the collector's static binary (default: the one made here)")
    given = parser.parse_args()
    steps = Steps()
    try:
        packages.ensure(steps)
        with steps.step("the images") as step:
            specs = all_images(given.collector, step.say)
            if unknown := set(given.names) - {spec.name for spec in specs}:
                raise BuildError(f"no such image: {', '.join(sorted(unknown))}")
            specs = [spec for spec in specs if not given.names or spec.name in given.names]
            built = ensure(specs, step.say)
            step.note(f"{len(built)} archives in {cache_directory() / 'images'}")
    except (BuildError, ClusterError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# The detector: a Python interpreter, its standard library, and src/odigos_cp/detector. Nothing else is in it, not even
# a shell: it runs beside the processes of a whole node.
#   docker build -f manifests/images/detector.Dockerfile -t odigos-cp/detector .
FROM python:3.11-slim-bookworm AS build
COPY manifests/images/detector-root.py /build/
RUN python /build/detector-root.py /detector
COPY src/odigos_cp/__init__.py /detector/app/odigos_cp/
COPY src/odigos_cp/detector /detector/app/odigos_cp/detector
RUN python -m compileall -q --invalidation-mode unchecked-hash /detector/app

FROM scratch
COPY --from=build /detector /
ENV PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LANG=C.UTF-8
ENTRYPOINT ["/bin/python", "-S", "-m", "odigos_cp.detector"]

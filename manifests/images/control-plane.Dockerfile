# The control plane: the instrumentor, the autoscaler, the scheduler and the UI, in one process.
#   make ui
#   docker build -f manifests/images/control-plane.Dockerfile -t odigos-cp/control-plane .
FROM python:3.11-slim-bookworm AS dependencies
COPY manifests/images/with-ca /usr/local/bin/
COPY requirements.lock /build/
RUN --mount=type=secret,id=ca-bundle --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/odigos-cp \
    && with-ca pip --python /opt/odigos-cp/bin/python install --disable-pip-version-check --root-user-action=ignore --no-compile \
    --require-hashes --only-binary=:all: --requirement /build/requirements.lock \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/odigos-cp/lib
RUN printf '#!/opt/odigos-cp/bin/python\nimport sys\n\nfrom odigos_cp.cli import main\n\nsys.exit(main())\n' > /opt/odigos-cp/bin/odigos-cp \
    && chmod 755 /opt/odigos-cp/bin/odigos-cp

FROM python:3.11-slim-bookworm AS program
COPY src/odigos_cp /odigos_cp
RUN python -m compileall -q --invalidation-mode unchecked-hash /odigos_cp

FROM python:3.11-slim-bookworm
COPY --from=dependencies /opt/odigos-cp /opt/odigos-cp
COPY --from=program /odigos_cp /opt/odigos-cp/lib/python3.11/site-packages/odigos_cp
ENV PATH=/opt/odigos-cp/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
ENTRYPOINT ["odigos-cp"]

# The Python agent, as files for an init container to copy into a pod (an emptyDir at /odigos-cp/python).
#   docker build -f manifests/images/agent-python.Dockerfile -t odigos-cp/agent-python .
FROM debian:bookworm-slim AS copier
RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists \
    apt-get update -q && apt-get install -qy --no-install-recommends busybox-static

FROM python:3.11-slim-bookworm AS agent
COPY manifests/images/with-ca /usr/local/bin/
COPY agents/python /build
RUN --mount=type=secret,id=ca-bundle --mount=type=cache,target=/root/.cache/pip with-ca /build/install.sh /agent

FROM scratch
COPY --from=copier /bin/busybox /bin/busybox
COPY --from=agent /agent /agent
USER 65532:65532
CMD ["/bin/busybox", "cp", "-r", "/agent/.", "/odigos-cp/python/"]

# The Node.js agent, as files for an init container to copy into a pod (an emptyDir at /odigos-cp/nodejs).
#   docker build -f manifests/images/agent-nodejs.Dockerfile -t odigos-cp/agent-nodejs .
FROM debian:bookworm-slim AS copier
RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists \
    apt-get update -q && apt-get install -qy --no-install-recommends busybox-static

FROM node:20-bookworm-slim AS agent
COPY manifests/images/with-ca /usr/local/bin/
COPY agents/nodejs /build
RUN --mount=type=secret,id=ca-bundle --mount=type=cache,target=/root/.npm with-ca /build/install.sh /agent

FROM scratch
COPY --from=copier /bin/busybox /bin/busybox
COPY --from=agent /agent /agent
USER 65532:65532
CMD ["/bin/busybox", "cp", "-r", "/agent/.", "/odigos-cp/nodejs/"]

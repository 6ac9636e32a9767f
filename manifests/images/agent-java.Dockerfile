# The Java agent, as files for an init container to copy into a pod (an emptyDir at /odigos-cp/java).
#   docker build -f manifests/images/agent-java.Dockerfile -t odigos-cp/agent-java .
FROM debian:bookworm-slim AS copier
RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists \
    apt-get update -q && apt-get install -qy --no-install-recommends busybox-static

FROM debian:bookworm-slim AS agent
RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists \
    apt-get update -q && apt-get install -qy --no-install-recommends openjdk-17-jdk-headless
RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists \
    apt-get install -qy --no-install-recommends maven
COPY manifests/images/with-ca agents/java/TrustBundle.java /usr/local/bin/
COPY agents/java /build
RUN --mount=type=secret,id=ca-bundle --mount=type=cache,target=/root/.m2 with-ca /build/install.sh /agent

FROM scratch
COPY --from=copier /bin/busybox /bin/busybox
COPY --from=agent /agent /agent
USER 65532:65532
CMD ["/bin/busybox", "cp", "-r", "/agent/.", "/odigos-cp/java/"]

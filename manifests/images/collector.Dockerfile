# The OpenTelemetry Collector with the components that odigos-cp renders configurations for; one static binary.
#   cp "$(.venv/bin/python -c 'from cluster import builds; print(builds.collector())')" build/otelcol
#   docker build -f manifests/images/collector.Dockerfile -t odigos-cp/collector .
FROM debian:bookworm-slim AS certificates
RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists \
    apt-get update -q && apt-get install -qy --no-install-recommends ca-certificates

FROM scratch
COPY --from=certificates /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY build/otelcol /otelcol
USER 65532:65532
ENTRYPOINT ["/otelcol"]

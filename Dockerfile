# syntax=docker/dockerfile:1

# Builds the binary, then a small image with nothing but the binary and the shipped configuration.

FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    loadtest/optimise \
    && install -D -m 0755 target/release/switchyard /built/switchyard

FROM debian:bookworm-slim
RUN groupadd --gid 10001 switchyard \
    && useradd --uid 10001 --gid switchyard --no-create-home --home-dir /var/lib/switchyard --shell /usr/sbin/nologin switchyard \
    && install -d -o switchyard -g switchyard -m 0700 /var/lib/switchyard
COPY --from=build /built/switchyard /usr/local/bin/switchyard
COPY config /etc/switchyard

USER switchyard
WORKDIR /var/lib/switchyard
VOLUME ["/var/lib/switchyard"]

# Conduits and pages of the shipped configuration. In a container they must listen on 0.0.0.0: mount a configuration of
# your own on /etc/switchyard. Its TLS conduit reads tls/server.pem, tls/server.key and tls/ca.pem below /var/lib/switchyard.
# Publish 8080 to trusted networks only.
EXPOSE 8583 8584 8585 8080

# SIGTERM drains: open requests are answered, the journal is sealed. Give it longer than gate.drain_ms.
STOPSIGNAL SIGTERM

# bash's own TCP, so that the image needs no HTTP client. It asks the address of the shipped configuration.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]

ENTRYPOINT ["switchyard"]
CMD ["run", "--config", "/etc/switchyard/switchyard.toml", "--data", "/var/lib/switchyard", "--log-json"]

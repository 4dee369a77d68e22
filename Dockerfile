# The images of Tress: `--target engine`, `--target operator`.
#   docker build --target engine --tag tress-engine .
# Programs that were built elsewhere, for glibc 2.36 or older, take the place of the first stage:
#   docker build --target engine --build-context programs=FOLDER --tag tress-engine .

FROM docker.io/library/rust:1.95.0-bookworm AS programs
# The image has this toolchain; without its name here rustup would fetch what rust-toolchain.toml asks for developers.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p tress-engine -p tress-operator && cp target/release/tress-engine target/release/tress-operator /

FROM docker.io/library/debian:bookworm-slim AS runtime
RUN [ -e /etc/ssl/certs/ca-certificates.crt ] || \
    { apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*; }
# A number, so that Kubernetes can see that it is not root. Nothing is written but to mounted places. `helm test` runs its shell.
USER 65532:65532
WORKDIR /

FROM runtime AS operator
COPY --from=programs tress-operator /usr/local/bin/tress-operator
ENTRYPOINT ["/usr/local/bin/tress-operator"]

FROM runtime AS engine
COPY --from=programs tress-engine /usr/local/bin/tress-engine
ENTRYPOINT ["/usr/local/bin/tress-engine"]

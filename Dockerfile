# The image holds one static binary, the certificates that it checks AWS by, and
# a directory for the SQLite file, the only place that is ever written to: run it
# with a read-only root and a volume there.
#
# The commands of the build stage use no path outside the source tree, so that
# "make image-check" can run them without a container.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o out/weir ./cmd/weir
RUN mkdir -p out/state

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/out/weir /weir
COPY --from=build --chown=65532:65532 /src/out/state /var/lib/weir
VOLUME /var/lib/weir
ENV WEIR_BAN_FILE=/var/lib/weir/weir.db
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/weir"]
CMD ["run"]

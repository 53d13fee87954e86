# The steps that need no Docker engine are run by `make image-steps`.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN mkdir -p /data && CGO_ENABLED=0 make build VERSION=${VERSION}

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/share/zoneinfo /usr/share/zoneinfo
COPY --from=build /src/postflight /bin/postflight
COPY --from=build --chown=65532:65532 /data /data
USER 65532:65532
WORKDIR /data
EXPOSE 9095
VOLUME /data
ENTRYPOINT ["/bin/postflight"]
CMD ["serve", "--config.file=/etc/postflight/postflight.yml", "--web.listen-address=0.0.0.0:9095"]

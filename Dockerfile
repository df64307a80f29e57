# One image for both programs: worker (the default) and starter. They are static, so
# the image holds nothing else but CA certificates and wget for health checks.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# timetzdata: the image has no time zones, and KSeF's days are those of Warsaw.
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags timetzdata -ldflags '-s -w' -o /out/ ./worker ./starter \
    && mkdir -p /out/state /out/tmp

FROM busybox:1.37-musl AS busybox

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=busybox /bin/busybox /usr/local/bin/wget
COPY --from=build /out/worker /out/starter /usr/local/bin/
# Packages on their way, and archive and session secret: owned by the user below, so that new volumes are too.
COPY --from=build --chown=65532:65532 /out/tmp /tmp
COPY --from=build --chown=65532:65532 /out/state /var/lib/teamogy-ksef
ENV PATH=/usr/local/bin
USER 65532:65532
VOLUME /var/lib/teamogy-ksef
ENTRYPOINT ["/usr/local/bin/worker"]

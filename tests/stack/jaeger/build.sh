#!/bin/sh
# Build Jaeger from its Go module, once a version, outside the checkout; prints the path of the binary. Needs Go 1.25
# or newer. Jaeger 2 is the module's v1.76.0; its page is a placeholder, since only its makefile fetches the real one.
set -eu
version=1.76.0
cache=${OTLP_TRACING_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/otlp-tracing}
target=$cache/jaeger-$version
if [ ! -x "$target/jaeger" ]; then
    command -v go >/dev/null || { echo "building Jaeger needs Go: https://go.dev/dl/" >&2; exit 2; }
    echo "building Jaeger into $target; ten minutes, once" >&2
    mkdir -p "$target"
    {
        # `go install` refuses a module with replace directives, so it has to be the main module.
        module=$(go mod download -json "github.com/jaegertracing/jaeger@v$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p') &&
            rm -rf "$target/source" && cp -r "$module" "$target/source" && chmod -R u+w "$target/source" &&
            (cd "$target/source" && go build -trimpath -ldflags="-s -w" -o ../jaeger.new ./cmd/jaeger)
    } >"$target/build.log" 2>&1 || { tail -n 20 "$target/build.log" >&2; exit 1; }
    mv "$target/jaeger.new" "$target/jaeger"
    rm -rf "$target/source"
fi
echo "$target/jaeger"

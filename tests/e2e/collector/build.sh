#!/bin/sh
# Build a collector with the official builder, once a version, outside the checkout: that of the file given, or of
# builder.yaml beside this one. Prints the path of the binary. Needs Go 1.25 or newer.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
builder=${1:-$here/builder.yaml}
version=$(sed -n 's/.*otlpreceiver v//p' "$builder") # builder and components go together
cache=${OTLP_TRACING_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/otlp-tracing}
target=$cache/collector-$version-$(cksum <"$builder" | cut -d' ' -f1)
if [ ! -x "$target/otelcol" ]; then
    command -v go >/dev/null || { echo "building the collector needs Go: https://go.dev/dl/" >&2; exit 2; }
    echo "building the collector into $target; a few minutes, once" >&2
    mkdir -p "$target"
    sed "s|output_path: .*|output_path: $target/build|" "$builder" >"$target/builder.yaml"
    # The builder would run `go mod tidy`, which wants the modules that only the components' own tests need;
    # told not to, it writes no go.mod.
    {
        go run "go.opentelemetry.io/collector/cmd/builder@v$version" --config "$target/builder.yaml" \
            --skip-get-modules --skip-compilation &&
            {
                printf 'module otelcol\ngo 1.25\nrequire go.opentelemetry.io/collector/otelcol v%s\n' "$version"
                sed -n 's/.*gomod: /require /p' "$target/builder.yaml"
            } >"$target/build/go.mod" &&
            (cd "$target/build" && go build -mod=mod -trimpath -ldflags="-s -w" -o otelcol .)
    } >"$target/build.log" 2>&1 || { tail -n 20 "$target/build.log" >&2; exit 1; }
    mv "$target/build/otelcol" "$target/otelcol"
    rm -rf "$target/build"
fi
echo "$target/otelcol"

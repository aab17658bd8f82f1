#!/bin/sh
# Makes the venv of an image in two steps. The first step changes rarely:
#   install.sh dependencies SOURCE VENV    the package's dependencies, at the locked versions
#   install.sh package SOURCE VENV         the package, as a wheel; then removes unused files
# Needs python3 and python3-venv of Debian or Ubuntu.
set -eu
step=$1
source=$2
venv=$3
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore

dependencies() {
    python3 -m venv "$venv"
    "$venv/bin/pip" install --require-hashes -r "$source/requirements.lock"
    # The build tools have a venv of their own, which is not copied into the image.
    python3 -m venv /tmp/build
    /tmp/build/bin/pip install --require-hashes -r "$source/requirements-build.lock"
}

package() {
    /tmp/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheels "$source"
    "$venv/bin/pip" install --no-deps /tmp/wheels/otlp_tracing-*.whl
    "$venv/bin/pip" check
    for tool in setuptools pip; do
        [ ! -d "$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/$tool" ] ||
            "$venv/bin/pip" uninstall --yes "$tool"
    done
    # Sources of compiled modules, and gevent's tests.
    find "$venv" \( -name '*.pyx' -o -name '*.pxd' -o -name '*.[ch]' -o -name '*.cpp' \) -delete
    rm -rf "$venv"/lib/python3*/site-packages/g*/tests
    # Kong's user may not write here, so modules that are not compiled now would be compiled at every start.
    "$venv/bin/python" -m compileall -q "$venv"
    "$venv/bin/otlp-tracing" dump >/dev/null
}

"$step"

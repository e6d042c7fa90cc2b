#!/bin/sh
# Makes of Triton's environment what an image needs: stable paths, no pip, and the backends with Tandem's library.
# lay_out_triton.sh ENVIRONMENT BACKENDS SIMULATOR
set -eu
environment=$1 backends=$2 simulator=$3

ln -s "$(basename "$(dirname "$environment"/lib/python3.*/site-packages)")/site-packages" "$environment/lib/packages"
ln -s lib/packages "$environment/packages"
ln -s ../packages/pytriton/tritonserver/bin/tritonserver "$environment/bin/tritonserver"

# llama.cpp needs the library that comes with gcc, which a small base image does not have.
gomp=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p | awk '/libgomp\.so\.1 .*x86-64/ {print $NF; exit}')
if [ -z "$gomp" ]; then
    echo "libgomp.so.1 is missing: take a BUILD_BASE with gcc (Debian: apt-get install libgomp1)" >&2
    exit 1
fi
cp -L "$gomp" "$environment/libpython/"

mkdir -p "$backends"
cp -R "$environment/backends/python" "$backends/python"
cp -R deploy/triton/library/. "$backends/python/"
cp -R deploy/triton/backends/llamacpp "$backends/llamacpp"
cp -R "$simulator" "$backends/simulator"
rm -rf "$environment/backends" "$environment"/packages/pytriton/tritonserver/python_backend_stubs
find "$environment" "$backends" -name __pycache__ -type d -prune -exec rm -rf {} +

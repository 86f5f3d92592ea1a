#!/bin/sh
# Runs a command on an emulated GPU: kernels are interpreted, matrix products and recurrent layers are computed by
# plain loops. Everything but the speed can be tested with it, on any machine:
#
#     sh tests/cuda/toolkit.sh toolkit
#     . toolkit/environment
#     sh tests/cuda/pretend.sh cargo test --release --features cudnn --test gpu
#     sh tests/cuda/pretend.sh target/release/birnn train --device cuda --set train.epochs=1
#
# The PTX of NVIDIA's compiler is interpreted, of this project's kernels and Candle's alike. Work on a stream is
# executed when the stream is waited for; uninitialised and freed memory holds NaN; an access outside of an
# allocation ends the program.
#
# With PRETENDED_COUNTS=1 the program finally prints how often each GPU operation was requested.
#
# Needs a C++ compiler and the toolkit's environment.
set -eu

: "${CUDA_HOME:?"first: sh tests/cuda/toolkit.sh DIRECTORY && . DIRECTORY/environment"}"
sources=$(cd "$(dirname "$0")/pretend" && pwd)
build=$CUDA_HOME/lib/pretend
mkdir -p "$build"

# NAME, FILE and PREFIX of a library, the sources that implement it, and further libraries to link with. The other
# functions of the real library report that they are missing.
library() {
    name=$1 real=$2 prefix=$3 objects=
    shift 3
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        c++ -std=c++17 -O2 -Wall -Wextra -fPIC -c "$sources/$1.cpp" -o "$build/$1.o"
        objects="$objects $build/$1.o"
        shift
    done
    [ $# -eq 0 ] || shift
    nm -D --defined-only "$real" | sed -n "s/.* T \($prefix[A-Za-z0-9_]*\).*/\1/p" | sort -u >"$build/all"
    # shellcheck disable=SC2086
    nm --defined-only $objects | sed -n "s/.* T \($prefix[A-Za-z0-9_]*\).*/\1/p" | sort -u >"$build/ours"
    {
        echo '#include <stdio.h>'
        echo 'static int missing(const char *name) { return fprintf(stderr, "%s is not pretended; ", name), 801; }'
        comm -23 "$build/all" "$build/ours" | sed 's/.*/int &(void) { return missing("&"); }/'
    } >"$build/rest.c"
    cc -w -fPIC -c "$build/rest.c" -o "$build/rest.o"
    echo "$name { global: $prefix*; pretended_*; local: *; };" >"$build/exports"
    # shellcheck disable=SC2086
    c++ -shared -o "$build/$name" $objects "$build/rest.o" "$@" -Wl,-soname,"$name" \
        -Wl,--version-script="$build/exports"
}

if [ ! -e "$build/made" ] || [ "$(find "$sources" "$0" -newer "$build/made" | wc -l)" -gt 0 ]; then
    library libcuda.so.1 "$CUDA_HOME/lib/stubs/libcuda.so" cu rules reader run driver
    library libcublas.so.13 "$CUDA_HOME/lib/libcublas.so.13" cublas cublas -- "$build/libcuda.so.1"
    library libcurand.so.10 "$CUDA_HOME/lib/libcurand.so.10" curand curand
    library libcudnn.so.9 "$CUDA_HOME/lib/libcudnn.so.9" cudnn cudnn -- "$build/libcuda.so.1"
    touch "$build/made"
fi
LD_LIBRARY_PATH=$build:$CUDA_HOME/lib exec "$@"

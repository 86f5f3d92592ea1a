#!/bin/sh
# Installs a CUDA toolkit without a driver into a folder, from public packages, so that the features `cuda` and
# `cudnn` can be built on a machine without a GPU:
#
#     sh tests/cuda/toolkit.sh DIRECTORY
#     . DIRECTORY/environment
#     cargo build --release --features cudnn
#
# Needs Python 3 with venv, a C compiler, 2.1 GB. The binary runs on machines with the driver (libcuda.so.1) and, for
# `cudnn`, libcudnn.so.9. On a machine without a GPU it runs on the CPU, with a stub driver that reports no device:
# LD_LIBRARY_PATH=$LIBRARY_PATH target/release/birnn ...
set -eu

directory=${1:?"usage: sh tests/cuda/toolkit.sh DIRECTORY"}
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)

python3 -m venv "$directory/python"
"$directory/python/bin/pip" install --quiet \
    'nvidia-cuda-nvcc>=13.0,<13.1' 'nvidia-nvvm>=13.0,<13.1' 'nvidia-cuda-crt>=13.0,<13.1' \
    'nvidia-cuda-runtime>=13.0,<13.1' 'nvidia-cuda-cccl>=13.0,<13.1' 'nvidia-cuda-nvrtc>=13.0,<13.1' \
    'nvidia-curand' 'nvidia-cublas<13.2' 'nvidia-cudnn-cu13>=9,<10'
packages=$(echo "$directory"/python/lib/python3*/site-packages/nvidia)
home=$packages/cu13
ln -sfn lib "$home/lib64"
ln -sf "$packages"/cudnn/include/* "$home/include/"
ln -sf "$packages"/cudnn/lib/* "$home/lib/"
# The linker expects names without a version.
for library in "$home"/lib/lib*.so.*; do
    name=$(basename "$library")
    ln -sf "$name" "$home/lib/${name%%.so.*}.so"
done

# The driver cannot be installed without a GPU: a stub library with the driver's functions, all of which report that
# there is no device (100).
cudarc=$(cd "$root" && cargo metadata --format-version 1 --locked --features cudnn |
    "$directory/python/bin/python" -c '
import json, sys
packages = json.load(sys.stdin)["packages"]
print(next(package["manifest_path"] for package in packages if package["name"] == "cudarc"))')
mkdir -p "$home/lib/stubs"
sed -n 's/^ *pub unsafe fn \(cu[A-Z][A-Za-z0-9_]*\).*/int \1(void) { return 100; }/p' \
    "$(dirname "$cudarc")/src/driver/sys/mod.rs" | sort -u >"$directory/driver.c"
cc -shared -fPIC -Wno-builtin-declaration-mismatch -Wl,-soname,libcuda.so.1 \
    -o "$home/lib/stubs/libcuda.so" "$directory/driver.c"
ln -sf libcuda.so "$home/lib/stubs/libcuda.so.1"

cat >"$directory/environment" <<ENVIRONMENT
export CUDA_HOME='$home' CUDA_PATH='$home' CUDA_ROOT='$home'
export PATH='$home/bin':"\$PATH"
export LIBRARY_PATH='$home/lib:$home/lib/stubs'
# Code for compute capability 8.0, which the driver compiles for any later one.
export CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-80} CUDARC_CUDA_VERSION=13000
ENVIRONMENT
echo "$(wc -l <"$directory/driver.c") functions of the driver; next: . $directory/environment"

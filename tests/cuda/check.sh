#!/bin/sh
# All checks that need an NVIDIA GPU: the kernels compared with those of the CPU, complete training runs, and
# training steps compared with PyTorch with cuDNN, in alternation on the same GPU.
#
#     sh tests/cuda/check.sh                                     # builds first, with the feature `cudnn`
#     sh tests/cuda/check.sh BIRNN TESTS                         # with a binary and tests/gpu.rs built elsewhere
#
# PyTorch is that of the `python3` in the path; without it the last part is skipped. Set IMDB to a folder of
# reviews (or to a hub id) to train configs/imdb.toml on them as well.
set -eu
cd "$(dirname "$0")/../.."

if [ $# -eq 0 ]; then
    cargo test --release --locked --features cudnn --test gpu -- --nocapture
    cargo build --release --locked --features cudnn
    birnn=target/release/birnn
else
    birnn=$1
    "$2" --nocapture
fi

runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
for cell in lstm gru rnn; do
    "$birnn" train --device cuda --set model.cell=$cell --out "$runs/$cell"
    "$birnn" eval --device cuda --model "$runs/$cell"
    # A model trained on the GPU is evaluated on the CPU.
    "$birnn" eval --device cpu --model "$runs/$cell"
done
for precision in tf32 bf16; do
    "$birnn" train --device cuda --set train.precision=$precision --out "$runs/$precision"
done
if [ -n "${IMDB:-}" ]; then
    "$birnn" train --device cuda --config configs/imdb.toml --data "$IMDB" --out "$runs/imdb"
fi

"$birnn" bench --device cuda
"$birnn" bench --device cuda --shape 64,256,512,512,1,30000
if python3 -c 'import torch' 2>/dev/null; then
    python3 benches/peers/compare.py --device cuda --birnn "$birnn" --rounds 3
else
    echo 'python3 has no PyTorch: the comparison is left out' >&2
fi

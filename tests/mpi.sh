#!/usr/bin/env bash
# Trains with several processes of MPI, and compares the bytes with those of one; kills one of them, interrupts all, and
# resumes with other numbers of processes.
#
#     tests/mpi.sh BIRNN
#
# BIRNN is a binary that was built with `--features mpi`; mpirun must be on the PATH.
set -euo pipefail
birnn=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export RAYON_NUM_THREADS=1 BIRNN_CACHE=$work/cache
# More processes than processors, also as root in a container. Other implementations of mpirun do not read these variables.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
export OMPI_MCA_rmaps_base_oversubscribe=1

ranks() {
    local size=$1
    shift
    mpirun -n "$size" "$birnn" "$@" >out.txt 2>err.txt || { cat out.txt err.txt; return 1; }
}

same() {
    cmp "$1/model.safetensors" "$2/model.safetensors"
    cmp "$1/config.json" "$2/config.json"
}

{
    echo 'text,label'
    for number in $(seq 300); do
        words=(fine warm witty lovely dull cold loud empty)
        word=${words[$((number % 8))]}
        label=$([ $((number % 8)) -lt 4 ] && echo good || echo bad)
        echo "a $word film of $number parts and $((number * 7 % 31)) scenes,$label"
    done
} >rows.csv
classifier=(train --data rows.csv --set train.folds=0 --set train.init_from=none --set train.epochs=2
    --set train.batch_size=8 --set train.accumulate=4 --set model.num_hiddens=24)
language=(pretrain --data rows.csv --set train.folds=0 --set model.embedding_size=12 --set model.num_hiddens=12
    --set pretrain.batch_tokens=200 --set pretrain.accumulate=4 --set pretrain.negatives=20 --set pretrain.epochs=2)

for kind in classifier language; do
    declare -n arguments=$kind
    "$birnn" "${arguments[@]}" --out "$kind-1" >/dev/null 2>&1
    for size in 1 2 4; do
        ranks "$size" "${arguments[@]}" --out "$kind-of-$size"
        same "$kind-1" "$kind-of-$size"
        echo "$kind, $size ranks: the bytes of one"
    done
done

# A run that is long enough to be killed in.
long=("${classifier[@]}" --set train.epochs=60 --set train.patience=0 --set train.checkpoint_every=10)
"$birnn" "${long[@]}" --out long >/dev/null 2>&1

begin() {
    rm -rf "$1"
    mpirun -n 3 "$birnn" "${long[@]}" --out "$1" >out.txt 2>err.txt &
    job=$!
    until [ -s "$1/metrics.jsonl" ]; do
        kill -0 "$job" || { cat out.txt err.txt; exit 1; }
        sleep 0.05
    done
    sleep 0.3
}
# Waits for the job to end, and for its processes.
ends() {
    local began=$SECONDS
    wait "$job" && { echo 'the job ended as if nothing had happened'; exit 1; }
    while pgrep -f "$birnn train.*--out $1( |\$)" >/dev/null; do
        [ $((SECONDS - began)) -lt 10 ] || { echo 'after 10 s processes still run'; exit 1; }
        sleep 0.1
    done
    echo "$1: all ended within $((SECONDS - began + 1)) s"
}

begin killed
# Not the first one, which writes.
kill -KILL "$(pgrep -f "^$birnn train.*--out killed" | tail -1)"
ends killed
ranks 2 train --resume --out killed
same long killed
echo 'a killed rank, resumed on 2: the bytes of one'

begin interrupted
kill -INT "$job"
ends interrupted
"$birnn" train --resume --out interrupted >/dev/null 2>&1
same long interrupted
echo 'interrupted, resumed on 1: the bytes of one'

begin first
kill -KILL "$(pgrep -f "^$birnn train.*--out first" | head -1)"
ends first
ranks 4 train --resume --out first
same long first
echo 'the first rank killed, resumed on 4: the bytes of one'

# A process that cannot go on ends all.
if timeout 60 mpirun -n 1 "$birnn" "${classifier[@]}" --out fails : -n 1 "$birnn" "${classifier[@]}" --data missing.csv \
    --out fails >out.txt 2>err.txt; then
    echo 'a missing file was not noticed'
    exit 1
fi
grep -a 'rank 1: error: missing.csv' err.txt
! pgrep -f "$birnn train.*--out fails" >/dev/null
echo 'a rank that fails: all ended'

ranks 2 train --data rows.csv --set train.epochs=7 --print-config
[ "$(grep -c '^epochs = 7$' out.txt)" = 1 ]
echo 'the config is printed once'

# shellcheck disable=SC2016
mpirun -n 2 bash -c '"$0" "$@" --alone --seed "$OMPI_COMM_WORLD_RANK" --out "alone-$OMPI_COMM_WORLD_RANK"' \
    "$birnn" "${classifier[@]}" >out.txt 2>err.txt || { cat out.txt err.txt; exit 1; }
same classifier-1 alone-0
[ -s alone-1/model.safetensors ]
echo 'two that are alone: the bytes of one'

# What differs is refused by all.
cp rows.csv other.csv
if mpirun -n 1 "$birnn" "${classifier[@]}" --out differs : -n 1 "$birnn" "${classifier[@]}" --data other.csv --out differs \
    >out.txt 2>err.txt; then
    echo 'ranks with different arguments were not refused'
    exit 1
fi
grep -a 'rank 1: error: ranks: rank 1 and rank 0 differ in the config' err.txt

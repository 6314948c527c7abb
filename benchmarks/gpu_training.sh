#!/bin/sh
# Trains a large teacher and then a small student on one GPU, within nine minutes.
#
#     benchmarks/gpu_training.sh            # trains a wide-resnet, and a resnet-20 that learns from it
#     benchmarks/gpu_training.sh rates      # prints how many images a second garment-net and weighted-cnn train on
#
# It needs JAX with CUDA and the packages that `cli train` needs, without TensorFlow. Missing packages can
# be put into the folder $WHEELS as wheels. The data set is found, downloaded, or read from the folder $DATA_DIR.
# What is worth keeping is written to the folder $OUT; no file has more than 2 MB, since the teacher's weights stay
# behind. The student is converted on any computer with TensorFlow:
#
#     mkdir -p runs/student && for f in model.keras config.json history.json metrics.json; do
#         cp "$OUT/student-$f" runs/student/$f; done
#     cli convert runs/student --int8
#     cli rebalance runs/student --target-recall Shirt=0.92 --target-recall all=0.88 -o runs/student-balanced
#
# SMALL=1 tries the same commands with two epochs of 2,000 images and small networks, which works on a CPU too.
# STUDENT=garment-net trains another student. MINUTES=9 is the time for all of it; with less than 6 minutes, nothing
# is left for the student. OPTIONS are further options of every training.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
RUNS=${RUNS:-runs/gpu}
OUT=${OUT:-$RUNS/out}
STUDENT=${STUDENT:-resnet-20}
TEACHER=${TEACHER:-wide-resnet}
END=$(($(date +%s) + ${MINUTES:-9} * 60))
RESERVED=45 # seconds at the end, for copying and for the table of rates
SHORTEST=60 # seconds of the student's training; the half of it is for compiling (benchmarks/training_rate.py)
export KERAS_BACKEND=jax
mkdir -p "$RUNS" "$OUT"
JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$(cd "$RUNS" && pwd)/compiled}
export JAX_COMPILATION_CACHE_DIR

# The root of the repository is the package garmentlite, which Python finds by a link. The link lies outside of the
# repository, so that no tool walks through the repository in a circle.
PACKAGES=$(mktemp -d)
trap 'rm -rf "$PACKAGES"' EXIT
ln -s "$PWD" "$PACKAGES/garmentlite"
export PYTHONPATH="$PACKAGES${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "${WHEELS:-}" ]; then
    "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$PACKAGES" "$WHEELS"/*.whl
fi

OPTIONS="--mixed-precision --seed 1 ${DATA_DIR:+--data-dir $DATA_DIR} ${OPTIONS:-}"
TAUGHT="--network $STUDENT --teacher $RUNS/teacher --teacher-sees augmented --cutmix 0.5"
if [ -n "${SMALL:-}" ]; then
    TEACHER=lenet-bn # learns something in 40 steps
    TAUGHT="--network lenet-bn --teacher $RUNS/teacher --teacher-sees augmented --cutmix 0.5"
    OPTIONS="$OPTIONS --images 2000 --batch-size 100 --images-on-device"
fi

# train SECONDS FOLDER OPTION... trains for so long at most. A run that is out of time keeps the weights so far,
# and has not read the test set. The signal is that of Ctrl-C, which a shell in the background would ignore.
train() {
    seconds=$1 folder=$2
    shift 2
    echo "== $folder: at most $seconds s"
    # shellcheck disable=SC2086 # the options are words
    env --default-signal=INT timeout --signal=INT --kill-after=60 "$seconds" \
        "$PYTHON" cli.py train $OPTIONS --force -o "$RUNS/$folder" "$@" || echo "== $folder: status $?"
}

small() { train 3600 "$@" --epochs 2; }

print_rates() { "$PYTHON" benchmarks/training_rate.py "$@" | tee "$OUT/rates.md"; }

if [ "${1:-}" = rates ]; then
    if [ -n "${SMALL:-}" ]; then
        small weighted-cnn --network lenet-bn
        small garment-net --network lenet-bn
    else
        train 75 weighted-cnn --network weighted-cnn
        train 75 garment-net --network garment-net --epochs 8
    fi
    print_rates "$RUNS/weighted-cnn" "$RUNS/garment-net"
    exit
fi

# shellcheck disable=SC2086
if [ -n "${SMALL:-}" ]; then
    small teacher --network $TEACHER
    small student $TAUGHT
else
    train 180 teacher --network "$TEACHER"
    # A trial measures how many epochs fit into the time that is left; its compiled program is used again.
    train 75 trial $TAUGHT --epochs 1000
    left=$((END - $(date +%s) - RESERVED))
    if [ "$left" -lt "$SHORTEST" ]; then
        echo "The teacher and the trial took so long that $left s are left for the student, which needs $SHORTEST s at" \
            "least; start again with more time than MINUTES=${MINUTES:-9}, or with a smaller TEACHER." >&2
        exit 1
    fi
    epochs=$("$PYTHON" benchmarks/training_rate.py "$RUNS/trial" --epochs-in "$left" || echo 47)
    train "$left" student $TAUGHT --epochs "$epochs"
fi

for name in model.keras config.json history.json metrics.json; do
    if [ -e "$RUNS/student/$name" ]; then cp "$RUNS/student/$name" "$OUT/student-$name"; fi
done
for name in config.json history.json; do
    cp "$RUNS/teacher/$name" "$OUT/teacher-$name"
done
print_rates "$RUNS/teacher" "$RUNS/student"

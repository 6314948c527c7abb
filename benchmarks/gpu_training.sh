#!/bin/sh
# Trains a large teacher and then a small student on one GPU, within nine minutes.
#
#     benchmarks/gpu_training.sh            # a wide-resnet, and the student resnet-20 that learns from it
#     benchmarks/gpu_training.sh rates      # how many images a second garment-net and weighted-cnn are trained with
#
# It needs JAX with CUDA and the packages that `cli train` needs, without TensorFlow. Missing packages can
# be put into the folder $WHEELS as wheels. The data set is found, downloaded, or read from the folder $DATA_DIR.
# What is worth keeping is written to the folder $OUT; no file has more than 2 MB, since the teacher's weights stay
# behind. Put the student's files into a folder to convert it on any computer:
#
#     cli convert runs/gpu/student --int8
#
# SMALL=1 tries everything with two epochs of 2,000 images and a smaller teacher, on a CPU too.
# STUDENT=garment-net trains another student. MINUTES=9 is the time for all of it.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
RUNS=${RUNS:-runs/gpu}
OUT=${OUT:-$RUNS/out}
STUDENT=${STUDENT:-resnet-20}
TEACHER=${TEACHER:-wide-resnet}
END=$(($(date +%s) + ${MINUTES:-9} * 60))
export KERAS_BACKEND=jax
export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-$PWD/$RUNS/compiled}"
mkdir -p "$RUNS" "$OUT"

# The root of the repository is the package garmentlite, which Python finds by a link.
mkdir -p "$RUNS/path"
ln -sfn "$PWD" "$RUNS/path/garmentlite"
export PYTHONPATH="$PWD/$RUNS/path${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "${WHEELS:-}" ]; then
    "$PYTHON" -m pip install --quiet --no-index --no-deps --target "$RUNS/site" "$WHEELS"/*.whl
    export PYTHONPATH="$PYTHONPATH:$PWD/$RUNS/site"
fi

OPTIONS="--mixed-precision ${DATA_DIR:+--data-dir $DATA_DIR}"
TAUGHT="--teacher-sees augmented --cutmix 0.5"
TRIAL_SECONDS=45 RATE_SECONDS=75
if [ -n "${SMALL:-}" ]; then
    TEACHER=garment-net-wide
    TRIAL_SECONDS=240 RATE_SECONDS=240
    OPTIONS="$OPTIONS --images 2000 --batch-size 100 --images-on-device"
fi

# train SECONDS FOLDER OPTION... trains for so long at most. A run that is out of time keeps the weights so far,
# and has not read the test set.
train() {
    seconds=$1 folder=$2
    shift 2
    echo "== $folder: at most $seconds s"
    # shellcheck disable=SC2086 # the options are words
    timeout --signal=INT --kill-after=20 "$seconds" "$PYTHON" cli.py train $OPTIONS --force -o "$RUNS/$folder" "$@" ||
        echo "== $folder ended with status $?"
}

keep() {
    for name in model.keras config.json history.json metrics.json; do
        if [ -e "$RUNS/$1/$name" ]; then cp "$RUNS/$1/$name" "$OUT/$1-$name"; fi
    done
}

if [ "${1:-}" = rates ]; then
    train "$RATE_SECONDS" weighted-cnn --network weighted-cnn ${SMALL:+--epochs 2}
    train "$RATE_SECONDS" garment-net --network garment-net --epochs ${SMALL:-8}
    "$PYTHON" benchmarks/training_rate.py "$RUNS/weighted-cnn" "$RUNS/garment-net" | tee "$OUT/rates.md"
    exit
fi

train 180 teacher --network "$TEACHER" --seed 1 ${SMALL:+--epochs 2}
TAUGHT="$TAUGHT --teacher $RUNS/teacher --network $STUDENT --seed 1"
# A trial measures how many epochs fit into the time that is left. Its compiled program is used again.
# shellcheck disable=SC2086
train "$TRIAL_SECONDS" trial $TAUGHT --epochs 1000
left=$((END - $(date +%s) - 15))
epochs=${SMALL:+2}
epochs=${epochs:-$("$PYTHON" benchmarks/training_rate.py "$RUNS/trial" --epochs-in "$left")}
# shellcheck disable=SC2086
train "$left" student $TAUGHT --epochs "$epochs"

keep student
cp "$RUNS/teacher/config.json" "$OUT/teacher-config.json"
cp "$RUNS/teacher/history.json" "$OUT/teacher-history.json"
"$PYTHON" benchmarks/training_rate.py "$RUNS/teacher" "$RUNS/student" | tee "$OUT/rates.md"

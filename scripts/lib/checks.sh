# shellcheck shell=bash
# Proofs that are no ordinary tests, because the crate is built in another way for each: loom, ThreadSanitizer, mutants.
#
# Sourced. Each check needs `root`, `target_dir` and `report`, appends a line to the report and fails when it failed.
# shellcheck disable=SC2154

# note_promise PROMISE RUNS FAULTS KINDS FAULT...: a line of the report; without a FAULT the promise was kept.
note_promise() {
    local promise=$1 runs=$2 faults=$3 kinds=$4 kept=true verdict=kept
    shift 4
    if (($# > 0)); then kept=false verdict="broken: $*"; fi
    printf '{"promise":"%s","runs":%d,"faults":%d,"fault_kinds":"%s","lost":0,"duplicated":0,"kept":%s,"verdict":"%s"}\n' \
        "$promise" "$runs" "$faults" "$kinds" "$kept" "$verdict" >>"$report"
    [[ $kept == true ]]
}

# passed_in LOG: how many tests passed, by all summaries of libtest in it.
passed_in() {
    awk '/^test result: / { for (i = 2; i <= NF; i++) if ($i ~ /^passed/) sum += $(i - 1) } END { print sum + 0 }' "$1"
}

# Every order of steps of our own atomics, and weakened twins that must fail.
check_model() {
    local log="$target_dir/loom.log" faults=()
    CARGO_TARGET_DIR="$target_dir/loom" RUSTFLAGS="--cfg loom" \
        cargo test -p feedd-core --test loom --release 2>&1 | tee "$log" || faults+=("loom found a fault")
    local passed twins
    passed=$(passed_in "$log")
    twins=$(grep -c '^test twin_.* ok$' "$log") || true
    ((twins > 0)) || faults+=("no weakened twin was caught")
    note_promise P10 "$passed" "$twins" "weakened twins, under loom" "${faults[@]}"
}

has_nightly() {
    cargo +nightly --version >/dev/null 2>&1
}

# The stress test under ThreadSanitizer, and a racy twin that it must report.
check_races() {
    local log="$target_dir/tsan.log" faults=()
    local build=(cargo +nightly test -p feedd-core --target x86_64-unknown-linux-gnu)
    # The standard library comes without the sanitizer: the flag allows that, the suppressions name what it costs.
    local flags="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer"
    local options="suppressions=$root/scripts/lib/tsan.supp"
    # The tests' own lines would look like those of the ordinary build.
    local environment=(env -u FEEDD_PROMISE_REPORT CARGO_TARGET_DIR="$target_dir/tsan" RUSTFLAGS="$flags"
        TSAN_OPTIONS="$options")
    "${environment[@]}" "${build[@]}" --test stress 2>&1 | tee "$log" || faults+=("the stress test failed")
    if grep -q 'WARNING: ThreadSanitizer' "$log"; then faults+=("ThreadSanitizer reports"); fi
    local passed
    passed=$(passed_in "$log")
    ((passed > 0)) || faults+=("no stress test ran")
    if "${environment[@]}" "${build[@]}" --test racy_twin -- --ignored >"$log.twin" 2>&1 ||
        ! grep -q 'SUMMARY: ThreadSanitizer: data race .*racy_twin' "$log.twin"; then
        tail -n 20 "$log.twin"
        faults+=("the racy twin was not reported")
    fi
    note_promise P10 "$passed" 1 "racy twin, under ThreadSanitizer" "${faults[@]}"
}

has_mutants() {
    cargo mutants --version >/dev/null 2>&1
}

# Every small change of the accounting must make a test of the crate fail.
check_mutants() {
    local out="$target_dir/mutants" faults=() kind
    local -A count=()
    # In a copy of the tree, with the tests at their everyday size.
    env -u CARGO_TARGET_DIR -u FEEDD_SOAK -u FEEDD_PROMISE_REPORT cargo mutants --package feedd-core \
        --file 'crates/core/src/account*.rs' --test-tool nextest --output "$out" --no-shuffle ||
        faults+=("mutants survived, see $out/mutants.out/missed.txt")
    for kind in caught missed timeout unviable; do
        count[$kind]=$(grep -c . "$out/mutants.out/$kind.txt" 2>/dev/null) || true
    done
    echo "mutants: ${count[caught]} caught, ${count[missed]} missed, ${count[timeout]} timed out, ${count[unviable]} not built"
    note_promise P3 "$((count[caught] + count[missed] + count[timeout]))" "${count[caught]}" "mutants of the accounting" \
        "${faults[@]}"
}

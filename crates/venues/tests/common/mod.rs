//! Where recorded test data lies.

use std::path::PathBuf;

/// The folder of recorded data: `$FEEDD_SHARED`, default `../shared` beside the workspace. `None`, with a printed note,
/// when it is not there; a failure on CI, where it must be.
pub(crate) fn shared() -> Option<PathBuf> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = std::env::var_os("FEEDD_SHARED").map_or_else(default, PathBuf::from);
    if folder.join("captures").is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "no recorded data in {}", folder.display());
    eprintln!("skipped: no recorded data in {} (set FEEDD_SHARED)", folder.display());
    None
}

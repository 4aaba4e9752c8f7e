//! Which files a path stands for, and which venue a capture came from.

use super::CaptureError;
use std::path::{Path, PathBuf};

/// The captures under `path`, sorted: the file itself, or every `*.jsonl` and `*.jsonl.zst` of a folder and the folders
/// in it. Linked folders are not followed, so the walk ends. Opens no file: a named pipe would lose its writer by that. A
/// pipe in a folder is passed over.
///
/// # Errors
/// [`CaptureError::Open`] when something cannot be looked at, [`CaptureError::NoCaptures`] when a folder holds none.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, CaptureError> {
    let metadata = std::fs::metadata(path).map_err(|source| open_error(path, source))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|source| open_error(&folder, source))? {
            let entry = entry.map_err(|source| open_error(&folder, source))?;
            let path = entry.path();
            if entry.file_type().map_err(|source| open_error(&path, source))?.is_dir() {
                folders.push(path);
            } else if is_capture(&path) && path.is_file() {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        return Err(CaptureError::NoCaptures { path: path.to_owned() });
    }
    found.sort();
    Ok(found)
}

fn is_capture(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    name.ends_with(".jsonl") || name.ends_with(".jsonl.zst")
}

fn open_error(path: &Path, source: std::io::Error) -> CaptureError {
    CaptureError::Open { path: path.to_owned(), source }
}

/// The name of the folder a capture lies in: by convention its venue.
#[must_use]
pub fn venue_of(path: &Path) -> Option<String> {
    let absolute = std::path::absolute(path).ok()?;
    Some(absolute.parent()?.file_name()?.to_str()?.to_owned())
}

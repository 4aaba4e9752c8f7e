//! Secrets: the configuration says where one lies, never what it is.

use crate::postgres::Postgres;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A text that nothing prints: `Debug` and `Display` show `***`.
pub struct Secret(String);

/// Where a secret lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// A file that its owner alone can read; one newline at its end does not count.
    File(PathBuf),
    /// An environment variable, by its name.
    Variable(String),
    /// A credential of the service manager: a file of this name below `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// Why a secret could not be read. Never holds what was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file could not be opened or read.
    #[error("cannot read {}; name a file that holds the secret alone", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Users other than its owner have rights to the file.
    #[error("{} is open to other users (mode {mode:04o}); take their rights away: chmod 600", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// The variable is not set, or is no text.
    #[error("environment variable {name} is not set to a text; set it, or name another")]
    NoVariable {
        /// Its name.
        name: String,
    },
    /// There is no folder of credentials.
    #[error("no credential {name:?}: CREDENTIALS_DIRECTORY is not set; add LoadCredential={name}:PATH to the service")]
    NoCredentials {
        /// Name of the credential.
        name: String,
    },
    /// Nothing stands there.
    #[error("{from} is empty; write the secret into it")]
    Empty {
        /// Where.
        from: SecretRef,
    },
}

impl Secret {
    /// Takes a text that is not to be printed.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one who needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl SecretRef {
    /// Reads what it refers to; `env` gives the value of an environment variable.
    ///
    /// # Errors
    /// [`SecretError`] with the place and the remedy.
    pub fn read(&self, env: impl Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
        let text = match self {
            Self::File(path) => read_private(path)?,
            Self::Variable(name) => env(name).ok_or_else(|| SecretError::NoVariable { name: name.clone() })?,
            Self::Credential(name) => {
                let folder = env(CREDENTIALS_DIRECTORY).filter(|folder| !folder.is_empty());
                let folder = folder.ok_or_else(|| SecretError::NoCredentials { name: name.clone() })?;
                let path = Path::new(&folder).join(name);
                // Its folder is private; the rights of the file are the service manager's business.
                open(&path).and_then(read_text).map_err(|source| SecretError::Unreadable { path, source })?
            }
        };
        let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err(SecretError::Empty { from: self.clone() });
        }
        Ok(Secret(text.to_owned()))
    }
}

impl Postgres {
    /// Reads the password, when one is named; `env` gives the value of an environment variable.
    ///
    /// # Errors
    /// [`SecretError`] with the place and the remedy.
    pub fn secret(&self, env: impl Fn(&str) -> Option<String>) -> Result<Option<Secret>, SecretError> {
        self.password.as_ref().map(|password| password.read(env)).transpose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}

fn read_private(path: &Path) -> Result<String, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let file = open(path).map_err(unreadable)?;
    // The rights of the very file that is read.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(SecretError::Open { path: path.to_owned(), mode });
    }
    read_text(file).map_err(unreadable)
}

/// Opens a plain file: a pipe would wait for its writer.
fn open(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    File::open(path)
}

fn read_text(file: File) -> io::Result<String> {
    let mut text = String::new();
    let length = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > SECRET_BYTES_MAX) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too long for a secret"));
    }
    Ok(text)
}

/// Rights of the group and of everybody else.
const OTHERS: u32 = 0o077;
/// Far above any password, far below what a wrongly named file may hold.
const SECRET_BYTES_MAX: u64 = 64 << 10;
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

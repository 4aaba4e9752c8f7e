//! Whether a configuration fits the machine it is to run on: cores, folders, captures, decoders.

use crate::admin::Admin;
use crate::choice::SinkKind;
use crate::postgres::Postgres;
use crate::reader::Reader;
use crate::schema::Config;
use crate::secret::SecretRef;
use crate::source::{Capture, Core, SourceKind, Speed};
use crate::suggest::nearest;
use crate::tree::Origin;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// What the types cannot know.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Cores this process may use, as the system numbers them.
    pub cores: &'a [usize],
    /// Venues that have a decoder.
    pub venues: &'a [&'a str],
}

/// Notes what does not fit. Looks at files and folders, and leaves nothing behind.
pub(crate) fn examine(config: &Config, machine: &Machine<'_>, reader: &mut Reader) {
    examine_cores(config, machine, reader);
    let has_data_dir = examine_folder(&["data.dir"], &config.data.dir, reader);
    if config.has_sink(SinkKind::Parquet) && config.parquet.dir != config.data.dir {
        examine_folder(&["parquet.dir"], &config.parquet.dir, reader);
    }
    // Below a folder that is a fault already, the journal's is no other one.
    if config.is_journalled() && (has_data_dir || !config.journal.dir.starts_with(&config.data.dir)) {
        examine_journal(config, reader);
    }
    if config.has_sink(SinkKind::Postgres) {
        examine_postgres(&config.postgres, reader);
    }
    examine_admin(&config.admin, reader);
    let webhook = &config.alerts.webhook;
    examine_secret("alerts.webhook.token_file", webhook.token.as_ref(), reader);
    examine_pem_file("alerts.webhook.ca_file", webhook.ca_file.as_deref(), "certificates", reader);
    for (i, source) in config.sources.iter().enumerate() {
        match &source.kind {
            SourceKind::Capture(capture) => examine_capture(i, capture, machine, reader),
            SourceKind::Venue(venue) => {
                examine_pem_file(&format!("source.{i}.ca_file"), venue.ca_file.as_deref(), "certificates", reader);
            }
            SourceKind::Sim(_) => {}
        }
    }
    if config.tape.enabled && (has_data_dir || !config.tape.dir.starts_with(&config.data.dir)) {
        examine_folder(&["tape.dir", "data.dir"], &config.tape.dir, reader);
    }
}

fn examine_cores(config: &Config, machine: &Machine<'_>, reader: &mut Reader) {
    let sources = config.sources.iter().enumerate().map(|(i, source)| (format!("source.{i}.core"), source.core));
    let mut taken: Vec<(usize, String)> = Vec::new();
    for (key, core) in std::iter::once(("batching.core".to_owned(), config.batching.core)).chain(sources) {
        let Core::Pinned(core) = core else { continue };
        let (origin, _) = reader.origin_of(&[&key]);
        if !machine.cores.contains(&core) {
            let cores = machine.cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message =
                format!("no core {core} for this process; there are {cores}; choose one, \"auto\" or \"none\"");
            reader.fault(origin, &key, message);
        } else if let Some((_, other)) = taken.iter().find(|(other, _)| *other == core) {
            let message = format!("core {core} is given to {other}, too; choose another, \"auto\" or \"none\"");
            reader.fault(origin, &key, message);
        } else {
            taken.push((core, key));
        }
    }
}

/// Whether the folder can be written to. The first of `keys` that was given is to blame when it cannot.
fn examine_folder(keys: &[&str], folder: &Path, reader: &mut Reader) -> bool {
    let Err(reason) = probe_folder(folder) else { return true };
    let (origin, key) = reader.origin_of(keys);
    let message =
        format!("cannot write to {}: {reason}; choose a folder that this user can write to", folder.display());
    reader.fault(origin, &key, message);
    false
}

/// The journal locks its folder, and takes every file in it for its own.
fn examine_journal(config: &Config, reader: &mut Reader) {
    let dir = &config.journal.dir;
    let others = [("data.dir", &config.data.dir), ("parquet.dir", &config.parquet.dir)];
    if let Some((other, _)) = others.iter().find(|(_, other)| *other == dir) {
        let (origin, key) = reader.origin_of(&["journal.dir", other]);
        let message = format!("{} is {other}, too; give the journal a folder of its own", dir.display());
        reader.fault(origin, &key, message);
    } else {
        examine_folder(&["journal.dir", "data.dir"], dir, reader);
    }
}

fn examine_postgres(postgres: &Postgres, reader: &mut Reader) {
    examine_secret("postgres.password_file", postgres.password.as_ref(), reader);
    examine_pem_file("postgres.tls_ca", postgres.tls_ca.as_deref(), "certificates", reader);
}

fn examine_admin(admin: &Admin, reader: &mut Reader) {
    examine_secret("admin.token_file", admin.token.as_ref(), reader);
    examine_pem_file("admin.tls_certificate", admin.tls_certificate.as_deref(), "certificates", reader);
    examine_pem_file("admin.tls_key", admin.tls_key.as_deref(), "the private key", reader);
}

/// Variables and credentials belong to the service, a check may run elsewhere; a file's rights are the same for all.
fn examine_secret(key: &str, secret: Option<&SecretRef>, reader: &mut Reader) {
    if let Some(secret @ SecretRef::File(_)) = secret
        && let Err(error) = secret.read(|_| None)
    {
        let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
        let (origin, key) = reader.origin_of(&[key]);
        reader.fault(origin, &key, format!("{error}{cause}"));
    }
}

fn examine_pem_file(key: &str, path: Option<&Path>, what: &str, reader: &mut Reader) {
    if let Some(path) = path
        && let Err(cause) = fs::read(path)
    {
        let (origin, key) = reader.origin_of(&[key]);
        let message = format!("cannot read {}: {cause}; name a file of {what} (PEM)", path.display());
        reader.fault(origin, &key, message);
    }
}

/// Writes and removes a file in the folder, or in the nearest one above it that exists: there it would be created.
fn probe_folder(folder: &Path) -> Result<(), String> {
    for folder in folder.ancestors() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match fs::metadata(folder) {
            Ok(metadata) if !metadata.is_dir() => return Err(format!("{} is not a folder", folder.display())),
            Ok(_) => return probe_file(folder).map_err(|cause| format!("{}: {cause}", folder.display())),
            Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(cause) => return Err(format!("{}: {cause}", folder.display())),
        }
    }
    Err("no folder above it exists".to_owned())
}

fn probe_file(folder: &Path) -> io::Result<()> {
    let probe = folder.join(format!(".feedd-probe-{}", std::process::id()));
    match fs::OpenOptions::new().write(true).create_new(true).open(&probe) {
        // Whoever made it could write here as this process.
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(cause),
        Ok(_) => fs::remove_file(&probe),
    }
}

fn examine_capture(index: usize, capture: &Capture, machine: &Machine<'_>, reader: &mut Reader) {
    let key = format!("source.{index}.path");
    let (origin, _) = reader.origin_of(&[&key]);
    for path in &capture.paths {
        let is_file = match open(path) {
            Ok(is_file) => is_file,
            Err(cause) => {
                let message = format!("cannot read {}: {cause}; name a recording or a folder of them", path.display());
                reader.fault(origin.clone(), &key, message);
                continue;
            }
        };
        // The folders of a tree of recordings are looked at when they are read.
        if is_file && capture.venue.is_none() {
            let folder = venue_folder(path);
            if !machine.venues.contains(&folder.as_str()) {
                let message = format!("{} lies in folder {folder:?}, which is no venue; set venue", path.display());
                reader.fault(origin.clone(), &key, message);
            }
        }
    }
    if let Some(venue) = &capture.venue {
        examine_venue(index, venue, machine, reader);
    }
    let is_pipe = |path: &&PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
    if capture.speed != Speed::Max
        && let Some(pipe) = capture.paths.iter().find(is_pipe)
    {
        let key = format!("source.{index}.speed");
        let (origin, _) = reader.origin_of(&[&key]);
        let pipe = pipe.display();
        let message =
            format!("{pipe} is a named pipe, which is taken as its writer sends it; leave speed out, or \"max\"");
        reader.fault(origin, &key, message);
    }
}

/// Whether the path is a file; an error when it cannot be opened. A named pipe is a file that is not opened: that would
/// wait for its writer, and closing it again would break the writer.
fn open(path: &Path) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return fs::read_dir(path).map(|_| false);
    }
    if metadata.file_type().is_fifo() {
        return Ok(true);
    }
    fs::File::open(path).map(|_| true)
}

/// Name of the folder a file lies in, also when the path does not say it.
fn venue_folder(file: &Path) -> String {
    let full = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    full.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
}

fn examine_venue(index: usize, venue: &str, machine: &Machine<'_>, reader: &mut Reader) {
    if machine.venues.contains(&venue) {
        return;
    }
    let key = format!("source.{index}.venue");
    let (origin, _): (Origin, _) = reader.origin_of(&[&key]);
    let message = match nearest(venue, machine.venues.iter().copied()) {
        Some(near) => format!("unknown venue {venue:?}, did you mean {near:?}?"),
        None => format!("unknown venue {venue:?}; there are {}", machine.venues.join(", ")),
    };
    reader.fault(origin, &key, message);
}

//! A simulated disk that loses power, for tests: [`crate::Journal::open_on`] opens a journal on it.
//!
//! Stricter than a real one. What is written stays pending per 512-byte sector until the file is synced; a power cut keeps
//! any subset of the pending sectors, in any of their versions, and any subset of the pending changes of names. After a
//! failed sync the pending data is gone for good, while a later sync reports success and reading may still show it, as
//! Linux does.

use crate::disk::{Disk, DiskFile};
use feedd_core::{FolderLock, LockError};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR_BYTES: usize = 512;

/// What a chosen call does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device reports an error.
    Eio,
    /// The disk is full.
    NoSpace,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<Sim>>);

#[derive(Debug)]
struct Sim {
    random: Random,
    files: BTreeMap<u64, SimInode>,
    next_file: u64,
    names: BTreeMap<PathBuf, u64>,
    names_durable: BTreeMap<PathBuf, u64>,
    names_pending: Vec<NameChange>,
    bytes_max: u64,
    calls: u64,
    /// The power fails when this many calls have been made.
    calls_max: Option<u64>,
    /// From which call, how many, what.
    fault: Option<(u64, u64, Fault)>,
    is_off: bool,
    /// Handles from before the last power cut are dead.
    power_cycle: u64,
    loses_sync_data: bool,
    loses_sync_dir: bool,
}

#[derive(Debug, Default)]
struct SimInode {
    visible: Vec<u8>,
    durable: Vec<u8>,
    /// Versions of each sector since the last sync, oldest first.
    pending: BTreeMap<usize, Vec<[u8; SECTOR_BYTES]>>,
    is_length_pending: bool,
}

#[derive(Debug)]
enum NameChange {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// SplitMix64: the same seed, the same run.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or(0)
    }
}

impl SimDisk {
    /// An empty disk without a limit; `seed` decides what power cuts keep.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Sim {
            random: Random(seed),
            files: BTreeMap::new(),
            next_file: 1,
            names: BTreeMap::new(),
            names_durable: BTreeMap::new(),
            names_pending: Vec::new(),
            bytes_max: u64::MAX,
            calls: 0,
            calls_max: None,
            fault: None,
            is_off: false,
            power_cycle: 0,
            loses_sync_data: false,
            loses_sync_dir: false,
        })))
    }

    /// Room for so many bytes of files.
    pub fn set_bytes_max(&self, bytes_max: u64) {
        self.sim().bytes_max = bytes_max;
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes_used(&self) -> u64 {
        self.sim().bytes_used()
    }

    /// Calls that change something, made so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.sim().calls
    }

    /// The power fails after `calls` further calls: everything fails then, until [`SimDisk::power_cut`].
    pub fn fail_power_after(&self, calls: u64) {
        let mut sim = self.sim();
        sim.calls_max = Some(sim.calls + calls);
    }

    /// After `calls` further calls, the next `count` fail.
    pub fn fail_calls(&self, calls: u64, count: u64, fault: Fault) {
        let mut sim = self.sim();
        sim.fault = Some((sim.calls + calls + 1, count, fault));
    }

    /// Puts a file on the disk, durable, in place of one of that name.
    pub fn put(&self, path: &Path, contents: &[u8]) {
        let mut sim = self.sim();
        let file = sim.next_file;
        sim.next_file += 1;
        let inode = SimInode { visible: contents.to_vec(), durable: contents.to_vec(), ..SimInode::default() };
        sim.files.insert(file, inode);
        sim.names.insert(path.to_owned(), file);
        sim.names_durable.insert(path.to_owned(), file);
    }

    /// Whether a chosen call has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let sim = self.sim();
        sim.fault.is_some_and(|(from, _, _)| sim.calls >= from)
    }

    /// A disk whose syncs of files do nothing, or whose syncs of folders do: what a journal without them would be.
    pub fn lose_syncs(&self, of_data: bool, of_names: bool) {
        let mut sim = self.sim();
        (sim.loses_sync_data, sim.loses_sync_dir) = (of_data, of_names);
    }

    /// Cuts the power and switches it on again: pending changes are kept or lost at random, open files are dead, planned
    /// faults are forgotten.
    pub fn power_cut(&self) {
        let mut sim = self.sim();
        let sim = &mut *sim;
        // Some cuts lose everything pending, some nothing, most a part.
        let keep_percent = [0, 100, 50, 80, 20][sim.random.below(5)];
        for file in sim.files.values_mut() {
            file.cut(&mut sim.random, keep_percent);
        }
        for change in std::mem::take(&mut sim.names_pending) {
            if sim.random.below(100) < keep_percent {
                change.apply(&mut sim.names_durable);
            }
        }
        sim.names = sim.names_durable.clone();
        let names = &sim.names;
        sim.files.retain(|file, _| names.values().any(|named| named == file));
        sim.power_cycle += 1;
        (sim.is_off, sim.calls_max, sim.fault) = (false, None, None);
    }

    /// Contents of a file, as the running system shows them.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let sim = self.sim();
        sim.names.get(path).and_then(|file| sim.files.get(file)).map(|file| file.visible.clone())
    }

    /// Names of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.sim().names.keys().cloned().collect()
    }

    fn sim(&self) -> MutexGuard<'_, Sim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sim {
    fn bytes_used(&self) -> u64 {
        self.names.values().filter_map(|file| self.files.get(file)).map(|file| file.visible.len() as u64).sum()
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    /// Counts a call that changes something; the fault it is to have.
    fn call(&mut self) -> io::Result<Option<Fault>> {
        if self.calls_max.is_some_and(|max| self.calls >= max) {
            self.is_off = true;
        }
        self.check_power()?;
        self.calls += 1;
        let calls = self.calls;
        Ok(self.fault.filter(|(from, count, _)| (*from..*from + *count).contains(&calls)).map(|(_, _, fault)| fault))
    }

    /// As [`Sim::call`], for calls that fail without doing a part of their work.
    fn whole_call(&mut self) -> io::Result<()> {
        self.call()?.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn grow(&mut self, file: u64, bytes: u64) -> io::Result<()> {
        let used = self.bytes_used();
        let Some(inode) = self.files.get_mut(&file) else { return Err(io::ErrorKind::NotFound.into()) };
        let more = bytes.saturating_sub(inode.visible.len() as u64);
        if more > 0 {
            if used + more > self.bytes_max {
                return Err(Fault::NoSpace.error());
            }
            inode.visible.resize(usize::try_from(bytes).unwrap_or(usize::MAX), 0);
            inode.is_length_pending = true;
        }
        Ok(())
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Eio => io::Error::other("input/output error"),
            Self::NoSpace => io::ErrorKind::StorageFull.into(),
        }
    }
}

impl SimInode {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        self.visible[offset..offset + bytes.len()].copy_from_slice(bytes);
        for sector in offset / SECTOR_BYTES..(offset + bytes.len()).div_ceil(SECTOR_BYTES) {
            let version = sector_of(&self.visible, sector);
            self.pending.entry(sector).or_default().push(version);
        }
    }

    fn sync(&mut self) {
        self.durable.clone_from(&self.visible);
        self.pending.clear();
        self.is_length_pending = false;
    }

    /// What is pending never becomes durable; `forgotten`: it is not shown any more either.
    fn lose_pending(&mut self, forgotten: bool) {
        self.pending.clear();
        self.is_length_pending = false;
        if forgotten {
            self.visible.clone_from(&self.durable);
        }
    }

    fn cut(&mut self, random: &mut Random, keep_percent: usize) {
        let length = if self.is_length_pending && random.below(100) < keep_percent {
            self.visible.len()
        } else {
            self.durable.len()
        };
        self.durable.resize(length, 0);
        for (sector, versions) in std::mem::take(&mut self.pending) {
            if random.below(100) < keep_percent {
                let version =
                    versions[versions.len() - 1 - random.below(versions.len()).min(random.below(versions.len()))];
                let at = sector * SECTOR_BYTES;
                if at < length {
                    let end = (at + SECTOR_BYTES).min(length);
                    self.durable[at..end].copy_from_slice(&version[..end - at]);
                }
            }
        }
        self.is_length_pending = false;
        self.visible.clone_from(&self.durable);
    }
}

fn sector_of(bytes: &[u8], sector: usize) -> [u8; SECTOR_BYTES] {
    let mut version = [0; SECTOR_BYTES];
    let at = sector * SECTOR_BYTES;
    let end = (at + SECTOR_BYTES).min(bytes.len());
    version[..end - at].copy_from_slice(&bytes[at..end]);
    version
}

impl NameChange {
    /// A change whose predecessor was lost changes nothing.
    fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create(path, file) => {
                names.insert(path, file);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(&from) {
                    names.insert(to, file);
                }
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.sim().check_power()
    }

    fn lock(&self, _: &Path) -> Result<Option<FolderLock>, LockError> {
        Ok(None)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let sim = self.sim();
        sim.check_power()?;
        Ok(sim.names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut sim = self.sim();
        if sim.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        sim.whole_call()?;
        let file = sim.next_file;
        sim.next_file += 1;
        sim.files.insert(file, SimInode::default());
        sim.names.insert(path.to_owned(), file);
        sim.names_pending.push(NameChange::Create(path.to_owned(), file));
        Ok(Arc::new(SimFile { disk: self.clone(), file, power_cycle: sim.power_cycle }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open_read(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let sim = self.sim();
        sim.check_power()?;
        let file = *sim.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), file, power_cycle: sim.power_cycle }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut sim = self.sim();
        sim.whole_call()?;
        let file = sim.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        sim.names.insert(to.to_owned(), file);
        sim.names_pending.push(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut sim = self.sim();
        if !sim.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        sim.whole_call()?;
        sim.names.remove(path);
        sim.names_pending.push(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut sim = self.sim();
        let fault = sim.call()?;
        if sim.loses_sync_dir {
            return Ok(());
        }
        let changes = std::mem::take(&mut sim.names_pending);
        if let Some(fault) = fault {
            return Err(fault.error());
        }
        for change in changes {
            change.apply(&mut sim.names_durable);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    file: u64,
    power_cycle: u64,
}

impl SimFile {
    fn sim(&self) -> io::Result<MutexGuard<'_, Sim>> {
        let sim = self.disk.sim();
        if sim.power_cycle == self.power_cycle { Ok(sim) } else { Err(io::Error::other("open before the power cut")) }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let sim = self.sim()?;
        sim.check_power()?;
        let contents = sim.files.get(&self.file).map_or(&[][..], |file| &file.visible);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(contents.len());
        let count = bytes.len().min(contents.len() - from);
        bytes[..count].copy_from_slice(&contents[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut sim = self.sim()?;
        let fault = sim.call()?;
        sim.grow(self.file, offset + bytes.len() as u64)?;
        let part = if fault.is_some() { sim.random.below(bytes.len()) } else { bytes.len() };
        let Some(file) = sim.files.get_mut(&self.file) else { return Err(io::ErrorKind::NotFound.into()) };
        file.write(&bytes[..part], usize::try_from(offset).unwrap_or(usize::MAX));
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        let mut sim = self.sim()?;
        sim.whole_call()?;
        sim.grow(self.file, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut sim = self.sim()?;
        let fault = sim.call()?;
        if sim.loses_sync_data {
            return Ok(());
        }
        let forgotten = sim.random.below(2) == 0;
        let Some(file) = sim.files.get_mut(&self.file) else { return Err(io::ErrorKind::NotFound.into()) };
        match fault {
            None => file.sync(),
            Some(_) => file.lose_pending(forgotten),
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn bytes(&self) -> io::Result<u64> {
        let sim = self.sim()?;
        sim.check_power()?;
        Ok(sim.files.get(&self.file).map_or(0, |file| file.visible.len() as u64))
    }
}

//! Damage of every kind: a start always works, what is lost is exactly what the damage touches, and it is said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::raw::{CLEAN_STOP, EVENTS, RawFrame, SEAL, frames};
use common::{DIR, Log, append, at, open_sim, seed};
use feedd_journal::testing::SimDisk;
use feedd_journal::{Cause, Recovered};
use feedd_model::UnixNanos;
use feedd_testkit::promise::Report;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A journal of three segments as files.
struct Base {
    files: Vec<(PathBuf, Vec<u8>)>,
    frames: Vec<Vec<RawFrame>>,
    events: u64,
}

/// `is_stopped`: ended by `close`; otherwise as a kill leaves it.
fn base(is_stopped: bool) -> Base {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut last = 0;
    for count in [1, 5, 63, 64, 20, 100].into_iter().cycle() {
        append(&mut journal, 1, &mut last, count);
        journal.commit().unwrap();
        if last > 600 {
            break;
        }
    }
    if is_stopped {
        journal.close(UnixNanos(9)).unwrap();
    }
    drop(journal);
    let paths: Vec<_> =
        disk.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "fdj")).collect();
    let files: Vec<_> = paths.into_iter().map(|path| (path.clone(), disk.contents(&path).unwrap())).collect();
    assert_eq!(files.len(), 3);
    let frames = files.iter().map(|(_, bytes)| frames(bytes)).collect();
    Base { files, frames, events: last }
}

fn events_of(frame: &RawFrame) -> Range<u64> {
    if frame.kind == EVENTS { frame.first..frame.first + u64::from(frame.count) } else { 0..0 }
}

impl Base {
    /// Starts on `files` and reads everything.
    fn start(&self, files: &[(PathBuf, Vec<u8>)]) -> (Recovered, Log, SimDisk) {
        let disk = SimDisk::new(1);
        for (path, bytes) in files {
            disk.put(path, bytes);
        }
        let (journal, recovered) = open_sim(&disk, 2).expect("a damaged journal starts");
        let mut cursor = journal.cursor();
        cursor.seek(at(1, 0)).unwrap();
        let log = Log::read(&mut cursor);
        log.assert_unaltered();
        (recovered, log, disk)
    }

    /// Starts on the journal with `damaged` bytes (file, range) changed by `change`; checks what is lost and said.
    fn check(&self, name: &str, damaged: &[(usize, Range<usize>)], change: impl Fn(usize, &mut Vec<u8>)) {
        let mut files = self.files.clone();
        for (i, (_, bytes)) in files.iter_mut().enumerate() {
            change(i, bytes);
        }
        let is_hit = |file: usize, frame: &RawFrame| {
            let range = frame.offset..frame.offset + frame.bytes;
            damaged.iter().any(|(i, hit)| *i == file && hit.start < range.end && range.start < hit.end)
        };
        let mut lost = BTreeSet::new();
        // Evidence that is left of how far the epoch went.
        let (mut known, mut damage_inside) = (0, false);
        for (i, frames) in self.frames.iter().enumerate() {
            let last_left = frames.iter().rposition(|frame| !is_hit(i, frame));
            for (j, frame) in frames.iter().enumerate() {
                if is_hit(i, frame) {
                    lost.extend(events_of(frame));
                    damage_inside |= last_left.is_some_and(|left| j < left);
                } else if frame.kind == EVENTS {
                    known = known.max(events_of(frame).end - 1);
                } else if frame.kind == SEAL || frame.kind == CLEAN_STOP {
                    known = known.max(frame.first);
                } else if frame.kind == common::raw::SEGMENT {
                    known = known.max(u64::from_le_bytes(frame.payload[16..24].try_into().unwrap()));
                }
            }
        }
        let (recovered, log, disk) = self.start(&files);
        let kept: Vec<_> = (1..=self.events).filter(|seq| !lost.contains(seq)).collect();
        assert_eq!(log.seqs(1), kept, "{name}: exactly the events the damage does not touch");
        let said: BTreeSet<_> = recovered
            .damage
            .iter()
            .filter_map(|damage| damage.lost)
            .flat_map(|(first, last)| first.seq.0..=last.seq.0)
            .collect();
        let reported: BTreeSet<_> = lost.iter().copied().filter(|&seq| seq <= known).collect();
        let missing: BTreeSet<_> = (1..=self.events).filter(|&seq| log.is_missing(1, seq)).collect();
        assert_eq!(missing, reported, "{name}: what readers are told is missing");
        if self.frames[0].iter().all(|frame| is_hit(0, frame)) {
            // Not a frame is left of the oldest segment: where it began is not known, only that it was there.
            assert!(said.is_empty() && !recovered.damage.is_empty(), "{name}: {recovered:?}");
        } else {
            assert_eq!(said, reported, "{name}: what the start says is lost");
            assert!(log.missing.iter().all(|hole| hole.3 == Cause::Damaged), "{name}: {:?}", log.missing);
        }
        assert_eq!(recovered.events, kept.len() as u64, "{name}");
        if damage_inside {
            assert!(!recovered.damage.is_empty(), "{name}: damage is reported");
            let kept_aside =
                disk.paths().iter().filter(|path| path.starts_with(Path::new(DIR).join("quarantine"))).count();
            let with_bytes = recovered.damage.iter().filter(|damage| damage.bytes > 0).count();
            assert_eq!(kept_aside, with_bytes, "{name}: damaged bytes are kept aside");
            assert!(with_bytes > 0 || damaged.iter().any(|(i, hit)| hit.end == self.files[*i].1.len()), "{name}");
        }
    }
}

#[test]
fn one_flipped_bit_costs_one_frame() {
    let stride = if common::is_full() { 1 } else { 127 };
    println!("every {stride}. bit");
    let mut flipped = 0;
    for base in [base(true), base(false)] {
        for file in 0..3 {
            for bit in (0..base.files[file].1.len() * 8).step_by(stride) {
                let byte = bit / 8;
                base.check(&format!("file {file} bit {bit}"), &[(file, byte..byte + 1)], |i, bytes| {
                    if i == file {
                        bytes[byte] ^= 1 << (bit % 8);
                    }
                });
                flipped += 1;
            }
        }
    }
    Report::new("P5").runs(flipped).faults(flipped).fault_kinds("flipped bits").finish();
}

#[test]
fn a_zeroed_page_or_sector_costs_the_frames_in_it() {
    for base in [base(true), base(false)] {
        for length in [512, 4096, 16384] {
            for file in 0..3 {
                for from in (0..base.files[file].1.len()).step_by(length) {
                    base.check(
                        &format!("file {file} zeros at {from}+{length}"),
                        &[(file, from..from + length)],
                        |i, bytes| {
                            if i == file {
                                bytes[from..from + length].fill(0);
                            }
                        },
                    );
                }
            }
        }
    }
}

#[test]
fn a_file_cut_at_any_length_costs_what_is_cut_off() {
    let stride = if common::is_full() { 1 } else { 23 };
    println!("every {stride}. length");
    for base in [base(true), base(false)] {
        for file in 0..3 {
            let whole = base.files[file].1.len();
            for length in (0..whole).step_by(stride) {
                base.check(&format!("file {file} cut to {length}"), &[(file, length..whole)], |i, bytes| {
                    if i == file {
                        bytes.truncate(length);
                    }
                });
            }
        }
    }
}

#[test]
fn several_damaged_places_cost_their_frames() {
    let mut random = fastrand::Rng::with_seed(seed(5));
    let base = base(true);
    for case in 0..if common::is_full() { 20_000 } else { 1_000 } {
        let places: Vec<_> = (0..random.usize(1..6))
            .map(|_| {
                let from = random.usize(..16_000);
                (random.usize(..3), from..from + random.usize(1..300))
            })
            .collect();
        let noise = random.u64(..);
        base.check(&format!("case {case}: {places:?}"), &places, |i, bytes| {
            // Complemented and mixed: never what stood there.
            for (_, place) in places.iter().filter(|(file, _)| *file == i) {
                for at in place.clone() {
                    bytes[at] = !base.files[i].1[at] ^ (u8::try_from(noise % 127).unwrap() & 0x7e);
                }
            }
        });
    }
}

#[test]
fn a_deleted_segment_costs_its_events() {
    let base = base(true);
    for gone in 0..3 {
        let files: Vec<_> = (0..3).filter(|i| *i != gone).map(|i| base.files[i].clone()).collect();
        let lost: Vec<_> = base.frames[gone].iter().flat_map(events_of).collect();
        let (recovered, log, _) = base.start(&files);
        let kept: Vec<_> = (1..=base.events).filter(|seq| !lost.contains(seq)).collect();
        assert_eq!(log.seqs(1), kept);
        let (first, last) = (lost[0], lost[lost.len() - 1]);
        match gone {
            // The oldest one removed looks like one given back: whoever has not stored it is told.
            0 => assert_eq!(log.missing, [(1, first, last, Cause::Trimmed)]),
            1 => {
                assert_eq!(log.missing, [(1, first, last, Cause::Damaged)]);
                assert_eq!(recovered.damage[0].lost, Some((at(1, first), at(1, last))));
            }
            // The newest one leaves no trace but that the last run did not end in order.
            _ => assert!(!recovered.clean && log.missing.is_empty()),
        }
    }
}

#[test]
fn swapped_and_duplicated_segments_cost_nothing() {
    let base = base(true);
    for (a, b) in [(0, 1), (1, 2), (0, 2)] {
        let mut files = base.files.clone();
        let bytes = std::mem::take(&mut files[a].1);
        files[a].1 = std::mem::replace(&mut files[b].1, bytes);
        let (recovered, log, _) = base.start(&files);
        assert_eq!(log.seqs(1), (1..=base.events).collect::<Vec<_>>(), "{a} and {b} swapped");
        assert!(log.missing.is_empty() && recovered.damage.is_empty() && recovered.clean, "{recovered:?}");
    }
    for (i, (_, bytes)) in base.files.iter().enumerate() {
        for name in ["00000000000000000000.fdj", "00000000000000000009.fdj", "00000000000999999999.fdj"] {
            let mut files = base.files.clone();
            files.push((Path::new(DIR).join(name), bytes.clone()));
            let (recovered, log, _) = base.start(&files);
            assert_eq!(log.seqs(1), (1..=base.events).collect::<Vec<_>>(), "file {i} also as {name}");
            assert!(log.missing.is_empty() && recovered.damage.is_empty(), "{recovered:?}");
        }
    }
}

#[test]
fn garbage_files_are_no_obstacle() {
    let base = base(true);
    let mut random = fastrand::Rng::with_seed(seed(6));
    let noise: Vec<u8> = (0..20_000).map(|_| random.u8(..)).collect();
    let names = [
        "00000000000000000000.fdj",
        "00000000000000000004.fdj",
        "00001000000000000000.fdj",
        "18446744073709551615.fdj",
        "99999999999999999999.fdj",
        "00000000000000000004.spare",
        "x.fdj",
        ".fdj",
        "checkpoint",
    ];
    for name in names {
        for bytes in [&noise[..], &[], &[0; 16384], b"FDJf", &noise[..64]] {
            let mut files = base.files.clone();
            files.push((Path::new(DIR).join(name), bytes.to_vec()));
            let (_, log, disk) = base.start(&files);
            assert_eq!(log.seqs(1), (1..=base.events).collect::<Vec<_>>(), "{name} of {} bytes", bytes.len());
            // And the journal lives on beside it.
            let (mut journal, _) = open_sim(&disk, 3).unwrap();
            let mut last = 0;
            for _ in 0..20 {
                append(&mut journal, 3, &mut last, 63);
                journal.commit().unwrap();
            }
            drop(journal);
            let (journal, _) = open_sim(&disk, 4).unwrap();
            assert_eq!(Log::read(&mut journal.cursor()).seqs(3).len(), 20 * 63, "{name}");
        }
    }
}

#[test]
fn quarantine_holds_the_damaged_bytes_once() {
    let base = base(true);
    let mut files = base.files.clone();
    files[1].1[5000] ^= 1;
    let (recovered, _, disk) = base.start(&files);
    let damage = &recovered.damage[0];
    let range = usize::try_from(damage.offset).unwrap()..usize::try_from(damage.offset + damage.bytes).unwrap();
    assert!(range.contains(&5000));
    let kept = || {
        disk.paths().into_iter().filter(|path| path.starts_with(Path::new(DIR).join("quarantine"))).collect::<Vec<_>>()
    };
    assert_eq!(kept().len(), 1);
    assert_eq!(disk.contents(&kept()[0]).unwrap(), files[1].1[range]);
    let (_, again) = open_sim(&disk, 3).unwrap();
    assert_eq!(again.damage, recovered.damage, "damage is reported until the segment is trimmed");
    assert_eq!(kept().len(), 1);
}

//! One connection through the proxy: one thread, both sockets, so that closing takes effect at once and in a known order.

use super::socket::{Stream, drain, is_not_yet};
use super::wire::{self, Message, Parser};
use super::{Direction, Faults, How, Protocol, Shared, Target, Trigger};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How late a connection notices a switch while nothing moves.
const TICK: Duration = Duration::from_millis(5);
/// Bytes read at once.
const CHUNK_BYTES: usize = 16 << 10;
/// Bytes kept for one direction before its sender has to wait.
const QUEUE_BYTES_MAX: usize = 256 << 10;
/// A limited rate is kept in slices of this many a second.
const SLICES_PER_SECOND: u64 = 100;

/// One direction.
struct Lane {
    direction: Direction,
    parser: Parser,
    /// Chunks with the moment they are due; the first may be passed on in part.
    queue: VecDeque<Chunk>,
    queued_bytes: usize,
    /// Offset in the stream of the next byte that comes, and of the next that is passed on.
    offset_in: u64,
    offset_out: u64,
    /// The sender has ended, and that has been passed on. A swallowed end never is: the connection stays half open.
    ended: bool,
    end_passed: bool,
    end_swallowed: bool,
    next_write: Instant,
    cut_at: Option<(u64, How)>,
    hold_at: Option<u64>,
}

struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
    passed: usize,
}

/// The answer to a COMMIT is waited for, and not passed on.
struct Swallow {
    how: How,
    answered: bool,
    confirmed: bool,
}

pub(super) struct Connection {
    number: u64,
    client: Stream,
    server: Stream,
    to_server: Lane,
    to_client: Lane,
    swallow: Option<Swallow>,
    shared: Arc<Shared>,
}

impl Connection {
    pub(super) fn open(
        number: u64,
        client: TcpStream,
        target: &Target,
        protocol: Protocol,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let client = Stream::Tcp(client);
        let server = match target {
            Target::Tcp(address) => TcpStream::connect(address).map(Stream::Tcp),
            Target::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
        };
        // A target that is gone looks like one to the client: a reset.
        let server = server.inspect_err(|_| {
            shared.lock().counters.target_refused += 1;
            client.reset();
        })?;
        client.prepare()?;
        server.prepare()?;
        let (of_client, of_server) = match protocol {
            Protocol::Opaque => (Parser::opaque(), Parser::opaque()),
            Protocol::Postgres => (Parser::of_client(), Parser::of_server()),
        };
        let to_server = Lane::new(Direction::ToServer, of_client);
        let to_client = Lane::new(Direction::ToClient, of_server);
        Ok(Self { number, client, server, to_server, to_client, swallow: None, shared })
    }

    /// Passes bytes on until the connection ends or is cut.
    pub(super) fn run(mut self) {
        loop {
            let orders = self.shared.orders(self.number);
            if let Some(how) = orders.cut {
                return self.cut(how, false);
            }
            self.wait(&orders.faults);
            if self.turn(&orders.faults).is_err() {
                // A peer is gone without an end: the other one shall see that too.
                self.client.reset();
                self.server.reset();
                return;
            }
            if let Some(swallow) = self.swallow.take_if(|s| s.answered || self.to_client.ended) {
                return self.cut(swallow.how, swallow.confirmed);
            }
            if let Some(how) = self.to_server.cut_reached().or_else(|| self.to_client.cut_reached()) {
                return self.cut(how, false);
            }
            if self.to_server.end_passed && self.to_client.end_passed {
                return;
            }
        }
    }

    /// Waits until a socket can do what is wanted of it; shortly, because orders may change.
    fn wait(&self, faults: &Faults) {
        let now = Instant::now();
        let mut timeout = TICK;
        let mut interests = [(&self.client, PollFlags::empty()), (&self.server, PollFlags::empty())];
        for (lane, from, to) in [(&self.to_server, 0, 1), (&self.to_client, 1, 0)] {
            if lane.wants_read(faults, self.swallow.is_some()) {
                interests[from].1 |= PollFlags::IN;
            }
            if lane.writable_bytes(faults) > 0 {
                let due = lane.due().saturating_duration_since(now);
                if due.is_zero() {
                    interests[to].1 |= PollFlags::OUT;
                } else {
                    timeout = timeout.min(due);
                }
            }
        }
        // A socket without an interest is left out: `poll` would report its end again and again.
        let wanted = interests.iter().filter(|(_, flags)| !flags.is_empty());
        let mut fds: Vec<PollFd<'_>> =
            wanted.map(|(stream, flags)| PollFd::from_borrowed_fd(stream.fd(), *flags)).collect();
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        // Interrupted or not: what can be done is found out by trying.
        let _ = poll(&mut fds, Some(&timeout));
    }

    fn turn(&mut self, faults: &Faults) -> io::Result<()> {
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.take(direction, faults)?;
        }
        // Asked again: what a switch came before is treated as it says.
        let faults = self.shared.orders(self.number).faults;
        self.to_server.pass_on(&mut self.server, &faults)?;
        self.to_client.pass_on(&mut self.client, &faults)
    }

    /// Reads one chunk, looks at its messages, and queues it.
    fn take(&mut self, direction: Direction, faults: &Faults) -> io::Result<()> {
        let holding = self.swallow.is_some();
        let (lane, from) = match direction {
            Direction::ToServer => (&mut self.to_server, &mut self.client),
            Direction::ToClient => (&mut self.to_client, &mut self.server),
        };
        if !lane.wants_read(faults, holding) {
            return Ok(());
        }
        let mut bytes = vec![0; CHUNK_BYTES];
        let count = match from.read(&mut bytes) {
            Ok(count) => count,
            Err(error) if is_not_yet(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        bytes.truncate(count);
        let messages = lane.parser.feed(&bytes);
        // The faults of now, not those of before the wait: a switch holds for all bytes that come after it.
        let (faults, triggers) = {
            let mut state = self.shared.lock();
            let triggers = state.note(direction, lane.offset_in, count as u64, &messages);
            (state.faults.clone(), triggers)
        };
        if count == 0 {
            lane.ended = true;
            lane.end_swallowed = faults.swallow.has(direction);
            return Ok(());
        }
        lane.push(bytes, &faults);
        for trigger in triggers {
            self.pull(direction, trigger);
        }
        for message in &messages {
            self.follow(direction, message);
        }
        Ok(())
    }

    fn pull(&mut self, direction: Direction, trigger: Trigger) {
        let lane = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        match trigger {
            Trigger::CutAt(offset, how) => {
                if lane.cut_at.is_none_or(|(other, _)| offset < other) {
                    lane.cut_at = Some((offset, how));
                }
            }
            Trigger::HoldReply(how) => {
                self.swallow = Some(Swallow { how, answered: false, confirmed: false });
                self.to_client.hold_at = Some(self.to_client.offset_in);
            }
        }
    }

    /// Keeps up with what the peers have agreed on.
    fn follow(&mut self, direction: Direction, message: &Message) {
        match direction {
            Direction::ToServer if message.asks_for_encryption() => self.to_client.parser.expect_single_byte(),
            Direction::ToClient if wire::agrees_to_encrypt(message) => {
                self.to_server.parser.close_eyes();
                self.to_client.parser.close_eyes();
            }
            Direction::ToClient => {
                let Some(swallow) = &mut self.swallow else { return };
                // Answers to what was sent before the COMMIT may come first: only its own, or an error, decides.
                swallow.confirmed |= message.confirms_commit();
                swallow.answered |= swallow.confirmed || message.denies_commit();
            }
            Direction::ToServer => {}
        }
    }

    fn cut(mut self, how: How, commit_swallowed: bool) {
        {
            let mut state = self.shared.lock();
            state.counters.cuts += 1;
            state.counters.commits_swallowed += u64::from(commit_swallowed);
        }
        match how {
            How::Rst => {
                self.client.reset();
                self.server.reset();
            }
            How::Fin => {
                self.client.finish();
                self.server.finish();
                // It is cut; whoever waits for that need not wait until the peers have noticed.
                self.shared.gone(self.number);
                drain(&mut self.client, &mut self.server);
            }
        }
    }
}

impl Lane {
    fn new(direction: Direction, parser: Parser) -> Self {
        Self {
            direction,
            parser,
            queue: VecDeque::new(),
            queued_bytes: 0,
            offset_in: 0,
            offset_out: 0,
            ended: false,
            end_passed: false,
            end_swallowed: false,
            next_write: Instant::now(),
            cut_at: None,
            hold_at: None,
        }
    }

    fn wants_read(&self, faults: &Faults, holding: bool) -> bool {
        // While an answer is held back it must be read to its end, however long it is.
        let room = self.queued_bytes < QUEUE_BYTES_MAX || (holding && self.direction == Direction::ToClient);
        !self.ended && room && !faults.stall.has(self.direction)
    }

    fn push(&mut self, bytes: Vec<u8>, faults: &Faults) {
        self.offset_in += bytes.len() as u64;
        if faults.swallow.has(self.direction) {
            // As if it were passed on: what was queued before still is.
            self.offset_out += bytes.len() as u64;
            return;
        }
        self.queued_bytes += bytes.len();
        self.queue.push_back(Chunk { due: Instant::now() + faults.delay, bytes, passed: 0 });
    }

    /// Offset up to which bytes may be passed on.
    fn limit(&self) -> u64 {
        // What is left of a message when the sender ends will never be known: it is passed on.
        let known = if self.ended { u64::MAX } else { self.parser.known_up_to() };
        let cut = self.cut_at.map_or(u64::MAX, |(offset, _)| offset);
        known.min(cut).min(self.hold_at.unwrap_or(u64::MAX))
    }

    /// Bytes that may be passed on at once, sooner or later.
    fn writable_bytes(&self, faults: &Faults) -> usize {
        let Some(chunk) = self.queue.front() else { return 0 };
        if faults.stall.has(self.direction) {
            return 0;
        }
        let most = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
        let mut bytes = (chunk.bytes.len() - chunk.passed).min(most(self.limit().saturating_sub(self.offset_out)));
        if faults.piece_bytes_max > 0 {
            bytes = bytes.min(faults.piece_bytes_max);
        }
        if faults.bytes_per_second_max > 0 {
            bytes = bytes.min(most((faults.bytes_per_second_max / SLICES_PER_SECOND).max(1)));
        }
        bytes
    }

    /// When the next bytes are due.
    fn due(&self) -> Instant {
        self.queue.front().map_or(self.next_write, |chunk| chunk.due.max(self.next_write))
    }

    fn pass_on(&mut self, to: &mut Stream, faults: &Faults) -> io::Result<()> {
        loop {
            let bytes = self.writable_bytes(faults);
            if bytes == 0 || self.due() > Instant::now() {
                break;
            }
            let chunk = self.queue.front_mut().expect("there are bytes to write");
            let written = match to.write(&chunk.bytes[chunk.passed..chunk.passed + bytes]) {
                Ok(written) => written,
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Err(error),
            };
            chunk.passed += written;
            if chunk.passed == chunk.bytes.len() {
                self.queue.pop_front();
            }
            self.offset_out += written as u64;
            self.queued_bytes -= written;
            if let Some(nanos) = (written as u64 * 1_000_000_000).checked_div(faults.bytes_per_second_max) {
                self.next_write = Instant::now() + Duration::from_nanos(nanos);
            }
        }
        let held = self.end_swallowed || faults.stall.has(self.direction);
        if self.ended && !self.end_passed && self.queue.is_empty() && !held {
            self.end_passed = true;
            to.finish();
        }
        Ok(())
    }

    fn cut_reached(&self) -> Option<How> {
        self.cut_at.filter(|(offset, _)| self.offset_out >= *offset).map(|(_, how)| how)
    }
}

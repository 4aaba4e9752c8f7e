//! A venue in virtual time: connections, subscriptions, data at random, pongs, REST; each of them can be made to fail. Whatever the
//! session asks for is carried out and written down, and counted by the tests themselves.

use crate::protocol::{self, TestProtocol, read_streams, shard, write_streams};
use feedd_live::config::LiveConfig;
use feedd_live::session::{Action, ConnId, Heard, PullId, Pulled, Purpose, Session, StreamState, Why};
use feedd_live::stream::{Stream, StreamKind};
use feedd_model::MonoNanos;
use feedd_venues::check::{BookRule, Want};
use feedd_venues::decoder::{CONTROL_ACK, Label, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

/// What the venue does wrong.
#[derive(Clone, Debug, Default)]
pub struct Ills {
    /// Nothing goes in or out of these.
    pub deaf: BTreeSet<ConnId>,
    /// No data on these; everything else goes on.
    pub dumb: BTreeSet<ConnId>,
    /// Connections opened from now on have no data.
    pub new_dumb: bool,
    pub no_pongs: bool,
    pub no_answers: bool,
    pub no_connects: bool,
    /// Attempts are refused so, with this many seconds to wait.
    pub limited: Option<u64>,
    pub refused: BTreeSet<Stream>,
    /// A request that names one of these is not answered, and has no effect.
    pub ignored: BTreeSet<Stream>,
    /// Data come, acknowledgements do not.
    pub no_acknowledgements: bool,
    pub mute: BTreeSet<Stream>,
    /// The same on one connection.
    pub half_mute: BTreeSet<(ConnId, Stream)>,
    /// Answers of REST: 0 is well.
    pub rest_status: u16,
    pub rest_retry_after: Option<u64>,
}

#[derive(Clone, Debug)]
enum Event {
    Open(ConnId),
    Refuse(ConnId),
    Frame(ConnId, String),
    Pong(ConnId),
    Data(ConnId, Stream, u64),
    Heartbeat(ConnId),
    Rest(PullId, Purpose),
}

#[derive(Debug, Default)]
pub struct Line {
    pub is_open: bool,
    pub opened_at: u64,
    /// With the number of the subscription, so that the messages of an ended one do not go on.
    pub streams: BTreeMap<Stream, u64>,
    pub sent_at: Vec<u64>,
}

/// What the checker would count.
#[derive(Debug, Default)]
pub struct Counts {
    heard: BTreeMap<String, [u64; 3]>,
    heard_on: BTreeMap<(ConnId, String), [u64; 3]>,
    pub whole: BTreeSet<String>,
}

impl Heard for Counts {
    fn heard(&self, symbol: &str) -> [u64; 3] {
        self.heard.get(symbol).copied().unwrap_or_default()
    }

    fn heard_on(&self, symbol: &str, conn: ConnId) -> [u64; 3] {
        self.heard_on.get(&(conn, symbol.to_owned())).copied().unwrap_or_default()
    }

    fn is_book_whole(&self, symbol: &str) -> bool {
        self.whole.contains(symbol)
    }
}

pub struct World {
    pub now: u64,
    pub session: Session,
    pub config: LiveConfig,
    rng: fastrand::Rng,
    events: BTreeMap<(u64, u64), Event>,
    next: u64,
    pub counts: Counts,
    asked: BTreeSet<String>,
    joins: bool,
    pub streams: Vec<Stream>,
    /// Mean interval of each stream.
    pub mean_ns: BTreeMap<Stream, u64>,
    pub lines: BTreeMap<ConnId, Line>,
    pub ended: Vec<Line>,
    pub ills: Ills,
    pub heartbeats: bool,
    pub log: Vec<(u64, Action)>,
    /// When each stream spoke last, and when something was last done for it.
    pub heard_at: BTreeMap<Stream, u64>,
    pub cared_at: BTreeMap<Stream, u64>,
    pub longest_ns: BTreeMap<Stream, u64>,
    /// Longest and last interval of any data.
    pub any_at: u64,
    pub any_longest_ns: u64,
    pub spent: Vec<(u64, u32)>,
    pub connects: Vec<u64>,
    /// Pages of trades that REST gives at once.
    pub page: u64,
    /// Whether no stream may go without care for longer than a minute and its limit.
    pub is_zombie_free: bool,
    /// But these.
    pub excused: BTreeSet<Stream>,
}

impl World {
    pub fn new(config: LiveConfig, streams: Vec<Stream>, mean_ns: u64, seed: u64) -> Self {
        Self::with_protocol(config, streams, mean_ns, seed, TestProtocol { book: BookRule::JoinFirst, text_ping: None })
    }

    pub fn with_protocol(
        config: LiveConfig,
        streams: Vec<Stream>,
        mean_ns: u64,
        seed: u64,
        protocol: TestProtocol,
    ) -> Self {
        let joins = protocol.book == BookRule::JoinFirst;
        let session = Session::new(config.clone(), Box::new(protocol), shard(streams.clone()), seed);
        Self {
            now: SECOND,
            session,
            config,
            rng: fastrand::Rng::with_seed(seed ^ 0xFEED),
            events: BTreeMap::new(),
            next: 0,
            counts: Counts::default(),
            asked: BTreeSet::new(),
            joins,
            mean_ns: streams.iter().map(|stream| (stream.clone(), mean_ns)).collect(),
            cared_at: streams.iter().map(|stream| (stream.clone(), SECOND)).collect(),
            streams,
            lines: BTreeMap::new(),
            ended: Vec::new(),
            ills: Ills::default(),
            heartbeats: true,
            log: Vec::new(),
            heard_at: BTreeMap::new(),
            longest_ns: BTreeMap::new(),
            any_at: 0,
            any_longest_ns: 0,
            spent: Vec::new(),
            connects: Vec::new(),
            page: 100,
            is_zombie_free: true,
            excused: BTreeSet::new(),
        }
    }

    fn at(&mut self, delay_ns: u64, event: Event) {
        self.next += 1;
        self.events.insert((self.now + delay_ns, self.next), event);
    }

    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + u64::try_from(duration.as_nanos()).unwrap());
    }

    /// Runs until a time.
    pub fn run_until(&mut self, end: u64) {
        loop {
            let due = self.session.due().0.max(self.now);
            let event = self.events.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
            let next = due.min(event);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            if event <= due {
                let (_, event) = self.events.pop_first().unwrap();
                self.happen(event);
            } else {
                self.session.tick(MonoNanos(self.now), &self.counts);
                self.carry_out();
                assert!(self.session.due().0 > self.now, "a tick leaves nothing due");
                self.check_zombies();
                self.check_view();
            }
            self.carry_out();
        }
    }

    /// Runs until an action is found that was asked for after `since`; when it was.
    pub fn run_until_action(&mut self, since: u64, within: Duration, is_it: impl Fn(&Action) -> bool) -> Option<u64> {
        let end = since + u64::try_from(within.as_nanos()).unwrap();
        loop {
            let found = self.log.iter().rev().take_while(|(at, _)| *at >= since).find(|(_, action)| is_it(action));
            if let Some((at, _)) = found {
                return Some(*at);
            }
            if self.now >= end {
                return None;
            }
            self.run_until((self.now + SECOND / 20).min(end));
        }
    }

    fn happen(&mut self, event: Event) {
        let now = MonoNanos(self.now);
        match event {
            Event::Open(id) if self.lines.contains_key(&id) => {
                let line = self.lines.get_mut(&id).unwrap();
                (line.is_open, line.opened_at) = (true, self.now);
                self.session.connected(now, id);
                if self.ills.new_dumb {
                    self.ills.dumb.insert(id);
                }
                self.at(SECOND, Event::Heartbeat(id));
            }
            Event::Refuse(id) if self.lines.remove(&id).is_some() => {
                let retry_after = self.ills.limited.map(Duration::from_secs);
                self.session.connect_failed(now, id, "429 Too Many Requests", retry_after);
            }
            Event::Frame(id, text) if self.is_heard(id) => {
                let label = Label { field: "frame", name: None };
                self.session.frame(now, id, &text, &Outcome::Control { name: CONTROL_ACK, label });
            }
            Event::Pong(id) if self.is_heard(id) => self.session.alive(now, id),
            Event::Heartbeat(id) if self.lines.contains_key(&id) => {
                self.at(SECOND, Event::Heartbeat(id));
                if self.heartbeats {
                    self.happen(Event::Frame(id, "HB".to_owned()));
                }
            }
            Event::Data(id, stream, number) => self.data(id, stream, number),
            Event::Rest(id, purpose) => self.rest(id, purpose),
            _ => {}
        }
    }

    fn is_heard(&self, id: ConnId) -> bool {
        self.lines.contains_key(&id) && !self.ills.deaf.contains(&id)
    }

    fn data(&mut self, id: ConnId, stream: Stream, number: u64) {
        if self.lines.get(&id).and_then(|line| line.streams.get(&stream)) != Some(&number) {
            return;
        }
        self.later(id, stream.clone(), number);
        if !self.is_heard(id) || self.ills.dumb.contains(&id) || self.ills.mute.contains(&stream) {
            return;
        }
        if self.ills.half_mute.contains(&(id, stream.clone())) {
            return;
        }
        let gap = self.heard_at.insert(stream.clone(), self.now).map_or(0, |last| self.now - last);
        let longest = self.longest_ns.entry(stream.clone()).or_default();
        *longest = (*longest).max(gap);
        if self.any_at > 0 {
            self.any_longest_ns = self.any_longest_ns.max(self.now - self.any_at);
        }
        self.any_at = self.now;
        self.counts.heard.entry(stream.symbol.clone()).or_default()[stream.kind.index()] += 1;
        self.counts.heard_on.entry((id, stream.symbol.clone())).or_default()[stream.kind.index()] += 1;
        self.session.frame(MonoNanos(self.now), id, "data", &Outcome::Messages(1));
        if stream.kind == StreamKind::Depth && !self.counts.whole.contains(&stream.symbol) {
            let symbol = stream.symbol;
            if !self.joins {
                // The first message of a subscription is the snapshot.
                if self.asked.remove(&format!("{id:?} {symbol}")) {
                    self.counts.whole.insert(symbol);
                }
            } else if self.asked.insert(symbol.clone()) {
                self.session.want(MonoNanos(self.now), Want::Snapshot { symbol });
            }
        }
    }

    fn later(&mut self, id: ConnId, stream: Stream, number: u64) {
        // Exponential: arrivals at random.
        let mean = self.mean_ns[&stream];
        let wait = Duration::from_nanos(mean).mul_f64(-(1.0 - self.rng.f64()).ln());
        self.at(u64::try_from(wait.as_nanos()).unwrap().max(1), Event::Data(id, stream, number));
    }

    fn rest(&mut self, id: PullId, purpose: Purpose) {
        let end = match (self.ills.rest_status, purpose) {
            (0, Purpose::Snapshot { symbol }) => {
                self.asked.remove(&symbol);
                self.counts.whole.insert(symbol);
                Pulled::Done { still_missing: None }
            }
            (0, Purpose::Trades { first, last, .. }) => {
                let left = first + self.page;
                Pulled::Done { still_missing: (self.page == 0 || left <= last).then_some((left, last)) }
            }
            (status, _) => {
                let retry_after = self.ills.rest_retry_after.map(Duration::from_secs);
                Pulled::Failed { status, retry_after, text: "no".to_owned() }
            }
        };
        self.session.pulled(MonoNanos(self.now), id, end);
    }

    /// The venue ends a connection.
    pub fn cut(&mut self, id: ConnId, code: u16) {
        let Some(line) = self.lines.remove(&id) else { return };
        self.ended.push(line);
        self.session.closed(MonoNanos(self.now), id, code, "");
        self.lost();
        self.carry_out();
    }

    pub fn cut_all(&mut self) {
        for id in self.lines.keys().copied().collect::<Vec<_>>() {
            self.cut(id, 1006);
        }
    }

    pub fn say_all(&mut self, text: &str) {
        for id in self.lines.keys().copied().collect::<Vec<_>>() {
            self.at(0, Event::Frame(id, text.to_owned()));
        }
    }

    fn lost(&mut self) {
        if !self.lines.values().any(|line| line.is_open) {
            self.counts.whole.clear();
            self.asked.clear();
        }
    }

    pub fn carry_out(&mut self) {
        for action in self.session.actions() {
            self.log.push((self.now, action.clone()));
            match action {
                Action::Connect { conn, .. } => self.connect(conn),
                Action::Send { conn, text } => self.send(conn, &text),
                Action::Ping { conn } => {
                    self.lines.get_mut(&conn).unwrap().sent_at.push(self.now);
                    if !self.ills.no_pongs {
                        self.at(30 * MILLI, Event::Pong(conn));
                    }
                }
                Action::Close { conn, .. } => {
                    let line = self.lines.remove(&conn).expect("what is closed is known");
                    self.ended.push(line);
                    self.cared_at.values_mut().for_each(|at| *at = self.now);
                    self.lost();
                }
                Action::Pull { pull, purpose, .. } => {
                    let weight = match purpose {
                        Purpose::Snapshot { .. } => protocol::SNAPSHOT_WEIGHT,
                        Purpose::Trades { .. } => protocol::TRADES_WEIGHT,
                    };
                    self.spent.push((self.now, weight));
                    self.at(80 * MILLI, Event::Rest(pull, purpose));
                }
                Action::Silent { symbol, kind: StreamKind::Depth, conn: None } => {
                    self.counts.whole.remove(&symbol);
                    self.asked.remove(&symbol);
                }
                Action::Silent { .. } => {}
                Action::Left { symbol } => {
                    // The checker forgets it.
                    self.counts.whole.remove(&symbol);
                    self.asked.remove(&symbol);
                    self.counts.heard.remove(&symbol);
                    self.heard_at.retain(|stream, _| stream.symbol != symbol);
                }
                Action::Tell { .. } => {}
            }
        }
    }

    fn connect(&mut self, conn: ConnId) {
        self.connects.push(self.now);
        self.cared_at.values_mut().for_each(|at| *at = self.now);
        self.lines.insert(conn, Line::default());
        let delay = self.rng.u64(20..200) * MILLI;
        if self.ills.limited.is_some() {
            self.at(delay, Event::Refuse(conn));
        } else if !self.ills.no_connects {
            self.at(delay, Event::Open(conn));
        }
    }

    fn send(&mut self, conn: ConnId, text: &str) {
        let delay = self.rng.u64(10..150) * MILLI;
        let line = self.lines.get_mut(&conn).expect("sent where it is open");
        assert!(line.is_open, "sent where it is open");
        line.sent_at.push(self.now);
        let mut words = text.split(' ');
        let (verb, id, streams) = (words.next().unwrap(), words.next(), words.next());
        let (Some(id), Some(streams)) = (id, streams.map(read_streams)) else {
            return self.at(delay, Event::Frame(conn, "PONG".to_owned()));
        };
        for stream in &streams {
            self.cared_at.insert(stream.clone(), self.now);
        }
        if self.ills.no_answers || self.ills.deaf.contains(&conn) {
            return;
        }
        if verb == "SUB" && streams.iter().any(|stream| self.ills.ignored.contains(stream)) {
            return;
        }
        if verb == "UNS" {
            for stream in &streams {
                line.streams.remove(stream);
            }
            return self.at(delay, Event::Frame(conn, format!("ACK {id}")));
        }
        // The whole request is refused for one bad stream.
        if streams.iter().any(|stream| self.ills.refused.contains(stream)) {
            return self.at(delay, Event::Frame(conn, format!("NO {id} unknown symbol")));
        }
        self.next += 1;
        let number = self.next;
        let answer = if self.rng.bool() {
            vec![format!("ACK {id}")]
        } else {
            streams.iter().map(|stream| format!("ACKS {}", write_streams(std::slice::from_ref(stream)))).collect()
        };
        let answer = if self.ills.no_acknowledgements { Vec::new() } else { answer };
        for answer in answer {
            self.at(delay, Event::Frame(conn, answer));
        }
        for stream in streams {
            self.lines.get_mut(&conn).unwrap().streams.insert(stream.clone(), number);
            if !self.joins && stream.kind == StreamKind::Depth {
                self.asked.insert(format!("{conn:?} {}", stream.symbol));
                self.at(delay + 1, Event::Data(conn, stream, number));
            } else {
                self.later(conn, stream, number);
            }
        }
    }

    /// A symbol is recorded from now on, with trades, quotes and depth; its streams speak as often as the others.
    pub fn join(&mut self, symbol: &str, mean_ns: u64) {
        for kind in StreamKind::ALL {
            let stream = protocol::stream(kind, symbol);
            self.mean_ns.insert(stream.clone(), mean_ns);
            self.cared_at.insert(stream.clone(), self.now);
            if !self.streams.contains(&stream) {
                self.streams.push(stream);
            }
        }
        self.session.join(MonoNanos(self.now), symbol);
        self.carry_out();
    }

    /// A symbol is not recorded any more.
    pub fn leave(&mut self, symbol: &str) {
        self.streams.retain(|stream| stream.symbol != symbol);
        self.session.leave(MonoNanos(self.now), symbol);
        self.carry_out();
    }

    /// At any time each stream is heard, or something is done for it within a minute and its limit.
    fn check_zombies(&self) {
        if !self.is_zombie_free {
            return;
        }
        for stream in self.streams.iter().filter(|stream| !self.excused.contains(stream)) {
            let first = if stream.kind == StreamKind::Trades {
                self.config.periods.first_trade
            } else {
                self.config.periods.first_data
            };
            let limit = u64::try_from(first.as_nanos()).unwrap() + 60 * SECOND;
            let since = self.cared_at[stream].max(self.heard_at.get(stream).copied().unwrap_or(0));
            assert!(self.now - since <= limit, "{stream}: nothing for {} s", (self.now - since) / SECOND);
        }
    }

    /// What is shown is what is.
    fn check_view(&self) {
        let view = self.session.view();
        let open = self.lines.values().filter(|line| line.is_open).count();
        assert_eq!(view.connections_live + view.connections_opening, self.lines.len());
        assert!(view.connections_live <= open, "{view:?}");
        let is_subscribed = |stream: &Stream| self.lines.values().any(|line| line.streams.contains_key(stream));
        for (stream, state) in &view.streams {
            let is_heard = matches!(state, StreamState::Alive | StreamState::Quiet);
            assert!(!is_heard || is_subscribed(stream) && self.heard_at.contains_key(stream), "{stream} {state:?}");
        }
    }

    pub fn state(&self, stream: &Stream) -> StreamState {
        self.session.view().streams.into_iter().find(|(other, _)| other == stream).unwrap().1
    }

    /// Every stream speaks, and every connection is there.
    pub fn is_well(&self) -> bool {
        let view = self.session.view();
        view.connections_live == usize::from(self.config.redundancy)
            && view.streams.iter().all(|(_, state)| matches!(state, StreamState::Alive | StreamState::Quiet))
    }

    pub fn assert_well(&self, what: &str) {
        assert!(self.is_well(), "{what}: {:?}\n{:#?}", self.session.view(), self.tail());
    }

    pub fn tail(&self) -> Vec<String> {
        let tail = self.log.iter().rev().take(40);
        tail.map(|(at, action)| format!("{:.3} {action:?}", Duration::from_nanos(*at).as_secs_f64())).collect()
    }

    pub fn closes(&self, since: u64) -> Vec<(u64, ConnId, Why)> {
        let close = |(at, action): &(u64, Action)| match action {
            Action::Close { conn, why } if *at >= since => Some((*at, *conn, *why)),
            _ => None,
        };
        self.log.iter().filter_map(close).collect()
    }

    pub fn told(&self) -> Vec<&str> {
        self.log
            .iter()
            .filter_map(|(_, action)| match action {
                Action::Tell { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// No window of any budget holds more than allowed.
    pub fn assert_budgets(&self) {
        let limits = &self.config.limits;
        let period = |budget: &feedd_live::config::Budget| u64::try_from(budget.period.as_nanos()).unwrap();
        let within = |what: &str, spent: &[(u64, u32)], count: u32, period: u64| {
            let mut sum = 0;
            let mut first = 0;
            for (at, cost) in spent {
                sum += cost;
                while at - spent[first].0 >= period {
                    sum -= spent[first].1;
                    first += 1;
                }
                assert!(sum <= count, "{what}: {sum} until {at}");
            }
        };
        for line in self.lines.values().chain(&self.ended) {
            let sent: Vec<(u64, u32)> = line.sent_at.iter().map(|&at| (at, 1)).collect();
            within("messages", &sent, limits.messages.count, period(&limits.messages));
            within("messages at once", &sent, limits.messages.burst, 1);
        }
        let connects: Vec<(u64, u32)> = self.connects.iter().map(|&at| (at, 1)).collect();
        within("connects", &connects, limits.connects.count, period(&limits.connects));
        within("weight", &self.spent, limits.rest_weight.count, period(&limits.rest_weight));
    }
}

//! Subscriptions of one connection: what is to be asked, what was, and which answer belongs to which question.
//!
//! Questions wait as streams and become texts only when the message budget lets them go, so that what gathers meanwhile shares a
//! request.

use super::budget::Budget;
use crate::protocol::{Protocol, Request, Subject};
use crate::stream::Stream;
use feedd_model::MonoNanos;
use std::collections::{BTreeMap, VecDeque};

/// Streams and their places.
#[derive(Debug, Default)]
pub(super) struct Places {
    streams: Vec<Stream>,
    places: BTreeMap<Stream, usize>,
}

impl Places {
    /// False when it is there already.
    pub(super) fn add(&mut self, stream: &Stream) -> bool {
        let is_new = !self.places.contains_key(stream);
        if is_new {
            self.places.insert(stream.clone(), self.streams.len());
            self.streams.push(stream.clone());
        }
        is_new
    }

    fn get(&self, stream: &Stream) -> Option<usize> {
        self.places.get(stream).copied()
    }

    fn at(&self, places: &[usize]) -> Vec<Stream> {
        places.iter().map(|&place| self.streams[place].clone()).collect()
    }
}

/// What texts are made with.
pub(super) struct Pen<'s> {
    pub(super) protocol: &'s dyn Protocol,
    pub(super) places: &'s Places,
    pub(super) next_id: &'s mut u64,
}

impl Pen<'_> {
    fn write(&mut self, verb: Verb, streams: &[usize], texts: &mut VecDeque<(Verb, Request, Vec<usize>)>) {
        if streams.is_empty() {
            return;
        }
        let streams = self.places.at(streams);
        let requests = match verb {
            Verb::Subscribe => self.protocol.subscribe(&streams, *self.next_id),
            Verb::Unsubscribe => self.protocol.unsubscribe(&streams, *self.next_id),
        };
        for request in requests {
            *self.next_id = request.id.max(*self.next_id) + 1;
            let streams = request.streams.iter().filter_map(|stream| self.places.get(stream)).collect();
            texts.push_back((verb, request, streams));
        }
    }
}

/// A stream on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sub {
    /// Not asked for.
    Off,
    /// To be asked for.
    Waiting,
    /// Asked for.
    Sent,
    /// Acknowledged.
    Acked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Subscribe,
    Unsubscribe,
}

/// A request that was sent and not answered yet.
#[derive(Debug)]
struct Asked {
    id: u64,
    verb: Verb,
    streams: Vec<usize>,
    sent_at: MonoNanos,
}

/// What a refusal means.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// These streams the venue will not give.
    pub(super) streams: Vec<usize>,
    /// It may have been any stream of the request: the halves are asked for again apart.
    pub(super) is_split: bool,
    /// It was about ending a stream, which is of no consequence.
    pub(super) is_of_end: bool,
}

/// The subscriptions of one connection.
#[derive(Debug)]
pub(super) struct Subscriptions {
    pub(super) states: Vec<Sub>,
    ends: Vec<usize>,
    begins: Vec<usize>,
    /// Parts of what was refused or not answered: each becomes requests of its own.
    parts: VecDeque<Vec<usize>>,
    texts: VecDeque<(Verb, Request, Vec<usize>)>,
    asked: Vec<Asked>,
    pub(super) budget: Budget,
}

impl Subscriptions {
    pub(super) fn new(streams: usize, budget: Budget) -> Self {
        Self {
            states: vec![Sub::Off; streams],
            ends: Vec::new(),
            begins: Vec::new(),
            parts: VecDeque::new(),
            texts: VecDeque::new(),
            asked: Vec::new(),
            budget,
        }
    }

    /// Asks for streams. One that has been asked for is ended first, so that it begins anew.
    pub(super) fn begin(&mut self, streams: impl IntoIterator<Item = usize>) {
        for stream in streams {
            match std::mem::replace(&mut self.states[stream], Sub::Waiting) {
                Sub::Waiting => continue,
                Sub::Off => {}
                Sub::Sent | Sub::Acked => {
                    self.ends.push(stream);
                    self.forget(stream);
                }
            }
            self.begins.push(stream);
        }
    }

    /// Asks for streams that had no answer, each by itself, so that one of them does not spoil the others'.
    pub(super) fn begin_apart(&mut self, streams: impl IntoIterator<Item = usize>) {
        for stream in streams {
            if self.states[stream] != Sub::Waiting {
                self.states[stream] = Sub::Waiting;
                self.forget(stream);
                self.parts.push_back(vec![stream]);
            }
        }
    }

    /// Gives a stream up: neither asked for nor expected.
    pub(super) fn drop_stream(&mut self, stream: usize) {
        self.states[stream] = Sub::Off;
        self.forget(stream);
    }

    /// Ends a stream that is not wanted any more, also one whose request is on its way.
    pub(super) fn end(&mut self, stream: usize) {
        let is_written =
            self.texts.iter().any(|(verb, _, streams)| *verb == Verb::Subscribe && streams.contains(&stream));
        match std::mem::replace(&mut self.states[stream], Sub::Off) {
            Sub::Sent | Sub::Acked => self.ends.push(stream),
            Sub::Waiting if is_written => self.ends.push(stream),
            Sub::Waiting | Sub::Off => {}
        }
        self.begins.retain(|&other| other != stream);
        self.forget(stream);
    }

    /// Whether the end of a stream is still to be asked for, or has not been answered.
    pub(super) fn is_ending(&self, stream: usize) -> bool {
        let is_end =
            |(verb, _, streams): &(Verb, Request, Vec<usize>)| *verb == Verb::Unsubscribe && streams.contains(&stream);
        self.ends.contains(&stream)
            || self.texts.iter().any(is_end)
            || self.asked.iter().any(|asked| asked.verb == Verb::Unsubscribe && asked.streams.contains(&stream))
    }

    fn forget(&mut self, stream: usize) {
        for asked in self.asked.iter_mut().filter(|asked| asked.verb == Verb::Subscribe) {
            asked.streams.retain(|&other| other != stream);
        }
        self.asked.retain(|asked| asked.verb == Verb::Unsubscribe || !asked.streams.is_empty());
    }

    /// When the next text may go; `None` when nothing is to be sent.
    pub(super) fn ready_at(&self) -> Option<MonoNanos> {
        let is_idle = self.ends.is_empty() && self.begins.is_empty() && self.parts.is_empty() && self.texts.is_empty();
        (!is_idle).then(|| self.budget.ready_at(1))
    }

    /// Whether every stream that was asked for is acknowledged.
    pub(super) fn is_settled(&self) -> bool {
        self.states.iter().all(|state| matches!(state, Sub::Off | Sub::Acked))
    }

    /// The next text, when the budget allows one, with the streams it asks for. `lost`: streams that the protocol has no request
    /// for.
    pub(super) fn next(
        &mut self,
        now: MonoNanos,
        pen: &mut Pen<'_>,
        lost: &mut Vec<usize>,
    ) -> Option<(String, Vec<usize>)> {
        while self.texts.is_empty() {
            self.ready_at()?;
            self.write(pen, lost);
        }
        if !self.budget.take(now, 1) {
            return None;
        }
        let (verb, request, mut streams) = self.texts.pop_front()?;
        if verb == Verb::Subscribe {
            streams.retain(|&stream| self.states[stream] == Sub::Waiting);
            for &stream in &streams {
                self.states[stream] = Sub::Sent;
            }
        }
        // What has no streams of ours (a venue's heartbeats) need not be answered.
        if !streams.is_empty() {
            self.asked.push(Asked { id: request.id, verb, streams: streams.clone(), sent_at: now });
        }
        Some((request.text, if verb == Verb::Subscribe { streams } else { Vec::new() }))
    }

    fn write(&mut self, pen: &mut Pen<'_>, lost: &mut Vec<usize>) {
        pen.write(Verb::Unsubscribe, &std::mem::take(&mut self.ends), &mut self.texts);
        let mut part = std::mem::take(&mut self.begins);
        if part.is_empty() {
            part = self.parts.pop_front().unwrap_or_default();
        }
        part.retain(|&stream| self.states[stream] == Sub::Waiting);
        pen.write(Verb::Subscribe, &part, &mut self.texts);
        let mut is_asked = vec![false; self.states.len()];
        for (_, _, streams) in self.texts.iter().filter(|(verb, ..)| *verb == Verb::Subscribe) {
            streams.iter().for_each(|&stream| is_asked[stream] = true);
        }
        for stream in part.into_iter().filter(|&stream| !is_asked[stream]) {
            self.states[stream] = Sub::Off;
            lost.push(stream);
        }
    }

    /// The venue accepted something; whether a stream of ours is acknowledged by it.
    pub(super) fn accept(&mut self, subject: &Subject, places: &Places) -> bool {
        let at = match subject {
            Subject::Streams(streams) => {
                let mut is_news = false;
                for stream in streams.iter().filter_map(|stream| places.get(stream)) {
                    if self.states[stream] == Sub::Sent {
                        self.states[stream] = Sub::Acked;
                        is_news = true;
                    }
                    // Whether it was its end or its begin that was accepted: where both were asked for, the begin follows.
                    for asked in &mut self.asked {
                        asked.streams.retain(|&other| other != stream);
                    }
                }
                self.asked.retain(|asked| !asked.streams.is_empty());
                return is_news;
            }
            Subject::Request(id) => self.asked.iter().position(|asked| asked.id == *id),
            Subject::Unknown => (!self.asked.is_empty()).then_some(0),
        };
        let Some(at) = at else { return false };
        let asked = self.asked.remove(at);
        if asked.verb == Verb::Unsubscribe {
            return false;
        }
        for &stream in &asked.streams {
            self.states[stream] = Sub::Acked;
        }
        true
    }

    /// The venue refused something.
    pub(super) fn refuse(&mut self, subject: &Subject, places: &Places) -> Refusal {
        let at = match subject {
            Subject::Streams(streams) => {
                let streams = streams.iter().filter_map(|stream| places.get(stream)).collect();
                return self.refuse_streams(streams);
            }
            Subject::Request(id) => self.asked.iter().position(|asked| asked.id == *id),
            Subject::Unknown => (!self.asked.is_empty()).then_some(0),
        };
        let Some(at) = at else { return Refusal::default() };
        let mut asked = self.asked.remove(at);
        if asked.verb == Verb::Unsubscribe {
            return Refusal { is_of_end: true, ..Refusal::default() };
        }
        if asked.streams.len() > 1 {
            for &stream in &asked.streams {
                self.states[stream] = Sub::Waiting;
            }
            let second = asked.streams.split_off(asked.streams.len() / 2);
            self.parts.extend([asked.streams, second]);
            return Refusal { is_split: true, ..Refusal::default() };
        }
        for &stream in &asked.streams {
            self.states[stream] = Sub::Off;
        }
        Refusal { streams: asked.streams, ..Refusal::default() }
    }

    fn refuse_streams(&mut self, streams: Vec<usize>) -> Refusal {
        let mut refusal = Refusal::default();
        for stream in streams {
            let oldest = self.asked.iter_mut().find(|asked| asked.streams.contains(&stream));
            match oldest {
                Some(asked) if asked.verb == Verb::Unsubscribe => {
                    asked.streams.retain(|&other| other != stream);
                    refusal.is_of_end = true;
                }
                Some(_) => {
                    self.drop_stream(stream);
                    refusal.streams.push(stream);
                }
                // "Already subscribed" and the like: what was not asked for cannot be refused.
                None => {}
            }
        }
        self.asked.retain(|asked| !asked.streams.is_empty());
        refusal
    }

    /// Streams whose subscription has not been answered for so long; they are not asked for any more.
    pub(super) fn unanswered(&mut self, now: MonoNanos, limit_ns: u64) -> Vec<usize> {
        let mut late = Vec::new();
        self.asked.retain_mut(|asked| {
            let is_late = now.since(asked.sent_at) >= limit_ns;
            if is_late && asked.verb == Verb::Subscribe {
                late.append(&mut asked.streams);
            }
            !is_late
        });
        for &stream in &late {
            self.states[stream] = Sub::Off;
        }
        late
    }

    /// What was not answered meanwhile was the recorder's own doing.
    pub(super) fn forgive(&mut self, now: MonoNanos) {
        for asked in &mut self.asked {
            asked.sent_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::stream::StreamKind;
    use std::time::Duration;

    const NOW: MonoNanos = MonoNanos(1_000_000_000);

    /// Streams 0 to 3, of which those given have been sent in one request with number 7.
    fn sent(streams: &[usize]) -> (Subscriptions, Places) {
        let mut places = Places::default();
        for i in 0..4 {
            assert!(places.add(&Stream { kind: StreamKind::Trades, symbol: format!("S{i}") }));
        }
        let budget = config::Budget { count: 100, period: Duration::from_secs(1), burst: 100 };
        let mut subscriptions = Subscriptions::new(4, Budget::new(budget));
        for &stream in streams {
            subscriptions.states[stream] = Sub::Sent;
        }
        subscriptions.asked.push(Asked { id: 7, verb: Verb::Subscribe, streams: streams.to_vec(), sent_at: NOW });
        (subscriptions, places)
    }

    #[test]
    fn answers_find_their_question() {
        // subject, stream that is acknowledged then
        let named = |places: &Places, at: &[usize]| Subject::Streams(places.at(at));
        let (mut request, places) = sent(&[0, 1]);
        assert!(!request.accept(&Subject::Request(8), &places), "of another one");
        assert!(request.accept(&Subject::Request(7), &places));
        assert_eq!(request.states, [Sub::Acked, Sub::Acked, Sub::Off, Sub::Off]);
        assert!(!request.accept(&Subject::Request(7), &places), "once");

        let (mut each, places) = sent(&[0, 1]);
        assert!(each.accept(&named(&places, &[1]), &places));
        assert_eq!(each.states[..2], [Sub::Sent, Sub::Acked]);
        assert!(!each.is_settled());
        assert!(!each.accept(&named(&places, &[3]), &places), "nobody asked");
        assert!(each.accept(&named(&places, &[0, 1, 3]), &places));
        assert!(each.is_settled() && each.asked.is_empty());

        let (mut oldest, places) = sent(&[2]);
        assert!(oldest.accept(&Subject::Unknown, &places));
        assert_eq!(oldest.states[2], Sub::Acked);
    }

    #[test]
    fn refusals_hit_what_was_asked() {
        let (mut single, places) = sent(&[2]);
        let refused = Refusal { streams: vec![2], ..Refusal::default() };
        assert_eq!(single.refuse(&Subject::Request(7), &places), refused);
        assert_eq!(single.states[2], Sub::Off);

        let (mut several, places) = sent(&[0, 1, 2]);
        let split = Refusal { is_split: true, ..Refusal::default() };
        assert_eq!(several.refuse(&Subject::Unknown, &places), split);
        assert_eq!(several.parts, [vec![0], vec![1, 2]]);

        let (mut one, places) = sent(&[0, 1]);
        assert_eq!(one.refuse(&Subject::Streams(places.at(&[1])), &places).streams, [1]);
        assert_eq!(one.states[..2], [Sub::Sent, Sub::Off]);
        one.accept(&Subject::Request(7), &places);
        let again = Subject::Streams(places.at(&[0]));
        assert_eq!(one.refuse(&again, &places), Refusal::default(), "already subscribed");
        assert_eq!(one.states[0], Sub::Acked);
        // The end of a stream may be refused; that does not touch its begin.
        one.asked.push(Asked { id: 8, verb: Verb::Unsubscribe, streams: vec![0], sent_at: NOW });
        assert_eq!(one.refuse(&again, &places), Refusal { is_of_end: true, ..Refusal::default() });
        assert_eq!(one.states[0], Sub::Acked);
    }

    #[test]
    fn what_is_not_answered_in_time_is_told_once() {
        let (mut late, _) = sent(&[0, 3]);
        assert!(late.unanswered(MonoNanos(NOW.0 + 9), 10).is_empty());
        assert_eq!(late.unanswered(MonoNanos(NOW.0 + 10), 10), [0, 3]);
        assert!(late.unanswered(MonoNanos(NOW.0 + 99), 10).is_empty());
        assert_eq!(late.states[3], Sub::Off);
    }
}

//! One connection: how far it is, what it was asked for, when it last gave a sign of life.

use super::action::ConnId;
use super::liveness::Pulse;
use super::pairs::Ear;
use super::requests::Subscriptions;
use crate::session::action::Why;
use feedd_model::MonoNanos;

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    /// Place of its slot.
    pub(super) slot: usize,
    /// When it was attempted, or open.
    pub(super) began_at: MonoNanos,
    pub(super) is_open: bool,
    /// Last sign of life of any kind.
    pub(super) heard_at: MonoNanos,
    /// Last frame. Pongs do not count: a venue that cuts a connection without data does not count them either.
    pub(super) frame_at: MonoNanos,
    /// Messages with market data.
    pub(super) messages: u64,
    /// Of the messages, all streams together.
    pub(super) pulse: Pulse,
    pub(super) subscriptions: Subscriptions,
    /// What it says of each stream, while another connection says the same; empty otherwise.
    pub(super) ears: Vec<Ear>,
    /// When the venue acknowledged the first stream.
    pub(super) acknowledged_at: Option<MonoNanos>,
    /// When every stream was acknowledged for the first time.
    pub(super) subscribed_at: Option<MonoNanos>,
    /// Messages of its predecessor at that moment.
    pub(super) before_messages: u64,
    /// Since when it is subscribed and heard.
    pub(super) live_at: Option<MonoNanos>,
    /// It has been live for so long that its failures are forgotten.
    pub(super) is_stable: bool,
    /// It is to be replaced, and why.
    pub(super) retire: Option<Why>,
    /// When it is to be replaced because the venue will cut it.
    pub(super) replace_at: Option<MonoNanos>,
    pub(super) pinged_at: MonoNanos,
    pub(super) text_pinged_at: MonoNanos,
}

impl Conn {
    pub(super) fn new(
        now: MonoNanos,
        id: ConnId,
        slot: usize,
        replace_at: Option<MonoNanos>,
        parts: (Pulse, Subscriptions),
    ) -> Self {
        let (pulse, subscriptions) = parts;
        Self {
            id,
            slot,
            began_at: now,
            is_open: false,
            heard_at: now,
            frame_at: now,
            messages: 0,
            pulse,
            subscriptions,
            ears: Vec::new(),
            acknowledged_at: None,
            subscribed_at: None,
            before_messages: 0,
            live_at: None,
            is_stable: false,
            retire: None,
            replace_at,
            pinged_at: now,
            text_pinged_at: now,
        }
    }

    /// Subscribed and heard.
    pub(super) const fn is_live(&self) -> bool {
        self.subscribed_at.is_some() && self.messages > 0
    }

    /// What was not heard meanwhile was the recorder's own doing.
    pub(super) fn forgive(&mut self, now: MonoNanos) {
        (self.heard_at, self.frame_at) = (now, now);
        self.acknowledged_at = self.acknowledged_at.map(|_| now);
        if !self.is_open {
            self.began_at = now;
        }
        if self.pulse.heard_at.is_some() {
            self.pulse.heard_at = Some(now);
        }
        self.subscriptions.forgive(now);
        self.ears.iter_mut().for_each(|ear| ear.forgive(now));
    }
}

//! The housekeeping thread: lets faults strike when they are due, and writes the log.

use crate::faults::{ChaosClock, Fault, FaultKind};
use crate::hub::{Hub, Order, Window, count};
use std::time::{Duration, Instant};

/// How exact the times of faults are.
const TURN: Duration = Duration::from_millis(10);
/// How often the log is written.
const LOG_EVERY: Duration = Duration::from_millis(100);

/// Runs until the server ends.
pub(crate) fn run(hub: &Hub, mut chaos: Option<ChaosClock>) {
    for fault in &hub.config.faults {
        hub.schedule(hub.started + fault.at.unwrap_or_default(), Fault { at: None, ..fault.clone() });
    }
    let mut logged = Instant::now();
    while !hub.is_ending() {
        let now = Instant::now();
        for fault in hub.due_faults(now) {
            strike(hub, &fault);
        }
        if let Some(chaos) = &mut chaos {
            while chaos.next_at() <= hub.started.elapsed() {
                if let Some(fault) = chaos.take() {
                    strike(hub, &fault);
                }
            }
        }
        if now.duration_since(logged) >= LOG_EVERY {
            hub.log.flush();
            logged = now;
        }
        std::thread::sleep(TURN);
    }
}

/// Lets a fault strike, now or when its time comes.
pub(crate) fn inject(hub: &Hub, fault: Fault) {
    match fault.at {
        Some(after) => hub.schedule(Instant::now() + after, Fault { at: None, ..fault }),
        None => strike(hub, &fault),
    }
}

fn strike(hub: &Hub, fault: &Fault) {
    count(&hub.totals.faults, 1);
    let until = fault.lasts.map(|lasts| Instant::now() + lasts);
    let line = hub.log.line("fault").text("fault", fault.kind.name());
    let line = match fault.lasts {
        Some(lasts) => line.number("lasts_ms", u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX)),
        None => line,
    };
    hub.log.put(match fault.conn {
        Some(conn) => line.number("conn", conn),
        None => line,
    });
    match &fault.kind {
        FaultKind::SlowHandshake | FaultKind::Status429 => {
            return hub.add_window(Window { kind: fault.kind.clone(), until });
        }
        FaultKind::Skew { ms } => {
            hub.set_skew(*ms * 1_000_000);
            if let Some(until) = until {
                hub.schedule(until, FaultKind::Skew { ms: 0 }.into());
            }
            return;
        }
        FaultKind::SequenceReset if fault.conn.is_none() => hub.market().reset_sequences(),
        // With an end it holds for those who come meanwhile as well.
        kind if kind.lasts() && until.is_some() && fault.conn.is_none() => {
            hub.add_window(Window { kind: kind.clone(), until });
        }
        _ => {}
    }
    for inbox in hub.inboxes() {
        if fault.conn.is_none_or(|conn| conn == inbox.conn) {
            inbox.order(Order { kind: fault.kind.clone(), until });
        }
    }
}

//! What a session is at, for people.

use super::Session;
use super::action::View;

impl Session {
    /// What the session is at, for people: connections and streams with their state.
    #[must_use]
    pub fn view(&self) -> View {
        let live = self.conns.iter().filter(|conn| conn.is_live()).count();
        View {
            connections_live: live,
            connections_opening: self.conns.len() - live,
            streams: self
                .streams
                .iter()
                .map(|care| (care.stream.clone(), care.state(self.now, &self.config.periods)))
                .collect(),
        }
    }
}

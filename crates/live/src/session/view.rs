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
            streams_half_mute: self.conns.iter().flat_map(|conn| &conn.ears).filter(|ear| ear.is_mute()).count(),
            streams: self
                .streams
                .iter()
                .enumerate()
                .filter(|(place, _)| self.is_here(*place))
                .map(|(_, care)| (care.stream.clone(), care.state(self.now, &self.config.periods)))
                .collect(),
        }
    }
}

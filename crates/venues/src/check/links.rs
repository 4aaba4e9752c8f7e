//! The connections of a source, by the names that frames carry.

use feedd_model::UnixNanos;

/// A connection of a source. Those opened later have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// Name of the connection on which REST answers come.
pub(super) const ANSWERS: &str = "rest";

/// Connections whose messages are counted apart: two, and two that replace them.
pub(super) const PLACES: usize = 4;

/// A number so far below the highest is not of a frame that comes late: a busy connection sends hundreds in the second that one
/// can be held up.
const LATE_MAX: i64 = 512;

#[derive(Debug)]
struct Link {
    id: LinkId,
    name: String,
    is_open: bool,
    /// Where what is heard on it is counted: its own, unless more than [`PLACES`] are open.
    place: usize,
    opened_at: Option<UnixNanos>,
    /// The venue's own number of the last frame.
    number: Option<i64>,
}

/// All of them; a source has one or two at a time, and those that are closed are forgotten.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
    next: u64,
    /// Place of the one whose frame is being read; `None` for REST answers.
    current: Option<usize>,
}

impl Links {
    /// Its place.
    pub(super) fn open(&mut self, name: &str, at: Option<UnixNanos>) -> usize {
        self.links.retain(|link| link.name != name);
        let is_free = |place: &usize| self.links.iter().all(|link| link.place != *place);
        let place = (0..PLACES - 1).find(is_free).unwrap_or(PLACES - 1);
        self.links.push(Link {
            id: LinkId(self.next),
            name: name.to_owned(),
            is_open: true,
            place,
            opened_at: at,
            number: None,
        });
        self.next += 1;
        self.current = None;
        place
    }

    /// Where what is heard on a connection is counted.
    pub(super) fn place_of(&self, name: &str) -> Option<usize> {
        self.links.iter().find(|link| link.name == name).map(|link| link.place)
    }

    /// A connection by its name.
    pub(super) fn id(&self, name: &str) -> Option<LinkId> {
        self.links.iter().find(|link| link.name == name).map(|link| link.id)
    }

    /// Where what is heard now is counted; `None` for REST answers.
    #[inline]
    pub(super) fn current_place(&self) -> Option<usize> {
        self.current.map(|at| self.links[at].place)
    }

    /// `None` when it was not open.
    pub(super) fn close(&mut self, name: &str) -> Option<LinkId> {
        let at = self.links.iter().position(|link| link.name == name && link.is_open)?;
        self.current = None;
        Some(self.links.remove(at).id)
    }

    pub(super) fn open_count(&self) -> usize {
        self.links.iter().filter(|link| link.is_open).count()
    }

    /// Frames of a connection that nobody has opened are of one that was open before: a recording may begin anywhere.
    #[inline]
    pub(super) fn enter(&mut self, name: &str) {
        if let Some(at) = self.current
            && self.links[at].name == name
        {
            return;
        }
        self.current = if name == ANSWERS { None } else { Some(self.place(name)) };
    }

    #[cold]
    fn place(&mut self, name: &str) -> usize {
        if let Some(at) = self.links.iter().position(|link| link.name == name) {
            return at;
        }
        self.open(name, None);
        self.links.len() - 1
    }

    /// Whether the frame answers a request of the recorder.
    pub(super) const fn is_answer(&self) -> bool {
        self.current.is_none()
    }

    pub(super) fn opened_at(&self) -> Option<UnixNanos> {
        self.links[self.current?].opened_at
    }

    /// Whether messages of the current connection count for an instrument, where numbers are not the same on every
    /// connection: those of the one opened last do, from a snapshot (`can_begin`) on.
    pub(super) fn counts(&self, counting: &mut Option<LinkId>, can_begin: bool) -> bool {
        let Some(current) = self.current.map(|at| self.links[at].id) else { return true };
        match *counting {
            Some(link) if link == current => true,
            Some(link) if self.links.iter().any(|other| other.id == link) && (!can_begin || current < link) => false,
            _ => {
                *counting = Some(current);
                true
            }
        }
    }

    /// Notes the venue's number of the current frame; the one before it on the same connection, which is the highest so far
    /// but for a venue that counts anew.
    pub(super) fn number(&mut self, number: i64) -> Option<(i64, LinkId)> {
        let link = &mut self.links[self.current?];
        // What comes late does not set the count back, or all that overtook it would be missed a second time.
        let is_late = |before: &i64| number > 0 && (1..LATE_MAX).contains(&(*before - number));
        if let Some(before) = link.number.filter(is_late) {
            return Some((before, link.id));
        }
        Some((link.number.replace(number)?, link.id))
    }
}

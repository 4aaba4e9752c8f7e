//! The prices of a book's levels by their ids: changes and removals of `orderBookL2` may name the id only.
//!
//! Kept by connection, table and symbol, because `orderBookL2_25` drops levels that `orderBookL2` still has. A partial
//! forgets all ids of its book.

use rustc_hash::FxHashMap;

/// Books remembered at once, of all connections: the venue has some two hundred instruments. One more takes the place of the
/// one that has been silent longest.
const BOOKS_MAX: usize = 4096;
/// Ids remembered at once, of all books: some hundred bytes each at most. More make the books forgotten that have been
/// silent longest; their changes are unknown until their next partial.
const IDS_MAX: usize = 1 << 21;
/// Longest price that is kept: 64 bits and a point need 21 characters.
pub(super) const PRICE_BYTES_MAX: usize = 23;
/// Room of a book that is not given back when its ids go.
const ROOM_MIN: usize = 1024;

/// The text of a price as sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Price {
    text: [u8; PRICE_BYTES_MAX],
    len: u8,
}

impl Price {
    /// `None` above [`PRICE_BYTES_MAX`].
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut price = Self { len: u8::try_from(text.len()).ok()?, ..Self::default() };
        price.text.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(price)
    }

    /// As sent.
    pub(super) fn text(&self) -> &str {
        self.text.get(..usize::from(self.len)).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or("")
    }
}

/// Connection, table, symbol.
pub(super) type Key<'a> = (&'a str, &'a str, &'a str);

/// What a frame does to the ids of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// These are all.
    Replace,
    /// These are known from now on.
    Add,
    /// These are gone.
    Remove,
}

/// All books.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// Places in `books`.
    by_key: FxHashMap<Box<str>, usize>,
    books: Vec<Book>,
    /// Key of the book at hand.
    key: String,
    /// Ids in all books.
    ids: usize,
    /// Counts changes: tells which book has been silent longest.
    now: u64,
}

#[derive(Debug, Default)]
struct Book {
    key: Box<str>,
    prices: FxHashMap<i64, Price>,
    used_at: u64,
}

impl Books {
    /// The place of a known book, for [`Books::price`]; good until the next [`Books::apply`].
    pub(super) fn find(&mut self, key: Key<'_>) -> Option<usize> {
        self.set_key(key);
        self.by_key.get(self.key.as_str()).copied()
    }

    /// The price of an id.
    pub(super) fn price(&self, place: usize, id: i64) -> Option<&Price> {
        self.books.get(place)?.prices.get(&id)
    }

    /// Notes the ids of a frame.
    pub(super) fn apply(&mut self, key: Key<'_>, change: Change, ids: impl Iterator<Item = (i64, Price)>) {
        self.now += 1;
        let place = match self.find(key) {
            Some(place) => place,
            None if change == Change::Remove => return,
            None => self.add(),
        };
        let Some(book) = self.books.get_mut(place) else { return };
        book.used_at = self.now;
        self.ids -= book.prices.len();
        match change {
            Change::Replace => book.prices = ids.collect(),
            Change::Add => book.prices.extend(ids),
            Change::Remove => {
                for (id, _) in ids {
                    book.prices.remove(&id);
                }
                let (used, room) = (book.prices.len(), book.prices.capacity());
                if room > ROOM_MIN && used < room / 4 {
                    book.prices.shrink_to(used * 2);
                }
            }
        }
        self.ids += book.prices.len();
        while self.ids > IDS_MAX
            && let Some(silent) = self.most_silent()
        {
            self.forget(silent);
        }
    }

    fn set_key(&mut self, (conn, table, symbol): Key<'_>) {
        self.key.clear();
        for part in [conn, "/", table, "/", symbol] {
            self.key.push_str(part);
        }
    }

    /// A place for the book of `key`: a new one, or that of the one that has been silent longest.
    fn add(&mut self) -> usize {
        if self.books.len() >= BOOKS_MAX
            && let Some(silent) = self.most_silent()
        {
            self.forget(silent);
        }
        let place = self.books.len();
        self.books.push(Book { key: self.key.as_str().into(), ..Book::default() });
        self.by_key.insert(self.key.as_str().into(), place);
        place
    }

    fn most_silent(&self) -> Option<usize> {
        (0..self.books.len()).min_by_key(|&place| self.books.get(place).map(|book| book.used_at))
    }

    fn forget(&mut self, place: usize) {
        let book = self.books.swap_remove(place);
        self.ids -= book.prices.len();
        self.by_key.remove(&book.key);
        if let Some(moved) = self.books.get(place)
            && let Some(known) = self.by_key.get_mut(&moved.key)
        {
            *known = place;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(books: &mut Books, symbol: &str, ids: std::ops::Range<i64>) {
        let price = Price::new("0.5").unwrap();
        books.apply(("ws", "orderBookL2", symbol), Change::Add, ids.map(|id| (id, price)));
    }

    fn price(books: &mut Books, symbol: &str, id: i64) -> Option<String> {
        let place = books.find(("ws", "orderBookL2", symbol))?;
        books.price(place, id).map(|price| price.text().to_owned())
    }

    #[test]
    fn the_most_silent_book_makes_room_for_one_more() {
        let mut books = Books::default();
        let symbols: Vec<String> = (0..=BOOKS_MAX).map(|i| i.to_string()).collect();
        for symbol in &symbols[..BOOKS_MAX] {
            add(&mut books, symbol, 7..8);
        }
        add(&mut books, "0", 8..9);
        add(&mut books, &symbols[BOOKS_MAX], 7..8);
        assert_eq!((books.by_key.len(), books.books.len(), books.ids), (BOOKS_MAX, BOOKS_MAX, BOOKS_MAX + 1));
        assert_eq!(price(&mut books, "0", 7).as_deref(), Some("0.5"));
        assert_eq!(price(&mut books, "1", 7), None);
        // The one that took the freed place is found there.
        assert_eq!(price(&mut books, &symbols[BOOKS_MAX - 1], 7).as_deref(), Some("0.5"));
    }

    #[test]
    fn too_many_ids_make_the_most_silent_book_forgotten() {
        let mut books = Books::default();
        let half = i64::try_from(IDS_MAX / 2).unwrap();
        add(&mut books, "A", 0..half);
        add(&mut books, "B", 0..half);
        assert_eq!(books.ids, IDS_MAX);
        add(&mut books, "C", 0..1);
        assert_eq!((price(&mut books, "A", 1), books.ids), (None, IDS_MAX / 2 + 1));
        assert_eq!(price(&mut books, "B", half - 1).as_deref(), Some("0.5"));
    }

    #[test]
    fn removed_ids_give_their_room_back() {
        let mut books = Books::default();
        add(&mut books, "A", 0..100_000);
        let ids = (1..100_000).map(|id| (id, Price::default()));
        books.apply(("ws", "orderBookL2", "A"), Change::Remove, ids);
        assert_eq!((books.ids, price(&mut books, "A", 0).as_deref()), (1, Some("0.5")));
        assert!(books.books[0].prices.capacity() <= ROOM_MIN);
    }
}

//! Messages of PostgreSQL's protocol, version 3, found in a stream of bytes: where each begins and ends, and of which type.

/// Type of the messages before the first typed one: start-up, requests for TLS, cancel requests.
pub const STARTUP: u8 = 0;
/// Type of the one-byte answer to a request for TLS or GSSAPI encryption.
pub const ENCRYPTION_ANSWER: u8 = 1;

/// Bytes of a message's body that are kept to look at.
const HEAD_BYTES: usize = 32;
/// PostgreSQL refuses a larger start-up message.
const STARTUP_BYTES_MAX: u32 = 10_000;
/// PostgreSQL refuses a larger message.
const MESSAGE_BYTES_MAX: u32 = 0x3fff_ffff;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// One message, seen as soon as its type, its length and the first bytes of its body are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    /// Offset in the stream of its first byte.
    pub(super) begin: u64,
    /// Offset of the first byte behind it.
    pub(super) end: u64,
    head: Vec<u8>,
}

impl Message {
    pub(super) fn asks_for_encryption(&self) -> bool {
        self.kind == STARTUP && matches!(number(&self.head), Some(SSL_REQUEST | GSS_REQUEST))
    }

    fn is_last_of_startup(&self) -> bool {
        !self.asks_for_encryption() && number(&self.head) != Some(CANCEL_REQUEST)
    }

    /// A client's COMMIT: as a simple query, or as the text of a prepared statement.
    pub(super) fn asks_to_commit(&self) -> bool {
        let text = match self.kind {
            b'Q' => self.head.as_slice(),
            b'P' => self.head.iter().position(|&b| b == 0).map_or(&[][..], |end| &self.head[end + 1..]),
            _ => return false,
        };
        begins_with_word(text, b"COMMIT") || begins_with_word(text, b"END")
    }

    /// A server's confirmation of a COMMIT; a failed transaction answers with ROLLBACK.
    pub(super) fn confirms_commit(&self) -> bool {
        self.kind == b'C' && self.head.starts_with(b"COMMIT\0")
    }

    /// A server's word that a COMMIT was not done: the transaction had failed before, or fails now.
    pub(super) fn denies_commit(&self) -> bool {
        self.kind == b'E' || (self.kind == b'C' && self.head.starts_with(b"ROLLBACK\0"))
    }
}

/// Who speaks, and what is expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The client before its start-up message.
    Startup,
    /// Typed messages.
    Typed,
    /// Encrypted, or not this protocol at all: passed on unseen.
    Opaque,
}

/// Finds the messages of one direction. Bytes go in, in pieces of any size.
#[derive(Debug)]
pub(super) struct Parser {
    state: State,
    /// Bytes from the beginning of the message that is not known yet.
    partial: Vec<u8>,
    /// Offset of the first byte of `partial`, or of what comes next.
    at: u64,
    /// Bytes of a known message that are still to come.
    skip: u64,
    /// Answers of one byte that come before anything else.
    single_bytes: u32,
}

impl Parser {
    pub(super) const fn of_client() -> Self {
        Self::new(State::Startup)
    }

    const fn new(state: State) -> Self {
        Self { state, partial: Vec::new(), at: 0, skip: 0, single_bytes: 0 }
    }

    pub(super) const fn of_server() -> Self {
        Self::new(State::Typed)
    }

    pub(super) const fn opaque() -> Self {
        Self::new(State::Opaque)
    }

    /// The client has asked for encryption: one byte answers.
    pub(super) const fn expect_single_byte(&mut self) {
        self.single_bytes += 1;
    }

    /// From here on nothing is seen: the server has agreed to encrypt.
    pub(super) fn close_eyes(&mut self) {
        self.at += self.partial.len() as u64;
        self.partial.clear();
        self.state = State::Opaque;
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.state == State::Opaque
    }

    /// Bytes before this offset belong to messages that are known.
    pub(super) fn known_up_to(&self) -> u64 {
        if self.is_opaque() { u64::MAX } else { self.at }
    }

    /// Takes the next bytes of the stream and gives the messages that became known.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Vec<Message> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            if self.state == State::Opaque {
                self.at += bytes.len() as u64;
                break;
            }
            let skipped = bytes.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
            self.skip -= skipped as u64;
            self.at += skipped as u64;
            bytes = &bytes[skipped..];
            let Some((&first, rest)) = bytes.split_first() else { break };
            self.partial.push(first);
            bytes = rest;
            if let Some(message) = self.known() {
                self.skip = message.end - message.begin - self.partial.len() as u64;
                self.at = message.begin + self.partial.len() as u64;
                self.partial.clear();
                if message.kind == STARTUP && message.is_last_of_startup() {
                    self.state = State::Typed;
                }
                found.push(message);
            }
        }
        found
    }

    /// The message in `partial`, when enough of it is there.
    fn known(&mut self) -> Option<Message> {
        if self.single_bytes > 0 {
            self.single_bytes -= 1;
            return Some(Message {
                kind: ENCRYPTION_ANSWER,
                begin: self.at,
                end: self.at + 1,
                head: self.partial.clone(),
            });
        }
        let kind_bytes = usize::from(self.state == State::Typed);
        let body_at = kind_bytes + 4;
        let length = number(self.partial.get(kind_bytes..)?)?;
        let limit = if self.state == State::Startup { STARTUP_BYTES_MAX } else { MESSAGE_BYTES_MAX };
        if !(4..=limit).contains(&length) {
            self.close_eyes();
            return None;
        }
        let body_bytes = usize::try_from(length).ok()? - 4;
        if self.partial.len() < body_at + body_bytes.min(HEAD_BYTES) {
            return None;
        }
        let kind = if self.state == State::Typed { self.partial[0] } else { STARTUP };
        let end = self.at + (body_at + body_bytes) as u64;
        Some(Message { kind, begin: self.at, end, head: self.partial[body_at..].to_vec() })
    }
}

/// The answer to a request for encryption is yes.
pub(super) fn agrees_to_encrypt(message: &Message) -> bool {
    message.kind == ENCRYPTION_ANSWER && matches!(message.head.first(), Some(b'S' | b'G'))
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

fn begins_with_word(text: &[u8], word: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let Some((head, rest)) = text.split_at_checked(word.len()) else { return false };
    head.eq_ignore_ascii_case(word) && !rest.first().is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn startup(code: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        bytes.extend(code.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn messages_do_not_depend_on_where_reads_end() {
        let parts = [
            startup(SSL_REQUEST, b""),
            startup(196_608, b"user\0postgres\0\0"),
            typed(b'Q', b"BEGIN\0"),
            typed(b'd', &[7; 5000]),
            typed(b'c', b""),
            typed(b'Q', b"commit;\0"),
        ];
        let stream = parts.concat();
        for piece in [1, 2, 3, 7, 64, 4096, stream.len()] {
            let mut parser = Parser::of_client();
            let found: Vec<Message> = stream.chunks(piece).flat_map(|bytes| parser.feed(bytes)).collect();
            let kinds: Vec<u8> = found.iter().map(|m| m.kind).collect();
            assert_eq!(kinds, [STARTUP, STARTUP, b'Q', b'd', b'c', b'Q'], "pieces of {piece}");
            let mut at = 0;
            for (message, part) in found.iter().zip(&parts) {
                assert_eq!((message.begin, message.end), (at, at + part.len() as u64), "pieces of {piece}");
                at = message.end;
            }
            assert_eq!(parser.known_up_to(), at);
            assert!(found[0].asks_for_encryption() && !found[1].asks_for_encryption());
            let commits: Vec<bool> = found.iter().map(Message::asks_to_commit).collect();
            assert_eq!(commits, [false, false, false, false, false, true]);
        }
    }

    #[test]
    fn a_message_is_known_before_all_of_it_is_there() {
        let mut parser = Parser::of_server();
        let message = typed(b'd', &[1; 100]);
        assert!(parser.feed(&message[..HEAD_BYTES + 4]).is_empty());
        assert_eq!(parser.known_up_to(), 0, "an unknown message is held back from its first byte");
        let found = parser.feed(&message[HEAD_BYTES + 4..HEAD_BYTES + 10]);
        assert_eq!((found.len(), found[0].end), (1, 105));
        assert_eq!(parser.known_up_to(), HEAD_BYTES as u64 + 10);
    }

    #[test]
    fn the_answer_to_a_request_for_encryption_is_one_byte() {
        for (answer, encrypted) in [(b'N', false), (b'S', true)] {
            let mut parser = Parser::of_server();
            parser.expect_single_byte();
            let found = parser.feed(&[answer]);
            assert_eq!((found.len(), found[0].kind), (1, ENCRYPTION_ANSWER));
            assert_eq!(agrees_to_encrypt(&found[0]), encrypted);
            assert_eq!(parser.feed(&typed(b'R', &[0; 4])).len(), 1);
        }
    }

    #[test]
    fn words_of_a_commit() {
        let cases = [
            (b'Q', &b"COMMIT\0"[..], true),
            (b'Q', b"  commit ;\0", true),
            (b'Q', b"END\0", true),
            (b'Q', b"COMMIT PREPARED 'x'\0", true),
            (b'Q', b"COMMITTED\0", false),
            (b'Q', b"ENDED\0", false),
            (b'Q', b"SELECT 'COMMIT'\0", false),
            (b'P', b"name\0COMMIT\0\0\0", true),
            (b'P', b"COMMIT\0SELECT 1\0\0\0", false),
            (b'd', b"COMMIT\0", false),
        ];
        for (kind, body, commits) in cases {
            let found = Parser::of_server().feed(&typed(kind, body));
            assert_eq!(found[0].asks_to_commit(), commits, "{kind} {}", String::from_utf8_lossy(body));
        }
        assert!(Parser::of_server().feed(&typed(b'C', b"COMMIT\0"))[0].confirms_commit());
        assert!(!Parser::of_server().feed(&typed(b'C', b"ROLLBACK\0"))[0].confirms_commit());
    }

    #[test]
    fn what_is_not_this_protocol_is_passed_on_unseen() {
        let mut parser = Parser::of_client();
        assert!(parser.feed(b"GET / HTTP/1.1\r\n\r\n").is_empty());
        assert!(parser.is_opaque());
        assert_eq!(parser.known_up_to(), u64::MAX);
    }
}

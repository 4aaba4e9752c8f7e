//! Every venue under every fault, over sockets: what is recorded is compared with the log that the exchange alone writes.
//!
//! Each test strikes all venues with one fault, side by side, and prints a row of a table: after how long it was noticed.

mod books;
mod oracle;
mod recorded;
mod stand;
mod strikes;
mod venue;

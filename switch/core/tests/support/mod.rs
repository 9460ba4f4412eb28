//! What the tests of gate, state and sessions share: a small catalogue, messages, suppliers that do as they are told, and a seeded generator.
//!
//! Deliberately absent: clocks, sockets, files and real randomness; every test that uses these repeats itself exactly.

#![allow(dead_code, reason = "each test target uses its own part")]

pub(crate) mod bench;
pub(crate) mod books;
pub(crate) mod disk;
pub(crate) mod locals;
pub(crate) mod message;
pub(crate) mod random;
pub(crate) mod scripted;

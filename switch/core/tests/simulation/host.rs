//! A supplier's host as the seed plays it: what it performs, what it answers and when, and its own ledger.

mod thoughts;

use crate::support::random::Random;
use crate::support::scripted::{HELLO, Line, WELCOME};
use std::collections::{HashMap, VecDeque};
use switchyard_core::text::Text;

/// An RRN that no attempt ever had.
pub(crate) const NOT_OURS: &str = "NOTOURSATALL";

/// What the host knows of one RRN.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deed {
    /// Sale messages with it.
    pub(crate) asked: u32,
    /// Whether it was performed.
    pub(crate) performed: bool,
    /// Whether that was undone.
    pub(crate) reversed: bool,
    /// Whether a reversal came first, so that the sale must be refused.
    pub(crate) blocked: bool,
    /// Whether it will never be undone.
    pub(crate) stubborn: bool,
    /// When it was performed after the host had refused or undone it, the world's time.
    pub(crate) again_us: Option<u64>,
}

impl Deed {
    /// Whether it was performed, and stays so.
    pub(crate) fn stands(&self) -> bool {
        self.performed && !self.reversed
    }
}

/// Frames on their way to the host over one connection.
pub(crate) struct Flow {
    pub(crate) connection: u64,
    pub(crate) frames: VecDeque<(u64, Vec<u8>)>,
}

/// A frame on its way back.
pub(crate) struct Sending {
    pub(crate) due_us: u64,
    pub(crate) connection: u64,
    pub(crate) body: Vec<u8>,
    /// The sale that is performed as this leaves.
    pub(crate) performs: Option<Text<12>>,
}

/// The host.
pub(crate) struct Host {
    blocks: bool,
    /// Of a thousand answers, those that are contradicted later.
    thoughts_permille: usize,
    pub(crate) ledger: HashMap<Text<12>, Deed>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) sendings: Vec<Sending>,
    /// Answers nothing but sign-on.
    pub(crate) mute: bool,
    /// Answers everything at once, properly.
    pub(crate) calm: bool,
}

/// Longest time on the network, and longest wait of the host before it answers, microseconds: together less than the late window.
pub(crate) const NETWORK_US_MAX: u64 = 6_000_000;
const ANSWER_US_MAX: u64 = 9_000_000;

impl Host {
    pub(crate) fn new(blocks: bool, thoughts_permille: usize) -> Self {
        Self {
            blocks,
            thoughts_permille,
            ledger: HashMap::new(),
            flows: Vec::new(),
            sendings: Vec::new(),
            mute: false,
            calm: false,
        }
    }

    /// A frame arrives.
    pub(crate) fn hear(&mut self, now_us: u64, random: &mut Random, connection: u64, body: &[u8]) {
        if body == HELLO {
            return self.send(now_us, connection, WELCOME.to_vec());
        }
        let line = Line::decode(body).expect("the switch speaks the protocol");
        assert_eq!(line.code, Text::EMPTY);
        if line.status {
            self.tell(now_us, random, connection, &line)
        } else if line.reversal {
            self.undo(now_us, random, connection, &line)
        } else {
            self.perform(now_us, random, connection, &line)
        }
    }

    fn send(&mut self, due_us: u64, connection: u64, body: Vec<u8>) {
        self.sendings.push(Sending { due_us, connection, body, performs: None });
    }

    fn perform(&mut self, now_us: u64, random: &mut Random, connection: u64, line: &Line) {
        let deed = self.ledger.entry(line.rrn).or_default();
        deed.asked += 1;
        assert_eq!(deed.asked, 1, "performed-once: a sale is sent twice with one RRN");
        let code = match random.below(100) {
            _ if deed.blocked => "05",
            0..60 => "00",
            60..70 => "05",
            70..74 => "14",
            74..88 => "91",
            _ => "77",
        };
        // What an unmapped code means, nobody can know.
        deed.performed = code == "00" || code == "77" && random.chance(500);
        deed.stubborn = random.chance(30);
        if self.mute {
            return;
        }
        let wait_us = match random.below(100) {
            _ if self.calm => 0,
            0..60 => random.between(0, 50_000),
            60..85 => random.between(0, 2_500_000),
            85..92 => return,
            _ => random.between(2_500_000, ANSWER_US_MAX),
        };
        let answer = line.answer(code);
        let due_us = now_us + wait_us;
        match random.below(100) {
            0..5 => self.send(due_us, connection, answer.encode()),
            5..8 => self.send(due_us, connection, b"no message at all".to_vec()),
            8..11 => self.send(
                due_us,
                connection,
                Line { stan: answer.stan % 999_999 + 1, ..answer.clone() }.encode(),
            ),
            11..14 => {
                let rrn = Text::new(NOT_OURS.as_bytes()).unwrap_or_default();
                self.send(due_us, connection, Line { rrn, ..answer.clone() }.encode());
            }
            _ => {}
        }
        self.send(due_us, connection, answer.encode());
        self.think_again(due_us, random, connection, line, code);
    }

    /// How a sale stands.
    fn tell(&mut self, now_us: u64, random: &mut Random, connection: u64, line: &Line) {
        if self.mute || !self.calm && random.chance(250) {
            return;
        }
        let stands = self.ledger.get(&line.rrn).is_some_and(Deed::stands);
        let code = match random.below(100) {
            0..20 if !self.calm => "96",
            _ if stands => "00",
            _ => "25",
        };
        let wait_us = if self.calm { 0 } else { random.between(0, 3_000_000) };
        self.send(now_us + wait_us, connection, line.answer(code).encode());
    }

    fn undo(&mut self, now_us: u64, random: &mut Random, connection: u64, line: &Line) {
        let blocks = self.blocks;
        let (calm, mute) = (self.calm, self.mute);
        let deed = self.ledger.entry(line.rrn).or_default();
        if mute || !calm && random.chance(250) {
            return;
        }
        let code = match random.below(100) {
            0..25 if !calm => "96",
            _ if deed.stubborn && deed.performed => "12",
            _ if deed.performed => {
                deed.reversed = true;
                "00"
            }
            _ => {
                deed.blocked |= blocks;
                "25"
            }
        };
        // An undone sale whose answer is lost is undone all the same.
        if !calm && random.chance(150) {
            return;
        }
        let wait_us = if calm { 0 } else { random.between(0, 3_000_000) };
        let answer = line.answer(code).encode();
        if random.chance(50) {
            self.send(now_us + wait_us, connection, answer.clone());
        }
        self.send(now_us + wait_us, connection, answer);
        if code == "00" {
            self.think_again(now_us + wait_us, random, connection, line, "undone");
        }
    }
}

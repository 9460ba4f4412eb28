//! What one life of a session must understand of a sale's answers: told apart from the session, from what it sent and reported.
//!
//! An approval is news, a duplicate, or belongs to nothing. It may belong to nothing only where that life cannot know better: the attempt was answered in another
//! life, its late window is over, or its STAN was given again since.

use crate::support::scripted::Line;
use std::collections::{HashMap, HashSet};
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::catalogue::{Meaning, Supplier};
use switchyard_core::ids::{FlightNo, Now};
use switchyard_core::session::{Report, Watch};
use switchyard_core::text::Text;

/// Sales that a session remembers the answer of at least, whatever their STANs.
const REMEMBERED: u64 = 64;

/// How far a life knows the answers of an attempt.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// Its answer is matched before that moment.
    Open { flight: FlightNo, until_us: u64 },
    /// It was answered as that attempt of the session, and approved or not.
    Answered { count: u64, approved: bool },
}

/// What a session must understand.
pub(crate) struct Hearing {
    supplier: Supplier,
    /// By our RRN and STAN there.
    known: HashMap<(Text<12>, u32), Known>,
    /// The newest attempt with each STAN.
    newest: HashMap<u32, Text<12>>,
    asked: u64,
    /// Whose approval was the last thing that was said of them.
    approved: HashSet<FlightNo>,
}

impl Hearing {
    pub(crate) fn new(supplier: &Supplier) -> Self {
        Self {
            supplier: supplier.clone(),
            known: HashMap::new(),
            newest: HashMap::new(),
            asked: 0,
            approved: HashSet::new(),
        }
    }

    /// An attempt of an earlier life is watched.
    pub(crate) fn watched(&mut self, watch: &Watch) {
        self.open((watch.rrn, watch.stan), watch.flight, watch.until_us);
    }

    /// The gate ordered something. A reversal under a STAN of its own is that of a sale whose answer was in time.
    pub(crate) fn ordered(&mut self, order: &Order) {
        if order.ask == Ask::Sale {
            self.asked += 1;
            self.newest.insert(order.stan, order.rrn);
            self.open(name(order), order.flight, u64::MAX);
        } else if order.stan == order.original_stan {
            self.open(name(order), order.flight, u64::MAX);
        }
    }

    fn open(&mut self, name: (Text<12>, u32), flight: FlightNo, until_us: u64) {
        self.known.insert(name, Known::Open { flight, until_us });
    }

    /// The session reported something.
    pub(crate) fn reported(&mut self, now: Now, report: &Report) {
        let until_us = now.mono_us + u64::from(self.supplier.late_window_ms) * 1_000;
        match report {
            Report::Answered(order) => match order.answer.sale {
                Some(Meaning::Unknown) | None => self.open(name(order), order.flight, until_us),
                Some(meaning) => {
                    let (count, approved) = (self.asked, meaning == Meaning::Approved);
                    self.known.insert(name(order), Known::Answered { count, approved });
                }
            },
            Report::TimedOut(order) | Report::Cut(order) => self.open(name(order), order.flight, until_us),
            Report::Undone(order) => {
                self.approved.remove(&order.flight);
                if order.stan == order.original_stan {
                    self.open(name(order), order.flight, until_us);
                }
            }
            Report::Late { flight, answer, .. } if answer.sale == Some(Meaning::Approved) => {
                self.approved.insert(*flight);
            }
            Report::Late { flight, answer, .. } if answer.sale != Some(Meaning::Unknown) => {
                self.approved.remove(flight);
            }
            Report::Contradicted { undo: Some(order), .. } => {
                self.known.remove(&(order.rrn, order.stan));
            }
            Report::NotSent(order) => {
                self.known.remove(&name(order));
            }
            _ => {}
        }
    }

    /// Whether this frame must be reported: it approves a sale that this life knows, and says something new.
    pub(crate) fn is_news(&self, now: Now, body: &[u8]) -> bool {
        let Some(line) = Line::decode(body).filter(|line| !line.reversal && !line.status) else {
            return false;
        };
        if self.supplier.codes.sale(line.code) != Meaning::Approved {
            return false;
        }
        match self.known.get(&(line.rrn, line.stan)) {
            None => false,
            Some(Known::Open { flight, until_us }) => {
                now.mono_us < *until_us && !self.approved.contains(flight)
            }
            Some(Known::Answered { approved: true, .. }) => false,
            Some(Known::Answered { count, .. }) => {
                self.newest.get(&line.stan) == Some(&line.rrn) && self.asked - count < REMEMBERED
            }
        }
    }
}

/// What an answer names its sale by.
fn name(order: &Order) -> (Text<12>, u32) {
    (order.rrn, order.original_stan)
}

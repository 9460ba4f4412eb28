//! The rules of admission, routing, answers, sessions and recovery, one case a line.
//!
//! Deliberately absent: random runs (`simulation`), and everything around the core.

#[path = "../support/mod.rs"]
mod support;

mod advices;
mod answers;
mod breakers;
mod checkpoints;
mod contradictions;
mod credits;
mod doubts;
mod facts;
mod late_answers;
mod many_reversals;
mod operating;
mod order_of_checks;
mod parked;
mod positions;
mod recognised;
mod reversal_races;
mod reversals;
mod routing;
mod sessions;
mod window;

//! The simulator: one seed, one run of the real gate, sessions and log against suppliers, links, disks and crashes that the seed decides.
//!
//! It forbids what the design names: `answered-once`, `durable-before-visible`, `one-terminal-outcome`, `voucher-once`, `money-conserved`, `performed-once`,
//! `fold`, `bounded`. A failing run says how to run it again:
//!
//! ```text
//! SEED=7 STEPS=1500 cargo test -p switchyard-core --test simulation
//! SEEDS=5000 cargo test --release -p switchyard-core --test simulation
//! ```
//!
//! Deliberately absent: rings, actors, sockets and files (the shell's tests have those).

#[path = "../support/mod.rs"]
mod support;

mod host;
mod keeper;
mod process;
mod shape;
mod story;
mod tally;
mod terminals;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use world::World;

/// Seeds run by default.
const SEEDS: u64 = 100;
/// Steps a seed by default.
const STEPS: u64 = 1_500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, steps: u64) {
    let mut world = World::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| world.run(steps)));
    if let Err(panic) = result {
        eprintln!("{}", world.trace());
        eprintln!("run it again: SEED={seed} STEPS={steps} cargo test -p switchyard-core --test simulation");
        resume_unwind(panic);
    }
    if std::env::var_os("FIGURES").is_some() {
        eprintln!("seed {seed}: {}", world.figures());
    }
}

#[test]
fn every_run_keeps_every_invariant() {
    let steps = number("STEPS").unwrap_or(STEPS);
    match number("SEED") {
        Some(seed) => run(seed, steps),
        None => (1..=number("SEEDS").unwrap_or(SEEDS)).for_each(|seed| run(seed, steps)),
    }
}

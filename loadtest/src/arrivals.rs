//! When requests are meant to leave, in an open loop.
//!
//! Owns: `Phase` (a time with a rate that may change evenly) and `Arrivals`, the moments that follow from phases.
//! Invariants: moments never go back; over a phase as many requests are meant as its rate's integral says, parts carried over to the next.
//! Deliberately absent: clocks and waiting (`pace`).

use std::sync::Arc;

/// A part of a load's time. The phases of a load follow one another, and begin again after the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// How long, above 0, seconds.
    pub seconds: f64,
    /// Requests a second at its start, 0 or more.
    pub from_per_second: f64,
    /// Requests a second at its end, 0 or more; between them the rate changes evenly.
    pub to_per_second: f64,
}

impl Phase {
    /// So many requests a second, for ever.
    pub(crate) fn constant(per_second: f64) -> Self {
        Self { seconds: 3_600.0, from_per_second: per_second, to_per_second: per_second }
    }

    /// How many requests are meant in it.
    fn requests(&self) -> f64 {
        (self.from_per_second + self.to_per_second) / 2.0 * self.seconds
    }

    /// When the request of that number is meant, seconds after its start.
    fn moment_s(&self, number: f64) -> f64 {
        let (from, growth) =
            (self.from_per_second, (self.to_per_second - self.from_per_second) / self.seconds);
        if growth == 0.0 {
            return number / from;
        }
        // The number of requests until t is from·t + growth·t²/2.
        ((from * from + 2.0 * growth * number).max(0.0).sqrt() - from) / growth
    }
}

/// The moments of a load's requests, nanoseconds after its start.
#[derive(Clone, Debug)]
pub(crate) struct Arrivals {
    phases: Arc<[Phase]>,
    at: usize,
    /// When the phase began, seconds.
    began_s: f64,
    /// The number of the next request in the phase; below 1 the part that the phase before left.
    next: f64,
}

impl Arrivals {
    /// The moments of `phases`; none where they mean no request.
    pub(crate) fn new(phases: Arc<[Phase]>) -> Option<Self> {
        let meant: f64 = phases.iter().map(Phase::requests).sum();
        (meant > 0.0).then_some(Self { phases, at: 0, began_s: 0.0, next: 0.0 })
    }

    /// The next moment.
    pub(crate) fn next_ns(&mut self) -> u64 {
        loop {
            let phase = self.phases[self.at];
            let requests = phase.requests();
            if self.next < requests {
                let moment_s = self.began_s + phase.moment_s(self.next).clamp(0.0, phase.seconds);
                self.next += 1.0;
                return (moment_s * 1e9) as u64;
            }
            self.next -= requests;
            self.began_s += phase.seconds;
            self.at = (self.at + 1) % self.phases.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moments_s(phases: &[Phase], count: usize) -> Vec<f64> {
        let mut arrivals = Arrivals::new(phases.into()).expect("requests");
        (0..count).map(|_| arrivals.next_ns() as f64 / 1e9).collect()
    }

    #[test]
    fn a_constant_rate_is_even() {
        let moments = moments_s(&[Phase::constant(200.0)], 5);
        assert_eq!(moments, [0.0, 0.005, 0.01, 0.015, 0.02]);
    }

    #[test]
    fn a_ramp_grows_evenly() {
        let ramp = Phase { seconds: 10.0, from_per_second: 0.0, to_per_second: 20.0 };
        let moments = moments_s(&[ramp], 100);
        let within = |from: f64, to: f64| moments.iter().filter(|at| (from..to).contains(*at)).count();
        // A quarter of the requests in the first half of the time.
        assert_eq!((within(0.0, 5.0), within(5.0, 10.0)), (25, 75));
    }

    #[test]
    fn bursts_are_phases_with_rests() {
        let burst = Phase { seconds: 0.5, from_per_second: 100.0, to_per_second: 100.0 };
        let rest = Phase { seconds: 1.5, from_per_second: 0.0, to_per_second: 0.0 };
        let moments = moments_s(&[burst, rest], 100);
        assert!(moments[..50].iter().all(|at| *at < 0.5));
        assert!(moments[50..].iter().all(|at| (2.0..2.5).contains(at)));
    }

    #[test]
    fn rests_alone_are_no_load() {
        assert!(Arrivals::new([Phase::constant(0.0)].into()).is_none());
    }

    proptest! {
        #[test]
        fn moments_never_go_back_and_none_is_missing(
            rates in prop::collection::vec((0.1f64..5.0, 0.0f64..300.0, 0.0f64..300.0), 1..5),
        ) {
            let phases: Vec<_> = rates.iter().map(|(seconds, from_per_second, to_per_second)| {
                Phase { seconds: *seconds, from_per_second: *from_per_second, to_per_second: *to_per_second }
            }).collect();
            let (meant, time): (f64, f64) =
                (phases.iter().map(Phase::requests).sum(), phases.iter().map(|phase| phase.seconds).sum());
            prop_assume!(meant > 1.0);
            let mut arrivals = Arrivals::new(phases.into()).expect("requests");
            let (mut last_ns, mut count) = (0, 0u32);
            while (last_ns as f64) < time * 2e9 {
                let next_ns = arrivals.next_ns();
                prop_assert!(next_ns >= last_ns);
                last_ns = next_ns;
                count += 1;
            }
            prop_assert!((f64::from(count) - meant * 2.0).abs() <= 2.0, "{count} of {}", meant * 2.0);
        }
    }
}

//! What a run saw, for people.

use super::World;
use std::collections::BTreeMap;

impl World {
    /// What the run saw.
    pub(crate) fn figures(&self) -> String {
        let reversed = self.stories.flights.values().filter(|story| story.reversed_at.is_some()).count();
        format!(
            "{} s, kills {}, power cuts {}, codes {:?}, flights {:?}, reversed {reversed}, lost {}, STANs {} of {}, {:?}",
            self.time_us / 1_000_000,
            self.crashes[0],
            self.crashes[1],
            self.terminals.codes,
            self.stands(),
            self.lost,
            self.stories.stans_given(),
            self.shape.stan_max,
            self.counted,
        )
    }

    /// How flights stand, counted.
    fn stands(&self) -> BTreeMap<String, usize> {
        let mut stands = BTreeMap::new();
        for story in self.stories.flights.values() {
            *stands.entry(format!("{:?}", story.stand)).or_default() += 1;
        }
        stands
    }
}

//! What the log says of business days (S-16).

use super::Stories;
use switchyard_core::ids::NetworkId;

impl Stories {
    /// A day begins, by itself.
    pub(super) fn day_began(&mut self, network: NetworkId, date: u32) {
        let before = self.days.insert(network, date);
        assert!(before.is_none_or(|before| date >= before), "a business day is taken back");
    }

    /// A day is closed: the next one begins.
    pub(super) fn day_closed(&mut self, network: NetworkId, date: u32) {
        let before = self.days.insert(network, date);
        assert!(before.is_none_or(|before| date > before), "a closed day goes on");
    }

    /// Something is booked in the day that its network has at that moment.
    pub(super) fn booked(&self, network: NetworkId, day: [u8; 4]) {
        let date = self.days.get(&network).expect("a day began before");
        assert_eq!(format!("{:04}", date % 10_000).as_bytes(), day, "booked in another business day");
    }
}

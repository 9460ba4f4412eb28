//! The hour that a key names by itself: what tells which runs can hold the key.
//!
//! Owns: `Hour`, month, day and hour of a message's own date and time, and `Hours`, a set of them.
//! Invariants: whatever the digits, there is an hour, and equal digits give the same one: a repeat has the same key, so it names the same hour.
//! Deliberately absent: years, zones and calendars. An hour is compared, never counted with.

/// An hour of DE12 and DE13 (the key of S-1), or of DE7 (the key of S-5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hour(u16);

/// Hours that there are: sixteen months, 32 days, 24 hours, so that digits that are no date have one too.
const HOURS: usize = 16 * 32 * 24;

/// Bytes of a set.
pub const HOURS_BYTES: usize = HOURS / 8;

impl Hour {
    /// Of DE12 and DE13: hhmmssMMDD.
    pub fn of_local(local: &[u8; 10]) -> Self {
        Self::of(&local[6..8], &local[8..10], &local[0..2])
    }

    /// Of DE7: MMDDhhmmss.
    pub fn of_transmission(sent: &[u8; 10]) -> Self {
        Self::of(&sent[0..2], &sent[2..4], &sent[4..6])
    }

    fn of(month: &[u8], day: &[u8], hour: &[u8]) -> Self {
        let pair = |digits: &[u8]| digits.iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit & 15));
        Self((pair(month) % 16 * 32 + pair(day) % 32) * 24 + pair(hour) % 24)
    }

    /// Its number, as it lies on disk.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The hour of that number; none where there is no such hour.
    pub fn numbered(number: u16) -> Option<Self> {
        (usize::from(number) < HOURS).then_some(Self(number))
    }
}

/// A set of hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(Box<[u8; HOURS_BYTES]>);

impl Default for Hours {
    fn default() -> Self {
        Self(Box::new([0; HOURS_BYTES]))
    }
}

impl Hours {
    /// Adds an hour.
    pub fn add(&mut self, hour: Hour) {
        self.0[usize::from(hour.0 / 8)] |= 1 << (hour.0 % 8);
    }

    /// Whether an hour is in it.
    pub fn holds(&self, hour: Hour) -> bool {
        self.0[usize::from(hour.0 / 8)] & (1 << (hour.0 % 8)) != 0
    }

    /// The hours in it.
    pub fn iter(&self) -> impl Iterator<Item = Hour> {
        (0..HOURS as u16).map(Hour).filter(|hour| self.holds(*hour))
    }

    /// As it lies on disk.
    pub fn as_bytes(&self) -> &[u8; HOURS_BYTES] {
        &self.0
    }

    /// From how it lies on disk.
    pub fn from_bytes(bytes: &[u8; HOURS_BYTES]) -> Self {
        Self(Box::new(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_of_a_message_is_month_day_and_hour() {
        assert_eq!(Hour::of_local(b"2359591231"), Hour::of_transmission(b"1231230000"));
        assert_ne!(Hour::of_local(b"2359591231"), Hour::of_local(b"2259591231"));
        assert_ne!(Hour::of_local(b"2359591231"), Hour::of_local(b"2359591230"));
        assert_ne!(Hour::of_local(b"2359591231"), Hour::of_local(b"2359591131"));
    }

    #[test]
    fn digits_that_are_no_date_have_an_hour_and_sets_hold_it() {
        for digits in
            [b"9999999999", b"0000000000", b"3161327777", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            let (local, sent) = (Hour::of_local(digits), Hour::of_transmission(digits));
            let mut hours = Hours::default();
            hours.add(local);
            hours.add(sent);
            let back = Hours::from_bytes(hours.as_bytes());
            assert!(back.holds(local) && back.holds(sent) && back == hours);
            assert_eq!(Hour::numbered(local.number()), Some(local));
            assert!(back.iter().all(|hour| hour == local || hour == sent));
        }
        assert_eq!(Hour::numbered(HOURS as u16), None);
    }
}

//! The hour that a key names: what tells which runs can hold the key.
//!
//! Owns: `Hour`, month, day and hour of a message's own date and time, which lies in thirteen bits of the key itself, and `Hours`, a set of them.
//! Invariants: a repeat has the same key, so it names the same hour; whatever the bits, they are an hour; the bits are those that neither tables, filters nor runs
//! go by, so that keys stay spread evenly.
//! Deliberately absent: years, zones and calendars. An hour is compared, never counted with; hours of a few days at the ends of a year share their numbers.

/// An hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hour(u16);

/// Hours that there are.
const HOURS: usize = 1 << HOUR_BITS;
const HOUR_BITS: u32 = 13;
/// Where it lies in a key: above the half that tables and filters go by, and below what runs are sorted by.
const HOUR_AT: u32 = 64;

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
        let pair = |digits: &[u8]| digits.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit & 15));
        Self((((pair(month) * 31 + pair(day)) * 24 + pair(hour)) % HOURS as u32) as u16)
    }

    /// The hour that lies in a key.
    pub fn in_key(key: u128) -> Self {
        Self((key >> HOUR_AT) as u16 % HOURS as u16)
    }

    /// The key with this hour in it.
    pub fn put_in(self, key: u128) -> u128 {
        (key & !((HOURS as u128 - 1) << HOUR_AT)) | (u128::from(self.0) << HOUR_AT)
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
    fn whatever_the_digits_there_is_an_hour_and_keys_and_sets_hold_it() {
        for digits in [b"9999999999", b"0000000000", b"3161327777", &[0xff; 10]] {
            let (local, sent) = (Hour::of_local(digits), Hour::of_transmission(digits));
            let mut hours = Hours::default();
            hours.add(local);
            hours.add(sent);
            let back = Hours::from_bytes(hours.as_bytes());
            assert!(back.holds(local) && back.holds(sent) && back == hours);
            assert!(back.iter().all(|hour| hour == local || hour == sent));
            for key in [0, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
                let with = local.put_in(key);
                assert_eq!((Hour::in_key(with), with as u64, with >> 80), (local, key as u64, key >> 80));
            }
        }
        assert!(Hours::default().iter().next().is_none());
    }
}

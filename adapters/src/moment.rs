//! Moments as messages and records write them.
//!
//! Owns: digits of a UTC calendar from milliseconds since 1970, for DE7, record lines and expiry dates.
//! Invariants: pure arithmetic on the proleptic Gregorian calendar; no leap seconds, as in POSIX time.
//! Deliberately absent: zones, clocks, and reading a moment back (DE7 has no year to read).

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// Days of the 400 years after which the calendar repeats.
const CYCLE_DAYS: u64 = 146_097;
/// Days from 1600-03-01 to 1970-01-01. Counting years from March puts the leap day last.
const EPOCH_DAYS: u64 = 135_080;

/// A moment of the UTC calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// 1970 and later.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999.
    pub milli: u16,
}

impl Moment {
    /// The moment that many milliseconds after 1970-01-01 UTC. Years beyond 9999 show their last four digits.
    pub fn of(wall_ms: u64) -> Self {
        let (year, month, day) = date(wall_ms / DAY_MS);
        let second = wall_ms % DAY_MS / 1_000;
        Self {
            year: (year % 10_000) as u16,
            month,
            day,
            hour: (second / 3_600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            milli: (wall_ms % 1_000) as u16,
        }
    }

    /// DE7: MMDDhhmmss.
    pub fn transmission(self) -> [u8; 10] {
        let mut digits = [0; 10];
        let parts = [self.month, self.day, self.hour, self.minute, self.second];
        for (place, part) in digits.chunks_exact_mut(2).zip(parts) {
            place.copy_from_slice(&two(part));
        }
        digits
    }

    /// DE12 and DE13 behind each other, with UTC as the local zone: hhmmssMMDD.
    pub fn local(self) -> [u8; 10] {
        let mut digits = self.transmission();
        digits.rotate_left(4);
        digits
    }

    /// The year's four digits.
    pub fn year_digits(self) -> [u8; 4] {
        let [a, b] = two((self.year / 100) as u8);
        let [c, d] = two((self.year % 100) as u8);
        [a, b, c, d]
    }

    /// Appends RFC 3339 with milliseconds: `2026-11-21T22:50:00.123Z`.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        text[..4].copy_from_slice(&self.year_digits());
        let parts = [self.month, self.day, self.hour, self.minute, self.second];
        for (place, part) in text[5..].chunks_mut(3).zip(parts) {
            place[..2].copy_from_slice(&two(part));
        }
        text[20] = b'0' + (self.milli / 100) as u8;
        text[21..23].copy_from_slice(&two((self.milli % 100) as u8));
        out.extend_from_slice(&text);
    }
}

fn two(value: u8) -> [u8; 2] {
    [b'0' + value / 10 % 10, b'0' + value % 10]
}

/// Year, month and day of the day with that number, counted from 1970-01-01.
fn date(days: u64) -> (u64, u8, u8) {
    let days = days + EPOCH_DAYS;
    let in_cycle = days % CYCLE_DAYS;
    let century = (in_cycle / 36_524).min(3);
    let in_century = in_cycle - century * 36_524;
    let quad = in_century / 1_461;
    let in_quad = in_century % 1_461;
    let single = (in_quad / 365).min(3);
    let in_year = in_quad - single * 365;
    // From March on, months run 31, 30, 31, 30, 31 in groups of 153 days.
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let year = 1_600 + days / CYCLE_DAYS * 400 + century * 100 + quad * 4 + single;
    if from_march < 10 {
        (year, (from_march + 3) as u8, day as u8)
    } else {
        (year + 1, (from_march - 9) as u8, day as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(wall_ms: u64) -> String {
        let mut out = Vec::new();
        Moment::of(wall_ms).write_rfc3339(&mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        let table = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_709_164_800_001, "2024-02-29T00:00:00.001Z"),
            (1_798_761_599_042, "2026-12-31T23:59:59.042Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (4_107_456_000_000, "2100-02-28T00:00:00.000Z"),
        ];
        for (wall_ms, text) in table {
            assert_eq!(shown(wall_ms), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for days in 1..80_000 {
            let (year, month, day) = date(days);
            let (last_year, last_month, last_day) = before;
            let next_day = (year, month, day) == (last_year, last_month, last_day + 1);
            let next_month = day == 1 && last_day >= 28 && (year, month) == (last_year, last_month + 1);
            let next_year = (month, day) == (1, 1) && (last_month, last_day) == (12, 31) && year == last_year + 1;
            assert!(next_day || next_month || next_year, "day {days}: {before:?} then {year}-{month}-{day}");
            before = (year, month, day);
        }
    }

    #[test]
    fn message_digits_have_the_standard_order() {
        let moment = Moment::of(1_798_761_599_042);
        assert_eq!(&moment.transmission(), b"1231235959");
        assert_eq!(&moment.local(), b"2359591231");
    }
}

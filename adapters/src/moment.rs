//! Moments as messages and records write them.
//!
//! Owns: digits of the UTC calendar for DE7, record lines and expiry dates.
//! Deliberately absent: the calendar itself (`stamp`), zones, clocks, and reading a moment back.

use switchyard_core::stamp;

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
        let at = stamp::utc(wall_ms);
        Self {
            year: at.year().unsigned_abs() % 10_000,
            month: at.month().unsigned_abs(),
            day: at.day().unsigned_abs(),
            hour: at.hour().unsigned_abs(),
            minute: at.minute().unsigned_abs(),
            second: at.second().unsigned_abs(),
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
    fn message_digits_have_the_standard_order() {
        let moment = Moment::of(1_798_761_599_042);
        assert_eq!(&moment.transmission(), b"1231235959");
    }
}

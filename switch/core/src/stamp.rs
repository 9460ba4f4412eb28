//! Times as messages write them.
//!
//! Owns: DE7, DE12 and DE13 digits from and to Unix milliseconds, and business days.
//! Invariants: a date without a year is taken in the year that brings it nearest to now.
//! Deliberately absent: any clock; `now` is an argument.

use crate::catalogue::CutOver;
use crate::state::Day;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const HOUR_MS: u64 = 3_600_000;
/// Half of the shortest year, rounded down.
const HALF_YEAR_MS: u64 = 182 * 24 * HOUR_MS;

/// `wall_ms` in UTC.
pub fn utc(wall_ms: u64) -> DateTime {
    let millis = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).map_or(DateTime::default(), |at| TimeZone::UTC.to_datetime(at))
}

fn two(digits: &mut [u8], number: i8) {
    digits[0] = b'0' + (number / 10) as u8;
    digits[1] = b'0' + (number % 10) as u8;
}

/// MMDDhhmmss in UTC, as in DE7.
pub fn transmission(wall_ms: u64) -> [u8; 10] {
    let at = utc(wall_ms);
    let mut digits = [0; 10];
    let parts = [at.month(), at.day(), at.hour(), at.minute(), at.second()];
    for (place, number) in digits.chunks_exact_mut(2).zip(parts) {
        two(place, number);
    }
    digits
}

/// DE7 of the last second that was asked for: under load, of all requests but one a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transmission {
    digits: [u8; 10],
    /// The second after it, Unix; 0 before the first.
    until_s: u64,
}

impl Transmission {
    /// [`transmission`] of `wall_ms`.
    pub fn at(&mut self, wall_ms: u64) -> [u8; 10] {
        let until_s = wall_ms / 1_000 + 1;
        if self.until_s != until_s {
            *self = Self { digits: transmission(wall_ms), until_s };
        }
        self.digits
    }
}

/// MMDD in UTC, as in DE15 where no business day is known.
pub fn month_day(wall_ms: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = transmission(wall_ms);
    [a, b, c, d]
}

/// YYYYMMDD as a number, in UTC.
pub fn date(wall_ms: u64) -> u32 {
    number(utc(wall_ms).date())
}

fn number(date: Date) -> u32 {
    (i32::from(date.year()) * 10_000 + i32::from(date.month()) * 100 + i32::from(date.day())).unsigned_abs()
}

fn pair(digits: &[u8]) -> i8 {
    digits
        .iter()
        .fold(0i8, |number, digit| number.wrapping_mul(10).wrapping_add((digit.wrapping_sub(b'0')) as i8))
}

/// Whether local time `hhmmssMMDD` lies no more than `past_h` hours before and `future_h` after `wall_ms`. A date that does not exist lies nowhere.
pub fn within(local: &[u8; 10], wall_ms: u64, past_h: u64, future_h: u64) -> bool {
    let Some(at_ms) = nearest(local, wall_ms) else { return false };
    at_ms + past_h * HOUR_MS >= wall_ms && at_ms <= wall_ms + future_h * HOUR_MS
}

/// Local time `hhmmssMMDD` as Unix milliseconds as if it were UTC, in the year that brings it nearest to `wall_ms`.
fn nearest(local: &[u8; 10], wall_ms: u64) -> Option<u64> {
    let time = Time::new(pair(&local[0..2]), pair(&local[2..4]), pair(&local[4..6]), 0).ok()?;
    let (month, day) = (pair(&local[6..8]), pair(&local[8..10]));
    let year = utc(wall_ms).year();
    let in_year = |year: i16| {
        let at = Date::new(year, month, day).ok()?.to_datetime(time);
        let at = TimeZone::UTC.to_timestamp(at).ok()?;
        u64::try_from(at.as_millisecond()).ok()
    };
    // The usual one needs no other to compare with: in another year it would be further away.
    let this = in_year(year).filter(|at_ms| at_ms.abs_diff(wall_ms) < HALF_YEAR_MS);
    this.or_else(|| {
        [year, year - 1, year + 1].into_iter().filter_map(in_year).min_by_key(|at_ms| at_ms.abs_diff(wall_ms))
    })
}

/// The business day that holds `wall_ms`: it ends at the next cut-over and has the date of the calendar day in which most of it lies before that end.
pub fn business_day(wall_ms: u64, cut_over: &CutOver) -> Day {
    let millis = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    let Ok(now) = Timestamp::from_millisecond(millis) else { return Day::default() };
    let local = cut_over.zone.to_datetime(now);
    let time = Time::new((cut_over.minute / 60) as i8, (cut_over.minute % 60) as i8, 0, 0)
        .unwrap_or(Time::midnight());
    let mut end = local.date().to_datetime(time);
    if end <= local {
        end = end.checked_add(1.day()).unwrap_or(end);
    }
    let until = cut_over.zone.to_timestamp(end).unwrap_or(now);
    // A day that ends at midnight is the day before; one that ends in the evening is the day itself.
    let date = if time < Time::constant(12, 0, 0, 0) {
        end.date().yesterday().unwrap_or(end.date())
    } else {
        end.date()
    };
    Day { date: number(date), until_ms: u64::try_from(until.as_millisecond()).unwrap_or(u64::MAX) }
}

/// The business day at `wall_ms`, whether it has begun or not. `known`: the last one on record, none before the first; a business day is not taken back (S-16).
pub fn day_at(known: Option<Day>, wall_ms: u64, cut_over: &CutOver) -> Day {
    if let Some(day) = known.filter(|day| wall_ms < day.until_ms) {
        return day;
    }
    let today = business_day(wall_ms, cut_over);
    known.map_or(today, |before| today.max_by_date(before))
}

/// The business day after `day`, closed early at `wall_ms` (an incoming cut-over, S-16): its date is one later, and it ends a day after `day` would have.
pub fn next_day(day: Day, wall_ms: u64, cut_over: &CutOver) -> Day {
    let following = business_day(day.until_ms.max(wall_ms), cut_over);
    if following.date > day.date { following } else { Day { date: tomorrow(day.date), ..following } }
}

/// The date after `date`, both YYYYMMDD; the same one where it is none.
fn tomorrow(date: u32) -> u32 {
    let (year, month, day) = ((date / 10_000) as i16, (date / 100 % 100) as i8, (date % 100) as i8);
    Date::new(year, month, day).and_then(|date| date.tomorrow()).map_or(date, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        text.parse::<Timestamp>().map_or(0, |at| at.as_millisecond() as u64)
    }

    #[test]
    fn a_second_that_is_remembered_is_the_second_that_is_asked_for() {
        let mut remembered = Transmission::default();
        let new_year = ms("2026-12-31T23:59:59.999Z");
        for wall_ms in [0, 999, new_year, new_year + 1, new_year + 2, new_year, 0] {
            assert_eq!(remembered.at(wall_ms), transmission(wall_ms), "{wall_ms}");
        }
    }

    #[test]
    fn a_date_without_a_year_is_the_nearest_one() {
        let new_year = ms("2027-01-01T01:00:00Z");
        assert!(within(b"2359591231", new_year, 72, 14));
        assert!(within(b"1400000101", new_year, 72, 14));
        assert!(!within(b"1600000101", new_year, 72, 14));
        assert!(!within(b"0000001225", new_year, 72, 14));
        assert!(!within(b"0000001399", new_year, 72, 14));
        assert!(!within(b"9900000101", new_year, 72, 14));
    }

    #[test]
    fn transmission_times_are_utc() {
        assert_eq!(&transmission(ms("2026-11-21T22:05:09Z")), b"1121220509");
        assert_eq!(date(ms("2026-11-21T22:05:09Z")), 20_261_121);
    }

    #[test]
    fn a_business_day_ends_at_its_cut_over() {
        let midnight = CutOver { minute: 0, zone: TimeZone::UTC };
        let day = business_day(ms("2026-11-21T22:05:09Z"), &midnight);
        assert_eq!((day.date, day.until_ms), (20_261_121, ms("2026-11-22T00:00:00Z")));
        assert_eq!(&day.digits(), b"1121");
        let evening = CutOver { minute: 22 * 60, zone: TimeZone::UTC };
        let day = business_day(ms("2026-11-21T22:05:09Z"), &evening);
        assert_eq!((day.date, day.until_ms), (20_261_122, ms("2026-11-22T22:00:00Z")));
        let closed = next_day(day, ms("2026-11-22T10:00:00Z"), &evening);
        assert_eq!((closed.date, closed.until_ms), (20_261_123, ms("2026-11-23T22:00:00Z")));
    }

    #[test]
    fn a_day_closed_at_the_end_of_a_month_is_followed_by_a_day_that_exists() {
        let midnight = CutOver { minute: 0, zone: TimeZone::UTC };
        // The date may be ahead of the calendar after the time of the cut-over was changed.
        let ahead = Day { date: 20_261_130, until_ms: ms("2026-11-29T00:00:00Z") };
        assert_eq!(next_day(ahead, ms("2026-11-28T10:00:00Z"), &midnight).date, 20_261_201);
    }
}

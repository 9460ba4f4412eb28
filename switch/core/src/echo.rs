//! The one request that the switch makes of a retail network: whether it is still there.
//!
//! Owns: network management with DE70 301, as the dialect writes it. Deliberately absent: when it is asked, and what no answer means
//! (the shell's connection).

use crate::ids::Now;
use crate::iso8583::{Build, BuildError, Dialect, Mti, Role};
use crate::stamp;

/// DE70 of an echo.
const ECHO: u64 = 301;

/// Appends an echo request; answers how long it is.
///
/// # Errors
/// The dialect has no such message.
pub fn ask(dialect: &Dialect, stan: u32, now: Now, out: &mut Vec<u8>) -> Result<usize, BuildError> {
    let mti = Mti::new(dialect.version().digit() * 1_000 + 800);
    let mut build = Build::new(dialect, mti, out);
    build
        .text(Role::TransmissionTime, &stamp::transmission(now.wall_ms))
        .number(Role::Stan, u64::from(stan))
        .number(Role::ManagementCode, ECHO);
    build.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_dialect_can_ask_for_an_echo() {
        let now = Now { mono_us: 0, wall_ms: 1_798_761_599_042 };
        for name in ["prepaid87", "prepaid87-binbitmap", "prepaid87-bcd", "prepaid87-ebcdic"] {
            let dialect = Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{error}"));
            let mut out = Vec::new();
            let length = ask(&dialect, 7, now, &mut out).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(length, out.len());
            let view = dialect.view(&out).unwrap_or_else(|broken| panic!("{name}: {broken}"));
            let number = |role| view.value(role).and_then(|value| value.number());
            assert_eq!((view.mti().number() % 1_000, number(Role::Stan)), (800, Some(7)), "{name}");
            assert_eq!(number(Role::ManagementCode), Some(301), "{name}");
        }
    }
}

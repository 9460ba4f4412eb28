//! What a simulated supplier does, by the last two digits of the account, card or meter.
//!
//! Owns: the table of the demonstration, as data; the in-process `simulator` and the scripted host of
//! the load test read the same one.
//! Invariants: every account has a plan; one that does not end in two digits is approved.
//! Deliberately absent: memory of what was done (`simulated_supplier`), and time.

use switchyard_core::code::Code;

/// What is done with a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whether it is performed, at arrival.
    pub performs: bool,
    /// The code of the answer, where there is one.
    pub code: Code,
    /// How long the answer waits after arrival, in milliseconds.
    pub delay_ms: u32,
    /// How it is answered.
    pub answering: Answering,
    /// Which sending of its reversal is the first to be answered, from 1.
    pub reversal_answered_at: u8,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// Once.
    Once,
    /// Twice, with the same bytes.
    Twice,
    /// Not at all.
    Silent,
    /// With bytes that are no message.
    Garbage,
    /// The link is dropped instead.
    Drop,
}

/// Approved at once: what every account gets that the table does not name.
const APPROVED: Plan = Plan {
    performs: true,
    code: Code::APPROVED,
    delay_ms: 0,
    answering: Answering::Once,
    reversal_answered_at: 1,
};

const fn refused(code: Code) -> Plan {
    Plan { performs: false, code, ..APPROVED }
}

/// The plans that are not plain approval.
const TABLE: &[(u8, Plan)] = &[
    (80, refused(Code::REFUSED)),
    (81, refused(Code::ACCOUNT)),
    (82, refused(Code::LIMIT)),
    (83, refused(Code::SUPPLIER)),
    (84, Plan { delay_ms: 1_000, ..APPROVED }),
    (85, Plan { performs: false, answering: Answering::Silent, ..APPROVED }),
    (86, Plan { delay_ms: 4_000, ..APPROVED }),
    (87, Plan { answering: Answering::Twice, ..APPROVED }),
    (88, Plan { performs: false, answering: Answering::Garbage, ..APPROVED }),
    (89, Plan { answering: Answering::Drop, ..APPROVED }),
    (90, Plan { reversal_answered_at: 3, ..APPROVED }),
];

/// The digits that some suppliers refuse as out of reach and others approve.
const BUSY: u8 = 83;

/// What is done with a sale for that account, card or meter (empty where it has none).
/// `refuses_83`: whether this supplier is the one that refuses 83 with 91.
pub fn plan(account: &[u8], refuses_83: bool) -> Plan {
    let Some(digits) = last_two(account) else { return APPROVED };
    if digits == BUSY && !refuses_83 {
        return APPROVED;
    }
    TABLE.iter().find(|(row, _)| *row == digits).map_or(APPROVED, |(_, plan)| *plan)
}

fn last_two(account: &[u8]) -> Option<u8> {
    let [.., tens @ b'0'..=b'9', units @ b'0'..=b'9'] = account else { return None };
    Some((tens - b'0') * 10 + (units - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_demonstration() {
        let of = |account: &str| plan(account.as_bytes(), true);
        for approved in ["", "A", "7", "0612345600", "0612345679", "91", "99", "8x"] {
            assert_eq!(of(approved), APPROVED, "{approved}");
        }
        for (account, code) in [("0680", "05"), ("0681", "14"), ("0682", "61"), ("0683", "91")] {
            let plan = of(account);
            assert_eq!((plan.performs, plan.code.as_str()), (false, code), "{account}");
        }
        assert_eq!(plan(b"0683", false), APPROVED);
        assert_eq!((of("84").delay_ms, of("86").delay_ms), (1_000, 4_000));
        assert!(of("84").performs && of("86").performs && of("89").performs);
        assert_eq!((of("85").performs, of("85").answering), (false, Answering::Silent));
        assert_eq!(of("87").answering, Answering::Twice);
        assert_eq!((of("88").performs, of("88").answering), (false, Answering::Garbage));
        assert_eq!(of("89").answering, Answering::Drop);
        assert_eq!(of("90").reversal_answered_at, 3);
    }
}

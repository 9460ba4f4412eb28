//! Alerts: what somebody should look at, beside the facts that say it.
//!
//! Owns: the list of kinds, and their wording.
//! Invariants: an alert decides nothing and holds no secret; the money that it is about is safe where the facts put it.
//! Deliberately absent: who is told, and how often (the shell's).

use crate::ids::FlightNo;
use crate::session::Stray;
use crate::text::Text;
use std::fmt;

/// Something that somebody should look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// A reversal named another amount than its original's: it was refused with 13 and reversed nothing (S-6).
    Partial {
        /// The original.
        flight: FlightNo,
    },
    /// A supplier refused a reversal, or never answered it: an operator settles it (S-9).
    Parked {
        /// The sale.
        flight: FlightNo,
    },
    /// A terminal had its credits for vouchers of the day: the amount waits in suspense (S-10).
    Credits {
        /// The sale.
        flight: FlightNo,
        /// The terminal.
        terminal: Text<8>,
    },
    /// Value to be taken back is no longer on its account: an operator settles it.
    Spent {
        /// The sale.
        flight: FlightNo,
    },
    /// A reversal named a sale by a transmission time under which the sale had not come yet, and now that it has, it cannot be undone: its records cannot be read, or too many
    /// reversals are open. It stands at its supplier until it comes once more, or an operator sees to it.
    Standing {
        /// The sale.
        flight: FlightNo,
    },
    /// A supplier does not know the sale that is to be reversed, which it said it had performed: its reversal is parked (S-9, S-15).
    Denied {
        /// The sale.
        flight: FlightNo,
        /// How often the reversal was sent: after the first time it may have been performed without an answer that arrived.
        tries: u16,
    },
    /// A supplier's late answer says otherwise than the operator who settled the sale (S-9).
    Contradicted {
        /// The sale.
        flight: FlightNo,
        /// Whether it stands, as the operator said.
        stands: bool,
    },
    /// A supplier answers a sale of which its session knows nothing any more.
    Stray {
        /// The supplier's code.
        supplier: Text<12>,
        /// What it says.
        stray: Stray,
    },
    /// The table of open reversals is full: reversals of approved sales get 96 until suppliers answer.
    ReversalsFull,
    /// A supplier has nearly as many parked reversals as it may, or as many.
    ManyParked {
        /// Its name.
        supplier: Text<30>,
        /// How many.
        parked: usize,
        /// How many it may have.
        parked_max: usize,
    },
    /// From a supplier nearly as many answers may still come late as may be awaited, or as many: at that number it gets no sale.
    ManyLate {
        /// Its name.
        supplier: Text<30>,
        /// How many.
        late: u32,
        /// How many may be.
        late_max: u32,
    },
    /// From one request to the next the clock went ahead by more than a day.
    ClockAhead,
    /// A business day began while the clock was more than a day ahead of the requests before: after a standstill, or by a wrong clock. It is not taken back (S-16).
    DayLeapt {
        /// The network's code.
        network: Text<11>,
        /// The day before, YYYYMMDD.
        before: u32,
        /// The day that began, YYYYMMDD.
        date: u32,
    },
    /// A network closed, by another 201, a business day that had begun early already (S-16).
    ClosedAgain {
        /// The network's code.
        network: Text<11>,
        /// The day that it closed, YYYYMMDD.
        closed: u32,
        /// The day that began, YYYYMMDD.
        date: u32,
    },
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partial { flight } => {
                write!(f, "{flight}: a reversal of another amount was refused with 13; nothing was reversed")
            }
            Self::Parked { flight } => {
                write!(
                    f,
                    "{flight}: its reversal is parked; the amount waits in suspense until an operator settles it"
                )
            }
            Self::Credits { flight, terminal } => write!(
                f,
                "{flight}: terminal {terminal} had its voucher credits of the day; the amount waits in suspense until an operator settles it"
            ),
            Self::Spent { flight } => {
                write!(
                    f,
                    "{flight}: the value to take back is no longer on its account; an operator settles it"
                )
            }
            Self::Standing { flight } => write!(
                f,
                "{flight}: a reversal had named it by the time of a message that came only now, and it cannot be undone; it stands at its supplier, reverse it there"
            ),
            Self::Denied { flight, tries } => write!(
                f,
                "{flight}: its supplier had approved it, and answers its reversal (sent {tries} times) that it does not know it; parked: ask the supplier, then settle it"
            ),
            Self::Contradicted { flight, stands: true } => write!(
                f,
                "{flight}: an operator settled it to its supplier, and now the supplier says that it did not perform it; credit the network by `position credit` where it is right"
            ),
            Self::Contradicted { flight, stands: false } => write!(
                f,
                "{flight}: an operator settled it to its network, and now the supplier says that it performed it; have it reversed there, or debit the network by `position debit` where it is right"
            ),
            Self::Stray { supplier, stray } => tell_stray(f, supplier, stray),
            Self::ClockAhead => f.write_str(
                "the clock is more than a day ahead of the requests before; if it is wrong, put it right within a day: until then nothing is forgotten and no business day begins that lies more than 31 days ahead, after that it is believed",
            ),
            Self::ManyParked { supplier, parked, parked_max } => write!(
                f,
                "supplier {supplier} has {parked} parked reversals; settle them (`advices list`): at {parked_max} it gets no sale, and reversals of what it sold get 96"
            ),
            Self::ManyLate { supplier, late, late_max } => write!(
                f,
                "supplier {supplier}: {late} answers may still come late, after time-outs and reversals; at {late_max} (`supplier.late_max`) its sales go elsewhere or get 91 until their late windows end; if that lasts raise it, or shorten `late_window_ms` where the supplier answers sooner"
            ),
            Self::DayLeapt { network, before, date } => write!(
                f,
                "network {network}: business day {date} has begun after {before}, by a clock that is more than a day ahead of the requests before; if the clock is wrong put it right now: this day stays, and the next ones must not begin"
            ),
            Self::ClosedAgain { network, closed, date } => write!(
                f,
                "network {network} closed business day {closed}, which had begun early already, by another 201: {date} has begun; where it only meant to repeat its cut-over it must send STAN and DE7 of the first (S-16)"
            ),
            Self::ReversalsFull => f.write_str(
                "too many reversals are open; reversals of approved sales get 96 until suppliers answer",
            ),
        }
    }
}

fn tell_stray(f: &mut fmt::Formatter<'_>, supplier: &Text<12>, stray: &Stray) -> fmt::Result {
    let Stray { rrn, stan, code, approved, untold } = stray;
    let what = if *approved { "an approval" } else { "no approval" };
    let other =
        if *approved { "anything but approved, have it reversed there" } else { "approved, ask there" };
    write!(
        f,
        "supplier {supplier} answers a sale that is no longer remembered with {code}, {what}: STAN {stan:06}, "
    )?;
    match rrn.is_empty() {
        true => f.write_str("without an RRN; find it by its time at the supplier")?,
        false => write!(f, "RRN {rrn}; look with `transaction find --rrn {rrn}`")?,
    }
    write!(f, ", and where its answer was {other}")?;
    if *untold > 0 {
        write!(f, " ({untold} more were counted before it and not told)")?;
    }
    Ok(())
}

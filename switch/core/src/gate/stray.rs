//! An answer to a sale that its session knows nothing of any more.
//!
//! Owns: the record of it, where its RRN leads back to a flight, with the PIN that it brought, sealed (S-10), and the alert.
//! Invariants: nothing changes: what was said stands, and money stays where it is, until somebody has compared the two. A PIN that it brought is given to nobody, and is not listed as
//! withdrawn either: it may be the one that was sold, told once more.
//! Deliberately absent: that comparison. It needs the sale's records, which may be weeks back; `transaction find` reads them.

use super::{Alert, Gate};
use crate::adapter::Answer;
use crate::catalogue::Meaning;
use crate::fact::Fact;
use crate::ids::{FlightNo, Now, SupplierId};
use crate::session::Stray;
use crate::text::Text;

impl Gate {
    /// A late answer to a sale that its session still knows, and the state no more: so many ended meanwhile, or the clock leapt again and again.
    pub(super) fn forgotten(&mut self, now: Now, supplier: SupplierId, rrn: Text<12>, answer: &Answer) {
        self.counters.late += 1;
        let approved = answer.sale == Some(Meaning::Approved);
        self.stray(now, supplier, Stray { rrn, code: answer.code, approved, ..Stray::default() }, answer);
    }

    pub(super) fn stray(&mut self, now: Now, supplier: SupplierId, stray: Stray, answer: &Answer) {
        let Some(code) = self.catalogue.supplier_of(supplier).map(|(_, known)| known.code) else { return };
        let ours = |flight: &FlightNo| (1..=self.state.last_flight().0).contains(&flight.0);
        if let Some(flight) = FlightNo::of_rrn(stray.rrn.as_str()).filter(ours) {
            let Stray { code, approved, .. } = stray;
            let (at_ms, mut sealed) = (now.wall_ms, std::mem::take(&mut self.sealed));
            self.seal_answer(answer, flight, &mut sealed);
            let details: &[u8] = if sealed.is_empty() { &[] } else { &answer.details.0 };
            self.record(&Fact::Stray { at_ms, flight, supplier, code, approved, details, sealed: &sealed });
            self.sealed = sealed;
        }
        self.alert(Alert::Stray { supplier: code, stray });
    }
}

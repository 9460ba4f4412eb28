//! A flight: one prepaid item on its way, from admission to its end.
//!
//! Owns: what the journal remembers of an open item (`Flight`), of the try that is under way (`Attempt`), and the phases.
//! Invariants: a flight has one attempt under way at any moment; a later attempt is made only when the one before certainly performed nothing
//! (S-12); every order to a supplier, sale or reversal, can be built from a flight alone (S-14).
//! Deliberately absent: who waits for its answer (the gate's, gone after a crash, and a repeat comes back for it).

use crate::adapter::LinkNo;
use crate::catalogue::Service;
use crate::ids::{FlightNo, NetworkId, ProductId, SupplierId};
use crate::index::EntryPlace;
use crate::log::Lsn;
use crate::money::Minor;
use crate::pack::{Fields, Pack, Unpack, Unreadable};
use crate::text::Text;

/// Longest sealed card number: head, 19 digits, tag.
pub const SEALED_PAN_BYTES_MAX: usize = 64;

/// A sealed card number; empty where the item has none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SealedPan {
    bytes: [u8; SEALED_PAN_BYTES_MAX],
    length: u8,
}

impl Default for SealedPan {
    fn default() -> Self {
        Self { bytes: [0; SEALED_PAN_BYTES_MAX], length: 0 }
    }
}

impl std::fmt::Debug for SealedPan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.length == 0 { "none" } else { "***" })
    }
}

impl SealedPan {
    /// Takes a sealed form; `None` where it is too long to be a sealed card number.
    pub fn new(sealed: &[u8]) -> Option<Self> {
        let mut bytes = [0; SEALED_PAN_BYTES_MAX];
        bytes.get_mut(..sealed.len())?.copy_from_slice(sealed);
        Some(Self { bytes, length: sealed.len() as u8 })
    }

    /// The sealed form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// One try at one supplier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Which one, from 1; or `CONTRADICTED`.
    pub number: u8,
    /// At whom.
    pub supplier: SupplierId,
    /// Our STAN there; 0 for a local supplier, which needs none.
    pub stan: u32,
    /// Our transmission time there (DE7), MMDDhhmmss UTC.
    pub transmission: [u8; 10],
    /// The supplier's code for the product.
    pub product: Text<20>,
}

impl Attempt {
    /// The number of an attempt that a supplier approved after it had refused it: the flight is there to undo it, and its RRN is the one that the supplier saw.
    pub const CONTRADICTED: u8 = 0;

    /// Reads a packed attempt.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            number: from.byte()?,
            supplier: from.supplier()?,
            stan: from.u32()?,
            transmission: from.array()?,
            product: from.text()?,
        })
    }
}

impl Attempt {
    /// Puts its fields behind others.
    fn put<const N: usize>(&self, fields: &mut Fields<N>) {
        fields.put([self.number]);
        fields.put(self.supplier.0.to_le_bytes());
        fields.put(self.stan.to_le_bytes());
        fields.put(self.transmission);
        fields.text(&self.product);
    }
}

/// More than an attempt takes, packed.
const ATTEMPT_BYTES_MAX: usize = size_of::<Attempt>() + 1;

impl Pack for Attempt {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut fields = Fields::<ATTEMPT_BYTES_MAX>::default();
        self.put(&mut fields);
        fields.append(out);
    }
}

/// Where a flight stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The attempt under way has no outcome.
    #[default]
    Asked = 1,
    /// The outcome is unknown and a reversal is on its way.
    Doubt = 2,
    /// The doubt is over: reversed.
    Settled = 3,
    /// The supplier refused the reversal, or it expired: an operator settles it (S-9).
    Parked = 4,
    /// An operator settled it: the sale does not stand, whatever is heard of it later.
    Void = 5,
    /// An operator settled it: the sale stands, whatever is heard of it later.
    Stands = 6,
}

impl Phase {
    const ALL: [Self; 6] = [Self::Asked, Self::Doubt, Self::Settled, Self::Parked, Self::Void, Self::Stands];

    /// Whether nothing of it is open any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Settled | Self::Void | Self::Stands)
    }

    fn of(number: u8) -> Result<Self, Unreadable> {
        Self::ALL.into_iter().find(|phase| *phase as u8 == number).ok_or(Unreadable)
    }
}

/// Where the amount of a flight is while its outcome, or its reversal, is open (S-15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Held {
    /// Nowhere of its own: it was moved, or given back.
    #[default]
    Nothing = 1,
    /// Reserved in the network's position.
    Reserved = 2,
    /// In the suspense account of the supplier.
    Suspense = 3,
}

impl Held {
    const ALL: [Self; 3] = [Self::Nothing, Self::Reserved, Self::Suspense];

    fn of(number: u8) -> Result<Self, Unreadable> {
        Self::ALL.into_iter().find(|held| *held as u8 == number).ok_or(Unreadable)
    }
}

fn link(from: &mut Unpack<'_>) -> Result<Option<LinkNo>, Unreadable> {
    let (is_known, link) = (from.flag()?, from.byte()?);
    Ok(is_known.then_some(link))
}

/// What the journal remembers of an open item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flight {
    /// Its number.
    pub number: FlightNo,
    /// When it was admitted, Unix milliseconds.
    pub admitted_ms: u64,
    /// The key of S-1, hashed.
    pub key: u128,
    /// The key of S-5, hashed.
    pub named: u128,
    /// The contents, hashed.
    pub contents: u64,
    /// Who pays.
    pub network: NetworkId,
    /// What is sold.
    pub product: ProductId,
    /// What kind of thing that is.
    pub service: u8,
    /// Minor units of `currency`.
    pub amount: Minor,
    /// ISO 4217 numeric.
    pub currency: u16,
    /// Account; empty where there is none.
    pub account: Text<30>,
    /// DE41.
    pub terminal: Text<8>,
    /// DE42.
    pub merchant: Text<15>,
    /// Whether its merchant has a position of its own, which pays beside the network's.
    pub merchant_pays: bool,
    /// DE32.
    pub acquirer: Text<11>,
    /// Local time and date, hhmmssMMDD digits.
    pub local: [u8; 10],
    /// The business day it counts in, MMDD digits.
    pub day: [u8; 4],
    /// DE37 of its answer; of the supplier's, where the attempt is `CONTRADICTED`.
    pub rrn: Text<12>,
    /// The try under way.
    pub attempt: Attempt,
    /// The card number, sealed.
    pub pan: SealedPan,
    /// Where it stands. Not packed: facts say it.
    pub phase: Phase,
    /// Where its amount is. Not packed: facts say it.
    pub held: Held,
    /// Whether its terminal reversed it: its answer is 17, and no other supplier is asked (S-4, S-12). Not packed: facts say it.
    pub cancelled: bool,
    /// Whether its supplier said last that it performed it: then it cannot be unknown to it (S-15). Not packed: facts say it.
    pub performed: bool,
    /// The link that the answer of its last attempt came on, where that is known: its reversal goes there (S-8). Not packed.
    pub link: Option<LinkNo>,
    /// The STAN of its reversal at the supplier; 0: the attempt's own, which is still kept for it. Not packed.
    pub reversal_stan: u32,
    /// Its entry in the index. Not packed: given when the fact is applied.
    pub entry: EntryPlace,
    /// Where the fact lies that opened it. Not packed: given when the fact is applied.
    pub intent_at: Lsn,
}

impl Flight {
    /// Reads a packed flight.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            number: from.flight()?,
            admitted_ms: from.u64()?,
            key: from.u128()?,
            named: from.u128()?,
            contents: from.u64()?,
            network: from.network()?,
            product: from.product()?,
            service: from.byte()?,
            amount: from.minor()?,
            currency: from.u16()?,
            account: from.text()?,
            terminal: from.text()?,
            merchant: from.text()?,
            merchant_pays: from.byte()? != 0,
            acquirer: from.text()?,
            local: from.array()?,
            day: from.array()?,
            rrn: from.text()?,
            attempt: Attempt::unpack(from)?,
            pan: SealedPan::new(from.bytes()?).ok_or(Unreadable)?,
            ..Self::default()
        })
    }

    /// DE37 at the supplier, unique per attempt (S-14).
    pub fn sent_rrn(&self) -> Text<12> {
        match self.attempt.number {
            Attempt::CONTRADICTED => self.rrn,
            number => self.number.rrn(number),
        }
    }

    /// Appends it with what facts said of it since, for a checkpoint.
    pub fn pack_whole(&self, out: &mut Vec<u8>) {
        self.pack(out);
        (self.phase as u8).pack(out);
        (self.held as u8).pack(out);
        self.cancelled.pack(out);
        self.performed.pack(out);
        self.link.is_some().pack(out);
        self.link.unwrap_or_default().pack(out);
        self.reversal_stan.pack(out);
        self.entry.0.pack(out);
        self.intent_at.0.pack(out);
    }

    /// Reads what [`Flight::pack_whole`] wrote.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack_whole(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        let flight = Self::unpack(from)?;
        Ok(Self {
            phase: Phase::of(from.byte()?)?,
            held: Held::of(from.byte()?)?,
            cancelled: from.flag()?,
            performed: from.flag()?,
            link: link(from)?,
            reversal_stan: from.u32()?,
            entry: EntryPlace(from.u32()?),
            intent_at: Lsn(from.u64()?),
            ..flight
        })
    }

    /// The STAN under which its reversal is open at the supplier.
    pub fn undo_stan(&self) -> u32 {
        if self.reversal_stan == 0 { self.attempt.stan } else { self.reversal_stan }
    }

    /// What kind of thing is sold.
    pub fn service(&self) -> Option<Service> {
        Service::ALL.get(usize::from(self.service)).copied()
    }
}

/// More than a flight takes, packed, without its card number: no field takes more than in memory.
const FLIGHT_BYTES_MAX: usize = size_of::<Flight>() - size_of::<SealedPan>();

impl Pack for Flight {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut fields = Fields::<FLIGHT_BYTES_MAX>::default();
        fields.put(self.number.0.to_le_bytes());
        fields.put(self.admitted_ms.to_le_bytes());
        fields.put(self.key.to_le_bytes());
        fields.put(self.named.to_le_bytes());
        fields.put(self.contents.to_le_bytes());
        fields.put(self.network.0.to_le_bytes());
        fields.put(self.product.0.to_le_bytes());
        fields.put([self.service]);
        fields.put(self.amount.0.to_le_bytes());
        fields.put(self.currency.to_le_bytes());
        fields.text(&self.account);
        fields.text(&self.terminal);
        fields.text(&self.merchant);
        fields.put([u8::from(self.merchant_pays)]);
        fields.text(&self.acquirer);
        fields.put(self.local);
        fields.put(self.day);
        fields.text(&self.rrn);
        self.attempt.put(&mut fields);
        fields.append_with(self.pan.as_bytes(), out);
    }
}

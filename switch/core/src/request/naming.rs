//! By what a message names itself, and what it names besides.
//!
//! Owns: reading the elements that make the keys of S-1 and S-5, of a message itself and of the original that a reversal or an inquiry is about.
//! Invariants: both keys begin with what they share (message class, DE32, 42, 41, STAN), so a request found by one has the other too; what is missing takes no part.
//! Deliberately absent: whether the place that asks is known (`request`), and what the index does with the keys.

use super::Request;
use crate::index::Hour;
use crate::iso8583::{Role, View};
use crate::keyhash::{Digest, KeyHash};
use crate::reversal::Named;
use crate::text::Text;

/// Who sent a message: the part that both keys share.
pub(super) struct Sender {
    pub(super) network: Text<11>,
    pub(super) terminal: Text<8>,
    pub(super) merchant: Text<15>,
}

impl Sender {
    pub(super) fn of(view: &View<'_>) -> Option<Self> {
        Some(Self {
            network: view.value(Role::Network)?.text()?,
            terminal: view.value(Role::Terminal)?.text::<8>()?.trimmed(),
            merchant: view.value(Role::Merchant)?.text::<15>()?.trimmed(),
        })
    }

    pub(super) fn begin(&self, class: u8, stan_digits: &[u8; 6], keys: &KeyHash) -> Digest {
        let mut shared = keys.begin(class);
        shared.add_fixed(self.network.padded());
        shared.add_fixed(self.merchant.padded());
        shared.add_fixed(self.terminal.padded());
        shared.add_fixed(stan_digits);
        shared
    }
}

pub(super) fn key(shared: &mut Digest, local: &[u8; 10]) -> u128 {
    Hour::of_local(local).put_in(shared.end_with(local))
}

pub(super) fn named(shared: &mut Digest, transmission: &[u8; 10]) -> u128 {
    let mut last = *b"DE7MMDDhhmmss";
    last[3..].copy_from_slice(transmission);
    Hour::of_transmission(transmission).put_in(shared.end_with(&last))
}

/// DE12 and DE13 digits: hhmmssMMDD.
pub(super) fn local(view: &View<'_>) -> Option<[u8; 10]> {
    let time: [u8; 6] = digits(view, Role::LocalTime)?;
    let date: [u8; 4] = digits(view, Role::LocalDate)?;
    let mut local = [0; 10];
    local[..6].copy_from_slice(&time);
    local[6..].copy_from_slice(&date);
    Some(local)
}

/// What a reversal or an inquiry says of itself and of its original.
pub(super) struct Naming {
    pub(super) sender: Sender,
    stan: u32,
    stan_digits: [u8; 6],
    transmission: Option<[u8; 10]>,
    local: Option<[u8; 10]>,
    /// DE90.
    original: Option<[u8; 42]>,
}

impl Naming {
    /// `None` where something that names it is missing or is not of its form.
    pub(super) fn of(view: &View<'_>) -> Option<Self> {
        let original = match view.value(Role::Original) {
            Some(value) => Some(value.characters()?),
            None => None,
        };
        Some(Self {
            sender: Sender::of(view)?,
            stan: view.value(Role::Stan)?.number()? as u32,
            stan_digits: digits(view, Role::Stan)?,
            transmission: digits(view, Role::TransmissionTime),
            local: local(view),
            original,
        })
    }

    /// Its own keys. What it does not have takes no part.
    pub(super) fn own_keys(&self, class: u8, keys: &KeyHash) -> (u128, u128) {
        let mut shared = self.sender.begin(class, &self.stan_digits, keys);
        let transmission = self.transmission.unwrap_or_default();
        let local = self.local.unwrap_or(transmission);
        (key(&mut shared, &local), named(&mut shared, &transmission))
    }

    /// What it names: by DE90, or by the original's own STAN and times where it has no DE90 (S-5). `classes` are those whose messages it may be about. `None` where that names
    /// nothing, or what no message can be: a key of S-1 or S-5 has the class of its MTI, so a name of another class belongs to nothing that could ever come. To block it (S-5) and say
    /// 00 would tell a network that its sale is undone, which stands; it is a message that is wrong (S-20). The other digits of that MTI take no part in a key, nor here.
    pub(super) fn original(&self, classes: &[u8], keys: &KeyHash) -> Option<Named> {
        let (class, stan, transmission) = match &self.original {
            Some(original) => {
                let class = original[1].wrapping_sub(b'0');
                let transmission: [u8; 10] = original[10..20].try_into().ok()?;
                let given = transmission != [b'0'; 10];
                (
                    classes.contains(&class).then_some(class)?,
                    original[4..10].try_into().ok()?,
                    given.then_some(transmission),
                )
            }
            // Where it has the original's local time its transmission time is its own, and changes with each repeat of it.
            None => (2, self.stan_digits, self.transmission.filter(|_| self.local.is_none())),
        };
        let mut shared = self.sender.begin(class, &stan, keys);
        let by = Named {
            key: self.local.map(|local| key(&mut shared, &local)),
            named: transmission.map(|transmission| named(&mut shared, &transmission)),
        };
        (by.key.is_some() || by.named.is_some()).then_some(by)
    }

    /// The values that a request of either kind has from its message.
    pub(super) fn request(&self, view: &View<'_>) -> Request {
        Request {
            stan: self.stan,
            transmission: self.transmission.unwrap_or_default(),
            local: self.local.unwrap_or_default(),
            rrn: view.value(Role::Rrn).and_then(|value| value.text()).unwrap_or_default(),
            pan_echoed: view.has(Role::Pan),
            ..Request::default()
        }
    }
}

pub(super) fn digits<const N: usize>(view: &View<'_>, role: Role) -> Option<[u8; N]> {
    view.value(role)?.characters()
}

/// The number that a STAN's digits are.
pub(super) fn number(digits: &[u8; 6]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

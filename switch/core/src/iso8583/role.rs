//! The words that code uses instead of element numbers and tags.
//!
//! Owns [`Role`], [`Tag`] and [`Mask`]; a dialect file assigns them to elements. Deliberately absent: any number.

use super::value::Value;

/// A closed set of words of a dialect file, so that an unknown one can be met with the nearest.
pub(super) trait Word: Copy + 'static {
    fn all() -> &'static [Self];
    fn word(self) -> &'static str;
    fn of_word(word: &str) -> Option<Self>;
}

/// Declares an enumeration whose variants each have one word in dialect files.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $Name:ident { $($(#[$about:meta])* $Variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $Name { $($(#[$about])* $Variant,)* }

        impl $Name {
            /// Every variant, in the order of declaration.
            $vis const ALL: &'static [Self] = &[$(Self::$Variant,)*];

            /// The word for it in a dialect file.
            $vis const fn name(self) -> &'static str {
                match self { $(Self::$Variant => $word,)* }
            }

            /// The variant of this word.
            $vis fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$Variant),)* _ => None }
            }
        }

        impl $crate::iso8583::role::Word for $Name {
            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn word(self) -> &'static str {
                self.name()
            }

            fn of_word(word: &str) -> Option<Self> {
                Self::parse(word)
            }
        }
    };
}
pub(super) use words;

words! {
    /// What an element means, independent of the number that a dialect gives it.
    pub enum Role {
        /// Card number.
        Pan = "pan",
        /// Processing code.
        ProcessingCode = "processing-code",
        /// Amount in minor units of the currency.
        Amount = "amount",
        /// Transmission date and time, MMDDhhmmss, UTC.
        TransmissionTime = "transmission-time",
        /// System trace audit number.
        Stan = "stan",
        /// Local time, hhmmss.
        LocalTime = "local-time",
        /// Local date, MMDD.
        LocalDate = "local-date",
        /// Card expiry, YYMM.
        ExpiryDate = "expiry-date",
        /// Settlement (business) date.
        SettlementDate = "settlement-date",
        /// Merchant type.
        MerchantType = "merchant-type",
        /// Point of service entry mode.
        EntryMode = "entry-mode",
        /// Point of service condition code.
        ConditionCode = "condition-code",
        /// Acquiring institution: the retail network.
        Network = "network",
        /// Forwarding institution.
        Forwarder = "forwarder",
        /// Track 2.
        Track2 = "track-2",
        /// Retrieval reference number.
        Rrn = "rrn",
        /// Approval code.
        ApprovalCode = "approval-code",
        /// Response code; in a reversal its reason.
        ResponseCode = "response-code",
        /// Terminal.
        Terminal = "terminal",
        /// Merchant.
        Merchant = "merchant",
        /// Merchant's name and place.
        MerchantName = "merchant-name",
        /// Prepaid data: a sequence of tagged elements.
        Prepaid = "prepaid",
        /// Currency, ISO 4217 numeric.
        Currency = "currency",
        /// Balances.
        Balances = "balances",
        /// Receipt text.
        Receipt = "receipt",
        /// Message authentication code of a message without elements beyond the primary bitmap.
        Mac = "mac",
        /// Message authentication code of a message with them.
        MacExtended = "mac-extended",
        /// Network management code.
        ManagementCode = "management-code",
        /// Original data elements of a reversal.
        Original = "original",
        /// Track 1.
        Track1 = "track-1",
        /// PIN block.
        PinBlock = "pin-block",
        /// Chip data.
        Chip = "chip",
    }
}

impl Role {
    /// Its bit in a set of roles ([`super::View::roles`]).
    pub const fn bit(self) -> u64 {
        1 << self as u32
    }

    /// The bit of elements that mean nothing to the switch.
    pub const NONE_BIT: u64 = 1 << 63;
}

words! {
    /// What a tagged element inside the prepaid data means.
    pub enum Tag {
        /// Product code.
        Product = "product",
        /// Account: telephone number, meter, contract.
        Account = "account",
        /// Supplier, when the client names it.
        Supplier = "supplier",
        /// Third-party identifiers, echoed unaltered.
        ThirdParty = "third-party",
        /// Item reference.
        ItemReference = "item-reference",
        /// Item amount.
        ItemAmount = "item-amount",
        /// One item: nested elements of the same form.
        Item = "item",
        /// Voucher PIN.
        Pin = "pin",
        /// Voucher serial number.
        Serial = "serial",
        /// Voucher expiry, YYYYMMDD.
        Expiry = "expiry",
        /// Supplier's reference (confirmation code).
        SupplierReference = "supplier-reference",
        /// How to redeem.
        Redeem = "redeem",
        /// Face value and currency.
        FaceValue = "face-value",
        /// Item's response code.
        ItemCode = "item-code",
    }
}

words! {
    /// How much of an element people may see.
    pub enum Mask {
        /// All of it.
        Clear = "clear",
        /// The first six and the last four digits.
        Pan = "pan",
        /// The last four characters.
        Account = "account",
        /// Nothing.
        Secret = "secret",
        /// The card number as [`Mask::Pan`], nothing of the rest.
        Track = "track",
    }
}

impl Mask {
    /// Appends the value as people may see it: canonical ASCII, binary as hex digits, hidden characters as `*`. What is
    /// wholly hidden is `***`, whatever its length.
    pub fn write(self, value: &Value<'_>, out: &mut Vec<u8>) {
        let length = value.len();
        match self {
            Mask::Clear => value.append_readable_to(out),
            Mask::Secret => out.extend_from_slice(b"***"),
            Mask::Account => write_ends(value, length, 0, out),
            Mask::Pan => write_ends(value, length, 6, out),
            Mask::Track => {
                let pan = (0..length).take_while(|&i| value.character(i).is_ascii_digit()).count();
                write_ends(value, pan, 6, out);
                out.extend_from_slice(b"=***");
            }
        }
    }
}

/// Shows `first` and the last four of the first `length` characters; a value that would be mostly shown is hidden whole.
fn write_ends(value: &Value<'_>, length: usize, first: usize, out: &mut Vec<u8>) {
    const LAST: usize = 4;
    if length < first + LAST + 2 {
        out.extend_from_slice(b"***");
        return;
    }
    for index in 0..length {
        let shown = index < first || index + LAST >= length;
        out.push(if shown { value.character(index) } else { b'*' });
    }
}

//! Response codes (DE39) and what they mean.
//!
//! Owns: the table of the reference dialect.
//! Deliberately absent: a supplier's own codes; its configuration maps them (S-11).

use std::fmt;

/// A response code, two characters (DE39, an2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub [u8; 2]);

macro_rules! codes {
    ($($name:ident $digits:literal $meaning:literal;)*) => {
        impl Code {
            $(#[doc = $meaning] pub const $name: Self = Self(*$digits);)*

            /// What the code means, in the words of the dialect; `None` for a code outside its table.
            pub fn meaning(self) -> Option<&'static str> {
                match &self.0 {
                    $($digits => Some($meaning),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    APPROVED b"00" "approved";
    MERCHANT b"03" "merchant unknown, or of another network";
    REFUSED b"05" "refused by the supplier";
    PARTIAL b"10" "approved in part (several items)";
    NOT_VALID b"12" "transaction not valid: service, currency, stale date";
    AMOUNT b"13" "amount not valid";
    ACCOUNT b"14" "account or card not valid";
    CANCELLED b"17" "cancelled: reversed";
    NOT_FOUND b"25" "original not found";
    FORMAT b"30" "format error";
    NETWORK b"31" "network unknown, suspended, not signed on, or not the one of the certificate";
    UNSUPPORTED b"40" "function not supported";
    BALANCE b"51" "balance of a stored-value account too small";
    CARD_EXPIRED b"54" "card expired";
    PRODUCT b"57" "product unknown or not allowed here";
    TERMINAL b"58" "terminal unknown, blocked, or of another merchant";
    LIMIT b"61" "over limit, or the network's position is exhausted";
    UNKNOWN b"68" "outcome unknown: not sold, being reversed; final for this key";
    STOCK b"79" "out of stock";
    SUPPLIER b"91" "supplier out of reach";
    ROUTE b"92" "no route";
    OTHER_CONTENTS b"94" "same key, other contents: nothing performed under these contents";
    TOTALS b"95" "totals do not agree";
    FAULT b"96" "switch fault or overload: nothing performed";
}

impl Code {
    /// The two characters as text. Codes come from tables, so they are ASCII; others show as `??`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

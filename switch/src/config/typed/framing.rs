//! How messages are cut out of a stream.

use super::super::forms;
use super::super::table::Table;
use switchyard_core::iso8583::{Framing, HeaderMode, LengthForm, Order};

/// `[conduit.framing]` and `[supplier.framing]`; the default where it was wrong.
pub(super) fn framing(table: Option<&Table>) -> Framing {
    let Some(table) = table else { return Framing::DEFAULT };
    Framing {
        length: match table.text("length") {
            "binary4" => LengthForm::Binary4,
            "ascii4" => LengthForm::Ascii4,
            "bcd4" => LengthForm::Bcd4,
            _ => LengthForm::Binary2,
        },
        order: if table.text("order") == "little" { Order::Little } else { Order::Big },
        inclusive: table.bool("inclusive"),
        header: forms::header(table.text("header")).unwrap_or_default(),
        header_mode: match table.text("header_mode") {
            "rewrite" => HeaderMode::Rewrite,
            _ => HeaderMode::Mirror,
        },
    }
}

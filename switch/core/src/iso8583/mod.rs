//! ISO 8583 messages: dialects as data, a view that borrows, a builder that writes in place, and framings.
//!
//! Owns everything that knows how a message looks on the wire. A [`Dialect`] is read from TOML and compiled once into a field
//! table; [`Dialect::view`] walks a message once and borrows from it; [`Build`] writes a message straight into an output
//! buffer; [`Framing`] cuts a byte stream into messages.
//!
//! Invariants worth naming:
//! - No element number is known outside a dialect file: code speaks of [`Role`]s and [`Tag`]s.
//! - Reading a sound message allocates nothing; building one allocates nothing but the growth of the output buffer.
//! - What is decoded and built again is the same bytes ([`View::rebuild`]).
//! - Errors name element, offset and rule, never a value; `Debug` of a view or a value shows no content.
//!
//! Deliberately absent: sockets, clocks, keys and MACs (an element that holds a MAC is carried, not verified), and what a
//! message means: mandatory elements, response codes and repeats belong to the request and the answer.

mod build;
mod charset;
mod decimal;
mod dialect;
mod encode;
mod error;
mod field;
mod framing;
mod layout;
mod mti;
mod role;
mod shipped;
mod spec;
mod tags;
mod value;
mod view;

pub use build::Build;
pub use charset::Content;
pub use dialect::{Dialect, Element};
pub use error::{Broken, BuildError, BuildRule, DialectError, FormatError, Rule};
pub use framing::{
    Frame, FrameError, FrameMark, Framing, HEADER_BYTES_MAX, Header, HeaderBytes, HeaderMode, LengthForm,
    Order,
};
pub use layout::Layout;
pub use mti::{Mti, Version};
pub use role::{Mask, Role, Tag};
pub use tags::{Ber, Tags};
pub use value::Value;
pub use view::View;

/// Longest message, in bytes, that a view reads and a build writes. Positions are held in 16 bits.
pub const MESSAGE_BYTES_MAX: usize = 65_535;

/// Highest element number: three bitmaps of 64 bits (ISO 8583:2003, 5.2).
pub const ELEMENT_MAX: u8 = 192;

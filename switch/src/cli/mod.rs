//! The command line.

pub mod books;
pub mod stock;

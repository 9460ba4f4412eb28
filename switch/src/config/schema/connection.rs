//! Keys that connections of conduits and links of suppliers have in common: bounds and defaults once. What they mean, each table says.

use switchyard_core::schema::Key;

pub(super) const fn connect_ms(meaning: &'static str) -> Key {
    Key::integer("connect_ms", "ms", 100, 60_000, meaning).default("3_000")
}

pub(super) const fn reconnect_first_ms(meaning: &'static str) -> Key {
    Key::integer("reconnect_first_ms", "ms", 10, 60_000, meaning).default("50")
}

pub(super) const fn reconnect_max_ms(meaning: &'static str) -> Key {
    Key::integer("reconnect_max_ms", "ms", 10, 600_000, meaning).default("5_000")
}

pub(super) const fn frame_bytes_max(meaning: &'static str) -> Key {
    Key::integer("frame_bytes_max", "bytes", 64, 65_535, meaning).default("8_192")
}

//! The books of a data folder: opened, replayed, and not yet in use.

use super::StartError;
use crate::clock::Clock;
use crate::journal::{JournalOptions, Opening, Replayed};
use crate::keys::Kek;
use crate::restore::{newest, replay};
use crate::runs::{Reach, RunFolder};
use crate::settings::Settings;
use std::sync::Arc;
use switchyard_core::seal::Keyring;
use switchyard_core::state::State;

/// The books: state, journal and keys, opened and not yet in use.
pub struct Books {
    /// The folded state.
    pub state: State,
    /// The opened journal, replayed.
    pub opening: Opening,
    /// The data keys.
    pub keyring: Arc<Keyring>,
    /// The key-encryption key.
    pub kek: Arc<Kek>,
    /// What lies in files of the duplicate index.
    pub runs: Arc<RunFolder>,
    /// What the replay found.
    pub replayed: Replayed,
}

/// Opens the data folder: locks it, reads the keys, replays the journal. Nothing is changed but a missing key made, where the settings allow that.
///
/// # Errors
/// See `StartError`.
pub fn open_books(settings: &Settings) -> Result<Books, StartError> {
    std::fs::create_dir_all(&settings.data)
        .map_err(|source| StartError::Data { folder: settings.data.display().to_string(), source })?;
    let kek = Arc::new(Kek::open(&settings.keys, &settings.data)?);
    let options = JournalOptions {
        segment_bytes: settings.journal.segment_bytes,
        prepared_min: settings.journal.segments_prepared_min as usize,
        sync_interval_us: u64::from(settings.journal.sync_interval_us),
        sync_facts_min: settings.journal.sync_facts_min as usize,
    };
    let mut opening = Opening::new(&settings.data.join("journal"), options, Arc::clone(&kek))?;
    kek.refresh(&settings.keys, &settings.data)?;
    let keyring = Arc::new(Keyring::new());
    let gate = &settings.gate;
    let mut state = newest(&opening, gate.reversible_ms())?;
    let reach = Reach {
        repeatable_ms: state.aged_ms().saturating_sub(gate.repeatable_ms()),
        // Runs are removed by the time of requests, which is the clock's of then.
        reversible_ms: Clock::start().now().wall_ms.saturating_sub(gate.reversible_ms()),
    };
    let (runs, opened) = RunFolder::open(&settings.data.join("runs"), state.index.relied(), reach)?;
    state.index.attach(opened);
    let mut refused = None;
    let replayed = replay(&mut opening, &keyring, &mut state, |state| {
        let room = runs.make_room(state, gate.duplicate_bytes_max as usize, gate.repeatable_ms());
        room.map_err(|error| refused.insert(error).to_string())
    });
    match refused {
        Some(error) => Err(error.into()),
        None => Ok(Books { state, opening, keyring, kek, runs: Arc::new(runs), replayed: replayed? }),
    }
}

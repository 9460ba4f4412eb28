//! The state at a start: the newest checkpoint that reads, and the facts after it.
//!
//! Owns: which checkpoint is used. Invariants: the state equals the fold of the whole log, whatever was used (`fold`); a checkpoint that does not read costs time, never
//! a start, as long as the log is there that it stands for.
//! Deliberately absent: how files are read and checked (`journal`), and what a fact changes (`State::apply`).

use crate::journal::{JournalError, Opening, Replayed};
use std::time::Instant;
use switchyard_core::fact::Fact;
use switchyard_core::log::Lsn;
use switchyard_core::seal::Keyring;
use switchyard_core::state::State;

/// The state that the folder holds, where nothing of its index lies in runs. Requests leave its index after `window_ms`.
///
/// # Errors
/// Every [`JournalError`] that says "nothing was changed"; [`JournalError::Beheaded`] when neither a checkpoint nor the beginning of the log is there.
pub fn restore(
    opening: &mut Opening,
    keyring: &Keyring,
    window_ms: u64,
) -> Result<(State, Replayed), JournalError> {
    let mut state = newest(opening, window_ms)?;
    let replayed = replay(opening, keyring, &mut state, |_| Ok(()))?;
    Ok((state, replayed))
}

/// Folds what the log has after `state` into it. `room` is called after each fact, to keep the state within its bounds.
///
/// # Errors
/// As [`restore`], and what `room` says.
pub fn replay(
    opening: &mut Opening,
    keyring: &Keyring,
    state: &mut State,
    mut room: impl FnMut(&mut State) -> Result<(), String>,
) -> Result<Replayed, JournalError> {
    let began = Instant::now();
    let replayed = opening.replay_after(state.last, keyring, |at, bytes| {
        apply(state, at, bytes)?;
        room(state)
    })?;
    Ok(Replayed { took: began.elapsed(), ..replayed })
}

/// Folds one fact in.
///
/// # Errors
/// It does not read, or does not fit: why.
pub fn apply(state: &mut State, at: Lsn, bytes: &[u8]) -> Result<(), String> {
    let fact = Fact::unpack(bytes).map_err(|error| error.to_string())?;
    state.apply(at, &fact).map_err(|error| error.to_string())
}

/// The state of the newest checkpoint that can be used; an empty one when there is none. Its runs are not attached yet.
///
/// # Errors
/// The folder cannot be read.
pub fn newest(opening: &Opening, window_ms: u64) -> Result<State, JournalError> {
    let mut state = newest_image(opening, window_ms)?;
    state.set_window_ms(window_ms);
    Ok(state)
}

fn newest_image(opening: &Opening, window_ms: u64) -> Result<State, JournalError> {
    for at in opening.checkpoints()? {
        match opening.checkpoint(at) {
            Ok(state) if state.window_ms() >= window_ms => return Ok(state),
            // Requests that left a shorter window are in the log only. Where its beginning is gone, they are gone too.
            Ok(_) if opening.is_whole() => {
                tracing::info!("the window was made longer: the whole journal is read again");
                return Ok(State::new(window_ms));
            }
            Ok(state) => {
                let known_h = state.window_ms() / 3_600_000;
                tracing::warn!(
                    known_h,
                    "the window was made longer than the journal goes back: until it has filled, older requests are not known"
                );
                return Ok(state);
            }
            Err(fault) => {
                tracing::warn!(%fault, "a checkpoint is passed over; the start takes longer and loses nothing")
            }
        }
    }
    Ok(State::new(window_ms))
}

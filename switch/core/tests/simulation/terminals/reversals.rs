//! What terminals are told of reversals and inquiries, and whether they may be told that.

use super::Terminals;
use crate::story::{Found, Stories};
use crate::support::message::Answer;
use std::collections::hash_map::Entry;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::ticket::Ticket;

impl Terminals {
    /// A reversal is accepted with 00, or refused: for another amount, or because no more can be open (S-6, S-7).
    pub(super) fn hear_reversal(
        &mut self,
        ticket: &Ticket,
        mut answer: Answer,
        outcome: &Outcome<'_>,
        stories: &Stories,
    ) {
        let mti = if ticket.mti.number() < 420 { 410 } else { 430 };
        assert_eq!(answer.mti, mti);
        assert!(answer.tag(b"20").is_none() && answer.element(38).is_none());
        let request = &ticket.request;
        if answer.code != "00" {
            assert!(matches!(&answer.code[..], "13" | "96"), "a reversal is told {}", answer.code);
            assert_eq!(outcome.verdict, Verdict::Declined);
            let key = (request.key, request.contents);
            assert!(!self.undone.contains_key(&key), "a repeat of an accepted reversal is refused");
            return;
        }
        let undo = &stories.undos[&outcome.flight];
        let key = (undo.key, undo.contents);
        assert_eq!(key, (request.key, request.contents), "another's answer");
        let keys = [undo.original, undo.named.key, undo.named.named];
        self.reversed.extend(keys.into_iter().flatten());
        self.accepted.insert(outcome.flight);
        if stories.is_ambiguous(undo.key) {
            return;
        }
        (answer.mti, answer.transmission) = (0, String::new());
        match self.undone.entry(key) {
            Entry::Vacant(free) => {
                free.insert((outcome.flight, answer));
            }
            Entry::Occupied(first) => {
                assert_eq!(
                    *first.get(),
                    (outcome.flight, answer),
                    "a repeated reversal is told something else"
                );
            }
        }
    }

    /// An inquiry tells how its original stands, without its secrets.
    pub(super) fn hear_inquiry(
        &mut self,
        ticket: &Ticket,
        answer: &Answer,
        outcome: &Outcome<'_>,
        stories: &Stories,
    ) {
        assert_eq!(answer.mti, 110);
        assert!(answer.tag(b"20").is_none(), "an inquiry is told a PIN");
        let named = ticket.request.original;
        let flight = match stories.find(named) {
            Some(Found::Flight(number)) => Some(number),
            _ => None,
        };
        let story = flight.map(|number| &stories.flights[&number]);
        // A sale that is there is what it names; else whatever was blocked. A name that never arrived is not known, even where a reversal gave it beside the right key.
        let keys = match story {
            Some(story) => [Some(story.key), None],
            None if stories.undone_at(named).is_some() => [named.key, named.named],
            None => [None, None],
        };
        if keys.into_iter().flatten().any(|key| self.reversed.contains(&key)) {
            assert_eq!(answer.code, "17", "an inquiry after the reversal was answered (S-4)");
        }
        let verdict = story.and_then(|story| story.verdict);
        match &answer.code[..] {
            "25" => assert!(
                flight.is_none_or(|number| !self.told.contains_key(&number)),
                "what was answered is not found"
            ),
            "17" => assert!(
                stories.undone_at(named).is_some()
                    || matches!(verdict, Some(Verdict::Unknown | Verdict::Cancelled)),
                "17, and nobody reversed it"
            ),
            "68" => assert_eq!(verdict, Some(Verdict::Unknown)),
            "00" => assert_eq!((Some(outcome.flight), verdict), (flight, Some(Verdict::Approved))),
            code => assert_eq!((Some(outcome.flight), verdict), (flight, Some(Verdict::Declined)), "{code}"),
        }
    }
}

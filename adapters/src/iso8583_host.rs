//! A supplier that is an ISO 8583 host: the client's side of the conversation, in any dialect.
//!
//! Owns: the state of each link (signing on, ready, leaving), housekeeping (sign-on, sign-off, echo), and the
//! wiring of the files below: `message` writes what is asked, `reply` reads what is answered.
//! Invariants: a link is ready only between its sign-on and its end; every housekeeping request has a
//! deadline; housekeeping is never reported as a reply; one frame makes at most one message.
//! Deliberately absent: framing, reconnecting and TLS (the shell's), matching and repeats (the session's),
//! and element numbers (the dialect's).

mod message;
mod reply;

use crate::settings::Settings;
use crate::{Made, MakeContext, MakeError, Registration};
use message::{Management, Messages};
use switchyard_core::adapter::{Fault, Heard, LinkNo, Order, Out, Unaskable, Wire};
use switchyard_core::ids::Now;
use switchyard_core::iso8583::{Role, View};
use switchyard_core::schema::{Key, Kind};

/// Its line in the registry.
pub const REGISTRATION: Registration = Registration {
    name: "iso8583-host",
    help: "A supplier that is an ISO 8583 host, reached over framed links, in any dialect.",
    local: false,
    links: true,
    keys: KEYS,
    make,
};

const KEYS: &[Key] = &[
    Key::new("dialect", Kind::Dialect, "The dialect that the supplier speaks.").required().example("\"prepaid87\""),
    Key::new(
        "acquirer",
        Kind::Text { max: 11 },
        "What the supplier gets as the acquiring institution; the retail network's own code where it is not given.",
    )
    .example("\"900001\""),
    Key::new("sign_on", Kind::Bool, "Whether a link signs on before it carries requests, and off when it leaves.")
        .default("true"),
    Key::new(
        "awaits_sign_on",
        Kind::Bool,
        "Whether a link waits for the supplier's own sign-on (0800, 001) before it carries requests, instead of sending one. One that does not come within echo_timeout_ms closes the link.",
    )
    .default("false"),
    Key::integer(
        "echo_ms",
        "ms",
        0,
        3_600_000,
        "After this long without hearing anything on a link an echo is sent. 0: never.",
    )
    .default("30_000"),
    Key::integer(
        "echo_timeout_ms",
        "ms",
        100,
        60_000,
        "A link whose echo or sign-on is not answered within this time is closed.",
    )
    .default("10_000"),
    Key::new(
        "reversal_mti",
        Kind::Choice(&["0400", "0420"]),
        "The message type of reversals; repeats end in 1. The version digit is the dialect's.",
    )
    .default("\"0420\""),
];

/// Links that a supplier may have.
const LINKS_MAX: usize = 32;
/// So many unreadable messages in a row close a link.
const BROKEN_MAX: u8 = 10;

fn make(table: &toml::Table, context: &MakeContext<'_>) -> Result<Made, MakeError> {
    let settings = Settings::new(KEYS, table);
    let name = settings.text("dialect")?;
    let dialect = (context.dialect)(&name)
        .ok_or_else(|| MakeError { key: "dialect", what: format!("there is no dialect `{name}`") })?;
    let acquirer = settings.short("acquirer")?;
    if !acquirer.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(MakeError { key: "acquirer", what: "must be digits".into() });
    }
    let reversal = match settings.text("reversal_mti")?.as_str() {
        "0400" => 400,
        "0420" => 420,
        _ => return Err(MakeError { key: "reversal_mti", what: "must be \"0400\" or \"0420\"".into() }),
    };
    Ok(Made::Wire(Box::new(Host {
        house: House {
            messages: Messages::new(dialect, acquirer, reversal),
            sign_on: settings.flag("sign_on")?,
            awaits_sign_on: settings.flag("awaits_sign_on")?,
            echo_us: settings.number("echo_ms")? * 1_000,
            echo_timeout_us: settings.number("echo_timeout_ms")? * 1_000,
        },
        links: [Link::DOWN; LINKS_MAX],
    })))
}

/// The adapter.
struct Host {
    house: House,
    links: [Link; LINKS_MAX],
}

/// What is the same for every link.
struct House {
    messages: Messages,
    sign_on: bool,
    awaits_sign_on: bool,
    echo_us: u64,
    echo_timeout_us: u64,
}

/// Where a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No transport, or one that is being closed.
    Down,
    /// The sign-on is not answered yet, or the supplier's own has not come.
    SigningOn,
    /// Carries requests.
    Ready,
    /// Said goodbye: answers may still come, requests no longer go.
    Leaving,
}

/// One link.
#[derive(Clone, Copy, Debug)]
struct Link {
    phase: Phase,
    /// Unreadable messages since the last readable one.
    broken: u8,
    /// STAN of the last housekeeping request.
    stan: u32,
    /// When anything was heard last, monotonic microseconds.
    heard_us: u64,
    /// Counts what wake-ups are for, so that an old one means nothing. Never set back.
    turn: u64,
    /// The housekeeping request that waits for its answer, by STAN.
    awaiting: Option<u32>,
}

impl Link {
    const DOWN: Self = Self { phase: Phase::Down, broken: 0, stan: 0, heard_us: 0, turn: 0, awaiting: None };

    /// A token for the next wake-up of this link; wake-ups before it are void from now on.
    fn next_token(&mut self, link: LinkNo) -> u64 {
        self.turn += 1;
        self.turn * LINKS_MAX as u64 + u64::from(link)
    }

    fn go_down(&mut self) {
        self.phase = Phase::Down;
        self.awaiting = None;
        self.turn += 1;
    }
}

impl Wire for Host {
    fn ask(&mut self, now: Now, order: &Order, link: LinkNo, out: &mut Out) -> Result<(), Unaskable> {
        match self.links.get(usize::from(link)) {
            Some(Link { phase: Phase::Ready, .. }) => {}
            _ => return Err(Unaskable("the link is not ready".into())),
        }
        let start = out.bytes.len();
        self.house
            .messages
            .write(now, order, &mut out.bytes)
            .map_err(|error| Unaskable(error.to_string()))?;
        out.sends.push((link, start..out.bytes.len()));
        Ok(())
    }

    fn heard(&mut self, now: Now, heard: Heard<'_>, out: &mut Out) {
        let no = match heard {
            Heard::Up(link) | Heard::Down(link) | Heard::Frame(link, _) | Heard::Leave(link) => link,
            Heard::Wake(token) => (token % LINKS_MAX as u64) as LinkNo,
        };
        let Some(link) = self.links.get_mut(usize::from(no)) else { return };
        let house = &self.house;
        match heard {
            Heard::Up(_) => house.up(now, no, link, out),
            Heard::Down(_) => link.go_down(),
            Heard::Frame(_, body) => house.frame(now, no, link, body, out),
            Heard::Wake(token) => house.wake(now, no, link, token, out),
            Heard::Leave(_) => house.leave(now, no, link, out),
        }
    }
}

impl House {
    fn up(&self, now: Now, no: LinkNo, link: &mut Link, out: &mut Out) {
        *link = Link { turn: link.turn + 1, heard_us: now.mono_us, ..Link::DOWN };
        if self.awaits_sign_on {
            link.phase = Phase::SigningOn;
            out.wakes.push((now.mono_us + self.echo_timeout_us, link.next_token(no)));
        } else if self.sign_on {
            link.phase = Phase::SigningOn;
            self.request(now, no, link, Management::SignOn, out);
        } else {
            self.become_ready(no, link, out);
        }
    }

    fn become_ready(&self, no: LinkNo, link: &mut Link, out: &mut Out) {
        link.phase = Phase::Ready;
        out.ready.push(no);
        self.plan_echo(no, link, out);
    }

    fn leave(&self, now: Now, no: LinkNo, link: &mut Link, out: &mut Out) {
        if link.phase == Phase::Ready && self.sign_on {
            self.request(now, no, link, Management::SignOff, out);
        }
        if link.phase != Phase::Down {
            link.phase = Phase::Leaving;
        }
    }

    /// A wake-up is for the echo that is due, or for the answer that did not come.
    fn wake(&self, now: Now, no: LinkNo, link: &mut Link, token: u64, out: &mut Out) {
        if token / LINKS_MAX as u64 != link.turn {
            return;
        }
        match (link.phase, link.awaiting) {
            (Phase::Down, _) => {}
            (_, Some(_)) => close(no, link, out),
            (Phase::Ready, None) if now.mono_us < link.heard_us + self.echo_us => {
                self.plan_echo(no, link, out);
            }
            (Phase::Ready, None) => self.request(now, no, link, Management::Echo, out),
            (Phase::SigningOn, None) => close(no, link, out),
            (Phase::Leaving, None) => {}
        }
    }

    /// An echo is due when nothing was heard for `echo_us`; what is heard until then puts it off.
    fn plan_echo(&self, no: LinkNo, link: &mut Link, out: &mut Out) {
        if self.echo_us > 0 && link.phase == Phase::Ready {
            out.wakes.push((link.heard_us + self.echo_us, link.next_token(no)));
        }
    }

    fn request(&self, now: Now, no: LinkNo, link: &mut Link, code: Management, out: &mut Out) {
        link.stan = link.stan % STAN_MAX + 1;
        link.awaiting = Some(link.stan);
        let start = out.bytes.len();
        if self.messages.write_management(now, link.stan, code, &mut out.bytes).is_err() {
            return close(no, link, out);
        }
        out.sends.push((no, start..out.bytes.len()));
        out.wakes.push((now.mono_us + self.echo_timeout_us, link.next_token(no)));
    }

    fn frame(&self, now: Now, no: LinkNo, link: &mut Link, body: &[u8], out: &mut Out) {
        if link.phase == Phase::Down {
            return out.faults.push(Fault::Unexpected(no));
        }
        link.heard_us = now.mono_us;
        let Ok(view) = self.messages.dialect().view(body) else { return broken(no, link, out) };
        link.broken = 0;
        match (view.mti().class_digit(), view.mti().is_response()) {
            (MANAGEMENT_CLASS, true) => self.housekeeping_answered(no, link, &view, out),
            (MANAGEMENT_CLASS, false) => self.housekeeping_asked(no, link, &view, out),
            (_, true) if reply::read(no, &view, out) => {}
            (_, is_response) => {
                out.faults.push(Fault::Unexpected(no));
                if !is_response {
                    self.refuse(no, &view, out);
                }
            }
        }
    }

    /// The supplier asks for what the switch does not do for suppliers: 40.
    fn refuse(&self, no: LinkNo, view: &View<'_>, out: &mut Out) {
        let start = out.bytes.len();
        if self.messages.write_refusal(view, &mut out.bytes).is_ok_and(|written| written) {
            out.sends.push((no, start..out.bytes.len()));
        }
    }

    fn housekeeping_answered(&self, no: LinkNo, link: &mut Link, view: &View<'_>, out: &mut Out) {
        let stan = number(view, Role::Stan).and_then(|stan| u32::try_from(stan).ok());
        if stan.is_none() || stan != link.awaiting {
            return out.faults.push(Fault::Unexpected(no));
        }
        link.awaiting = None;
        let approved = number(view, Role::ResponseCode) == Some(0);
        match link.phase {
            Phase::SigningOn if approved => self.become_ready(no, link, out),
            Phase::SigningOn => close(no, link, out),
            _ => self.plan_echo(no, link, out),
        }
    }

    /// The supplier asks: it is answered, one that signs off gets no more requests on this link, and one whose sign-on was waited
    /// for gets them from now on. Its cut-over is taken note of: the days of the books are the networks'.
    fn housekeeping_asked(&self, no: LinkNo, link: &mut Link, view: &View<'_>, out: &mut Out) {
        let code = number(view, Role::ManagementCode).and_then(Management::of);
        let start = out.bytes.len();
        if self.messages.write_management_answer(view, code, &mut out.bytes).is_err() {
            return out.faults.push(Fault::Unexpected(no));
        }
        out.sends.push((no, start..out.bytes.len()));
        match code {
            Some(Management::SignOff) => close(no, link, out),
            Some(Management::SignOn) if link.phase == Phase::SigningOn && link.awaiting.is_none() => {
                self.become_ready(no, link, out);
            }
            _ => {}
        }
    }
}

/// Second digit of the MTI of network management.
const MANAGEMENT_CLASS: u8 = 8;
/// Largest STAN (DE11, n6).
const STAN_MAX: u32 = 999_999;

fn number(view: &View<'_>, role: Role) -> Option<u64> {
    view.value(role)?.number()
}

fn broken(no: LinkNo, link: &mut Link, out: &mut Out) {
    out.faults.push(Fault::Garbage(no));
    link.broken += 1;
    if link.broken >= BROKEN_MAX {
        close(no, link, out);
    }
}

fn close(no: LinkNo, link: &mut Link, out: &mut Out) {
    link.go_down();
    out.close.push(no);
}

#[cfg(test)]
mod tests;

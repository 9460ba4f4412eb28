//! Why a route was chosen: what `send --explain` asks of the switch's API.
//!
//! Owns: the question and how its answer is printed. Deliberately absent: the choice itself (`switchyard_core::route`).

use crate::cli::exit::{Exit, Failure};
use crate::cli::paint::Paint;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest wait for the API.
const WAIT: Duration = Duration::from_secs(5);

/// A choice, as the API tells it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Explanation {
    product: String,
    policy: String,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Candidate {
    supplier: String,
    reason: String,
}

/// Asks why the request of a terminal went where it went; `None`: no route was chosen for it.
///
/// # Errors
/// The pages are not reached, or answer something else.
pub(super) fn fetch(admin: &str, terminal: &str, stan: u32) -> Result<Option<Explanation>, Failure> {
    let config =
        ureq::Agent::config_builder().timeout_global(Some(WAIT)).http_status_as_error(false).proxy(None);
    let agent = ureq::Agent::new_with_config(config.build());
    let fail = |what: &dyn std::fmt::Display| {
        Failure::new(Exit::Unreachable, format!("no explanation from {admin}: {what}"))
            .help("--admin names the address of the pages; the demonstration's is the third port, 8080")
    };
    let stan = stan.to_string();
    let asked = agent
        .get(format!("http://{admin}/api/explain"))
        .query("terminal", terminal)
        .query("stan", &stan)
        .call();
    let mut response = asked.map_err(|error| fail(&error))?;
    let status = response.status();
    if status.as_u16() == 404 {
        return Ok(None);
    }
    let body = response.body_mut().read_to_string().map_err(|error| fail(&error))?;
    if !status.is_success() {
        return Err(fail(&format!("{status}: {}", body.trim())));
    }
    serde_json::from_str(&body).map(Some).map_err(|error| fail(&error))
}

/// The choice, a candidate a line.
pub(super) fn lines(explanation: Option<&Explanation>, paint: &Paint) -> Vec<String> {
    let Some(explanation) = explanation else {
        return vec!["route: none was chosen (refused before routing, or answered from the store)".into()];
    };
    let Explanation { product, policy, candidates } = explanation;
    let width = candidates.iter().map(|candidate| candidate.supplier.len()).max().unwrap_or(0);
    let line = |Candidate { supplier, reason }: &Candidate| {
        format!("  {}{supplier:<width$}{}  {reason}", paint.bold, paint.end)
    };
    std::iter::once(format!("route: {product}, policy {policy}")).chain(candidates.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_printed_with_its_reasons() {
        let json = r#"{"product":"TOPUP","policy":"priority","candidates":[{"supplier":"telco-a","reason":"chosen"},{"supplier":"b","reason":"not needed"}]}"#;
        let explanation: Explanation = serde_json::from_str(json).expect("as the API writes it");
        let lines = lines(Some(&explanation), &Paint::NONE);
        assert_eq!(lines, ["route: TOPUP, policy priority", "  telco-a  chosen", "  b        not needed"]);
    }
}

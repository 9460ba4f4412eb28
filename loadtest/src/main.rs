//! `switchyard-loadtest`: load for a conduit, and suppliers to go behind the switch.

mod arguments;

use arguments::{Arguments, Command, KillsArguments, ProfilesArguments, RunArguments, SupplierArguments};
use clap::Parser;
use serde::Serialize;
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use switchyard_loadtest::check::Before;
use switchyard_loadtest::profile::shipped;
use switchyard_loadtest::report::{Errors, LiveCounters, Report};
use switchyard_loadtest::site::Site;
use switchyard_loadtest::{kills, load, progress, supplier};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// It could not start, or not go on.
const FAILED: u8 = 1;
/// It ran, and something went wrong on the way: requests lost, unanswered or unmatched.
const WITH_ERRORS: u8 = 3;
/// It ran, and what was told is not what was done.
const BROKEN: u8 = 4;

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| match command {
            Command::Run(arguments) => runtime.block_on(run(&arguments)),
            Command::Profiles(arguments) => profiles(&arguments),
            Command::Kills(arguments) => runtime.block_on(kill(&arguments)),
            Command::Supplier(arguments) => runtime.block_on(supply(&arguments)),
        });
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(FAILED)
    })
}

async fn run(arguments: &RunArguments) -> Result<ExitCode, String> {
    let (load, settle) = arguments.load()?;
    let (_, site) = watch::channel(arguments.site());
    let before = match &arguments.records {
        Some(folder) => Some(Before::of(folder, &arguments.site()).await.map_err(|error| error.to_string())?),
        None => None,
    };
    let live = Arc::new(LiveCounters::default());
    let (stop, shown) = (stopped_by_signal(), CancellationToken::new());
    let (length, warm_up_ms) = (load.length, load.warm_up_ms);
    let running = async {
        let report = load_and_judge(load, site, before, settle, stop, &live).await;
        shown.cancel();
        report
    };
    let (report, ()) = tokio::join!(running, progress::show(&live, length, warm_up_ms, shown.clone()));
    let report = report?;
    print(&report, arguments.json)?;
    Ok(match &report.verdict {
        Some(verdict) if !verdict.holds() => ExitCode::from(BROKEN),
        _ if report.errors == Errors::default() => ExitCode::SUCCESS,
        _ => ExitCode::from(WITH_ERRORS),
    })
}

async fn load_and_judge(
    load: load::Load,
    site: watch::Receiver<Site>,
    before: Option<Before>,
    settle: Duration,
    stop: CancellationToken,
    live: &Arc<LiveCounters>,
) -> Result<Report, String> {
    let running = load::run_at(load, site.clone(), 0, stop, Arc::clone(live));
    let (mut report, told) = running.await.map_err(|error| error.to_string())?;
    if let (Some(before), Some(told)) = (before, told) {
        let judged = before.judge(&[told], &site, settle, live).await;
        report.verdict = Some(judged.map_err(|error| error.to_string())?);
    }
    Ok(report)
}

fn print<R: Serialize + Display>(report: &R, json: bool) -> Result<(), String> {
    if json {
        println!("{}", serde_json::to_string_pretty(report).map_err(|error| error.to_string())?);
    } else {
        println!("{report}");
    }
    Ok(())
}

fn profiles(arguments: &ProfilesArguments) -> Result<ExitCode, String> {
    if let Some(name) = &arguments.name {
        shipped::open(name).map_err(|error| error.to_string())?;
        print!("{}", shipped::text(name).unwrap_or_default());
        return Ok(ExitCode::SUCCESS);
    }
    for name in shipped::names() {
        let plan = shipped::open(name).map_err(|error| format!("profile `{name}`: {error}"))?;
        println!("{name:<12} {}", plan.about);
    }
    println!("\nswitchyard-loadtest profiles NAME prints one; `steady` explains the keys.");
    Ok(ExitCode::SUCCESS)
}

async fn kill(arguments: &KillsArguments) -> Result<ExitCode, String> {
    let kills = arguments.kills()?;
    let times = kills.times;
    let live = [Arc::new(LiveCounters::default()), Arc::new(LiveCounters::default())];
    let shown = CancellationToken::new();
    let bar = progress::Kills::new(times);
    let running = async {
        let report =
            kills::run(kills, stopped_by_signal(), live.clone(), |number, _| bar.killed(number)).await;
        shown.cancel();
        report
    };
    let (report, ()) = tokio::join!(running, bar.show(&live, shown.clone()));
    let report = report.map_err(|error| error.to_string())?;
    print(&report, arguments.json)?;
    Ok(if report.verdict.holds() { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

async fn supply(arguments: &SupplierArguments) -> Result<ExitCode, String> {
    let hosts = arguments.hosts()?;
    let listening = |name: &str, address| println!("{name} listens on {address}");
    supplier::serve(hosts, stopped_by_signal(), listening).await.map_err(|error| error.to_string())?;
    Ok(ExitCode::SUCCESS)
}

/// Cancelled by the first interrupt or termination.
fn stopped_by_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        let terminated = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
        stopped.cancel();
    });
    stop
}

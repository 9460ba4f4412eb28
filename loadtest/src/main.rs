//! `switchyard-loadtest`: load for a conduit, and suppliers to go behind the switch.

mod arguments;

use arguments::{Arguments, Command, RunArguments, SupplierArguments};
use clap::Parser;
use std::process::ExitCode;
use std::sync::Arc;
use switchyard_loadtest::report::{Errors, LiveCounters, Report};
use switchyard_loadtest::{load, progress, supplier};
use tokio_util::sync::CancellationToken;

/// It could not start, or not go on.
const FAILED: u8 = 1;
/// It ran, and something went wrong on the way: requests lost, unanswered or unmatched.
const WITH_ERRORS: u8 = 3;

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| match command {
            Command::Run(arguments) => runtime.block_on(run(&arguments)),
            Command::Supplier(arguments) => runtime.block_on(supply(&arguments)),
        });
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(FAILED)
    })
}

async fn run(arguments: &RunArguments) -> Result<ExitCode, String> {
    let load = arguments.load()?;
    let live = Arc::new(LiveCounters::default());
    let (stop, shown) = (stopped_by_signal(), CancellationToken::new());
    let (length, warm_up_ms) = (load.length, load.warm_up_ms);
    let running = async {
        let report = load::run(load, stop, Arc::clone(&live)).await;
        shown.cancel();
        report
    };
    let (report, ()) = tokio::join!(running, progress::show(&live, length, warm_up_ms, shown.clone()));
    let report = report.map_err(|error| error.to_string())?;
    print(&report, arguments.json)?;
    Ok(if report.errors == Errors::default() { ExitCode::SUCCESS } else { ExitCode::from(WITH_ERRORS) })
}

fn print(report: &Report, json: bool) -> Result<(), String> {
    if json {
        println!("{}", serde_json::to_string_pretty(report).map_err(|error| error.to_string())?);
    } else {
        println!("{report}");
    }
    Ok(())
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

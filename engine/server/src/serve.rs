//! `berth serve`: start, say when it is ready, stop in good order.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;

use crate::{cli::ServeArgs, config::Config, house::House, signals::Signals, telemetry};

/// How long open calls may take to end once they were told to.
const GOODBYE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    telemetry::start(args.json_logs);
    let config = Config::load(&args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the server cannot start")?;
    let code = runtime.block_on(serve(config));
    // Reads of the store that nobody waits for any more must not hold the exit.
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let mut house = House::open(&config).await?;
    // The one line that scripts wait for.
    eprintln!(
        "berth: ready on grpc {} and http {}, coordinate {}, instances {}, data in {}",
        house.grpc_address,
        house.http_address,
        house.coordinate_address.map_or_else(|| "off".to_owned(), |address| address.to_string()),
        config.instances.join(", "),
        config.data.display()
    );
    let code = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "stopping");
            ExitCode::SUCCESS
        }
        problem = house.failed() => {
            eprintln!("berth: {problem:#}");
            ExitCode::FAILURE
        }
    };
    tokio::select! {
        () = house.close(GOODBYE) => {}
        signal = signals.next() => tracing::warn!(signal, "not waiting any longer"),
    }
    Ok(code)
}

//! `simulate`: the partner simulators alone, for whoever develops against a partner.

use std::io::{self, Write};
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::Result;
use crate::config::{self, Config};
use crate::operation::Catalogue;
use crate::server::StopSignals;
use crate::simulator::{Settings, Simulator};
use crate::telemetry;

/// Run the partner simulators alone.
///
/// They check requests as strictly as the partners do, answer as they do, and fail on
/// purpose when told to over `/_simulator`. Plaintext and with known credentials: for
/// tests only. Runs until SIGTERM or SIGINT.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partner-gateway simulate
  partner-gateway simulate --listen 127.0.0.1:0       a free port, which is printed
  curl http://127.0.0.1:9400/_simulator/requests      what has arrived so far")]
pub(super) struct Args {
    /// Address and port; port 0 is a free one [default: simulators.listen, which is
    /// 127.0.0.1:9400].
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

pub(super) async fn run(args: Args) -> Result {
    // A partner's settings in the environment are the gateway's, and may be partial.
    let ours = config::process_environment().filter(|(name, _)| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        !name.starts_with("PARTNER_GATEWAY__PARTNERS__")
    });
    let config = Config::load(None, ours)?;
    telemetry::init_log(&config.telemetry)?;
    let address = args.listen.unwrap_or(config.simulators.listen);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("{address} cannot be listened on: {error}"))?;
    let mut signals = StopSignals::catch()?;
    announce(listener.local_addr()?, &mut io::stdout().lock())?;
    let stopped = async move { signals.wait().await };
    Simulator::new(Settings::default()).serve(listener, stopped).await?;
    Ok(())
}

/// Writes where each partner is: scripts wait for these lines, and read the port.
fn announce(address: SocketAddr, out: &mut impl Write) -> Result {
    for partner in Catalogue::embedded()?.partners() {
        writeln!(out, "{partner:<12} http://{address}/{partner}")?;
    }
    writeln!(out, "{:<12} http://{address}/_simulator", "control")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partner_and_the_control_are_announced() {
        let mut out = Vec::new();
        announce("127.0.0.1:9400".parse().unwrap(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let urls: Vec<_> = out.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(
            urls,
            [
                "http://127.0.0.1:9400/trolley",
                "http://127.0.0.1:9400/trustap",
                "http://127.0.0.1:9400/trustist",
                "http://127.0.0.1:9400/_simulator",
            ]
        );
    }
}

//! `check`: tells whether a gateway would start, before it has to.

use std::io::{self, Write};
use std::path::PathBuf;

use super::Result;
use crate::config::{self, Config};
use crate::{server, telemetry};

/// Check a configuration.
///
/// Prints the effective configuration without its secrets, or everything that is
/// wrong with it. With --online it also proves each partner's credentials, by a token
/// or a signed call that changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  partner-gateway check --defaults > gateway.toml
  partner-gateway check --config gateway.toml
  partner-gateway check --config gateway.toml --online")]
pub(super) struct Args {
    /// The configuration, a TOML file. Without it the defaults and the environment
    /// are checked.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prove the credentials of each configured partner.
    #[arg(long)]
    online: bool,
    /// Print every setting with its default and what it does, a configuration file to
    /// start from, and check nothing.
    #[arg(long, conflicts_with_all = ["config", "online"])]
    defaults: bool,
}

pub(super) async fn run(args: Args) -> Result {
    if args.defaults {
        return Ok(io::stdout().lock().write_all(config::REFERENCE.as_bytes())?);
    }
    let config = Config::load(args.config.as_deref(), config::process_environment())?;
    match server::check(&config).await {
        problems if problems.is_empty() => report(&config, &mut io::stdout().lock())?,
        problems => return Err(problems.join("\n").into()),
    }
    if !args.online {
        return Ok(());
    }
    telemetry::init_log(&config.telemetry)?;
    let proofs = server::check_online(&config).await;
    report_online(&proofs, &mut io::stdout().lock())
}

fn report(config: &Config, out: &mut impl Write) -> Result {
    let partners = match config.partners.configured() {
        partners if partners.is_empty() => "none".to_owned(),
        partners => partners.join(", "),
    };
    writeln!(out, "configuration is valid\npartners configured: {partners}\n\n{config}")?;
    Ok(())
}

fn report_online(
    proofs: &[(String, std::result::Result<String, String>)],
    out: &mut impl Write,
) -> Result {
    for (partner, proof) in proofs {
        match proof {
            Ok(proven) => writeln!(out, "{partner}: ok: {proven}")?,
            Err(problem) => writeln!(out, "{partner}: failed: {problem}")?,
        }
    }
    if proofs.is_empty() {
        writeln!(out, "no partner is configured, so there is nothing to prove online")?;
    }
    match proofs.iter().filter(|(_, proof)| proof.is_err()).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} online checks failed", proofs.len()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[partners.trustist]\nclient_id = 'us'\nclient_secret = 'canary'";

    #[test]
    fn a_valid_configuration_is_shown_without_its_secrets() {
        let mut out = Vec::new();
        report(&CONFIG.parse().unwrap(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("configuration is valid\npartners configured: trustist\n"));
        assert!(out.contains("client_id = \"us\""));
        assert!(!out.contains("canary"), "{out}");
    }

    #[test]
    fn one_proof_that_fails_fails_the_check() {
        let proofs = [
            ("a".to_owned(), Ok("token fetched".to_owned())),
            ("b".to_owned(), Err("refused".to_owned())),
        ];
        let mut out = Vec::new();
        assert!(report_online(&proofs, &mut out).is_err());
        assert_eq!(String::from_utf8(out).unwrap(), "a: ok: token fetched\nb: failed: refused\n");
        assert!(report_online(&proofs[..1], &mut Vec::new()).is_ok());
    }
}

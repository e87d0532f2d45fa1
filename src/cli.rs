//! The command line: arguments in, an exit code out.
//!
//! Only here does the program write to stdout, which is for what a command was asked
//! for; logs and errors go to stderr. The exit code is 0 when it worked, 1 when it
//! did not, and 2 when the arguments are wrong.

mod check;
mod health;
mod operations;
mod rotate_keys;
mod serve;
mod simulate;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const AFTER_HELP: &str = "\
Examples:
  partner-gateway serve --simulate              try it: no account and no file needed
  partner-gateway check --defaults > gateway.toml
  partner-gateway check --config gateway.toml --online
  partner-gateway serve --config gateway.toml

Every setting can also be given in the environment, as PARTNER_GATEWAY__SECTION__KEY.
The exit code is 0 for success, 1 for failure and 2 for wrong arguments.";

/// A gRPC integration gateway: internal services call partner REST APIs through one
/// typed, safe door.
#[derive(Debug, Parser)]
#[command(name = "partner-gateway", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Simulate(simulate::Args),
    Check(check::Args),
    Operations(operations::Args),
    RotateKeys(rotate_keys::Args),
    Health(health::Args),
}

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => {
            // Help and version arrive here, too; clap knows what each is written to.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match start(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn start(command: Command) -> Result {
    // It fails only where a test has installed the same provider before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(run(command));
    // A name look-up that hangs in the system's resolver must not hold up the exit.
    runtime.shutdown_background();
    result
}

async fn run(command: Command) -> Result {
    match command {
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Simulate(args) => simulate::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Operations(args) => operations::run(&args),
        Command::RotateKeys(args) => rotate_keys::run(args).await,
        Command::Health(args) => health::run(args).await,
    }
}

/// Whoever read the output has seen enough (`operations | head`).
fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes in one line, causes that only repeat left out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_documented_commands_are_understood() {
        for line in [
            "serve",
            "serve --config a.toml",
            "serve --simulate",
            "simulate --listen 127.0.0.1:0",
            "check --config a.toml --online",
            "check --defaults",
            "operations --format json",
            "operations --format markdown",
            "rotate-keys",
            "rotate-keys --config a.toml",
            "health --address 127.0.0.1:9090 --service trolley.v1.WebhookService",
        ] {
            let words = std::iter::once("partner-gateway").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_arguments_are_exit_code_2_and_help_is_0() {
        let code = |line: &str| {
            let words = std::iter::once("partner-gateway").chain(line.split(' '));
            Cli::try_parse_from(words).unwrap_err().exit_code()
        };
        assert_eq!(code("sever"), 2);
        assert_eq!(code("operations --format yaml"), 2);
        assert_eq!(code("simulate --listen nowhere"), 2);
        assert_eq!(code("serve --help"), 0);
        assert_eq!(code("--version"), 0);
    }

    #[test]
    fn an_error_is_told_with_its_causes_in_one_line() {
        #[derive(Debug, thiserror::Error)]
        #[error("the port cannot be opened")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("it is taken"));
        assert_eq!(chain(&error), "the port cannot be opened: it is taken");
    }
}

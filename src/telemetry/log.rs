//! What is logged, in which form, to stderr.
//!
//! Only fields that the gateway's own code names are logged. The HTTP libraries log
//! whole headers at their lower levels, credentials among them, and stay at "warn"
//! unless an operator names them.

mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::LogFormat;
use queue::Kind;
pub(super) use queue::Queue;

/// Libraries that are quiet unless named. A prefix stands for all that it begins.
const QUIET: &str = "h2=warn,hyper=warn,reqwest=warn,rustls=warn,tonic=warn,tower=warn";

/// Its log repeats what a database says, which may quote a value; the store tells what fails
/// in words of its own.
const SILENT: &str = "sqlx=off";

/// Who changed or read a credential is logged unless the log is off.
const AUDIT: &str = "audit=info";

/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(1);
/// How long a panic waits for its text to be written: it may be the last of the process.
const PANIC: Duration = Duration::from_millis(100);

/// Waits, when it is dropped, until the lines of a process that ends are written.
#[derive(Debug)]
pub(super) struct Guard(Queue);

impl Guard {
    pub(super) fn new(queue: Queue) -> Self {
        Self(queue)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// Has panics told through the queue as well: a thread that panics must not wait for whoever
/// reads stderr either.
pub(super) fn tell_panics(queue: Queue) {
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        let trace = Backtrace::capture();
        let is_traced = trace.status() == BacktraceStatus::Captured;
        let trace = if is_traced { format!("{trace}\n") } else { String::new() };
        queue.put(Kind::Ordinary, format!("thread '{name}' {panic}\n{trace}").as_bytes());
        queue.flush(PANIC);
    }));
}

/// The lines of the log, which go through `queue`, or to stderr at once.
pub(super) fn lines<S>(format: LogFormat, queue: Option<Queue>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = fmt::layer().with_writer(match queue {
        Some(queue) => BoxMakeWriter::new(queue),
        None => BoxMakeWriter::new(std::io::stderr),
    });
    match format {
        LogFormat::Readable => Box::new(lines.compact().with_ansi(std::io::stderr().is_terminal())),
        LogFormat::Json => Box::new(lines.json().with_current_span(false).flatten_event(true)),
    }
}

/// What of them is written.
///
/// # Errors
/// When the directives cannot be read.
pub(super) fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    let parse = |text: &str| EnvFilter::builder().with_regex(false).parse(text);
    let asked = parse(directives)?;
    // Quietening must not make a library louder than all else.
    match asked.max_level_hint() {
        Some(LevelFilter::OFF) => Ok(asked),
        Some(level) if level <= LevelFilter::WARN => {
            parse(&format!("{SILENT},{AUDIT},{directives}"))
        }
        _ => parse(&format!("{QUIET},{SILENT},{AUDIT},{directives}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::reload;

    use super::*;

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_are_quiet_unless_named() {
        assert!(filter("debug").unwrap().to_string().contains("hyper=warn"));
        let named = filter("debug,hyper=trace").unwrap().to_string();
        assert!(named.contains("hyper=trace") && !named.contains("hyper=warn"), "{named}");
    }

    #[test]
    fn libraries_are_never_louder_than_asked() {
        assert_eq!(filter("off").unwrap().to_string(), "off");
        let quiet = filter("error").unwrap().to_string();
        assert!(!quiet.contains("hyper") && quiet.ends_with(",error"), "{quiet}");
    }

    #[test]
    fn s15_what_a_database_says_is_not_logged_unless_somebody_asks_for_it() {
        for directives in ["error", "warn", "info", "debug"] {
            assert!(filter(directives).unwrap().to_string().contains("sqlx=off"), "{directives}");
        }
        assert!(filter("info,sqlx=warn").unwrap().to_string().contains("sqlx=warn"));
    }

    #[test]
    fn s18_the_audit_is_logged_whatever_else_is() {
        for directives in ["error", "warn", "info", "partner_gateway=debug"] {
            assert!(filter(directives).unwrap().to_string().contains(AUDIT), "{directives}");
        }
        assert!(filter("info,audit=off").unwrap().to_string().contains("audit=off"));
    }

    /// What the test below starts.
    #[test]
    #[ignore = "it is a process of its own that panics and aborts"]
    fn a_process_that_panics_and_aborts() {
        let _exports = crate::telemetry::init(&crate::config::Telemetry::default()).unwrap();
        tracing::error!("a last line");
        assert!(std::thread::spawn(|| panic!("a last panic")).join().is_err());
        std::process::abort();
    }

    #[test]
    fn s25_a_panic_is_told_even_if_it_is_the_last_of_a_process() {
        let name = "telemetry::log::tests::a_process_that_panics_and_aborts";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args([name, "--exact", "--ignored", "--nocapture"]);
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{output:?}");
        // One of each, in their order.
        let (before, after) = told.split_once("a last panic").unwrap();
        assert!(before.contains("a last line") && before.contains("panicked at src/"), "{told}");
        assert!(!after.contains("a last"), "{told}");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        assert!(filter("partner_gateway=loud").is_err());
    }

    /// As `init` composes it, before a writer that can be read.
    #[test]
    fn the_level_changes_while_the_process_runs() {
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let sink = {
            let written = Arc::clone(&written);
            move || Sink(Arc::clone(&written))
        };
        let (level, handle) = reload::Layer::new(filter("warn").unwrap());
        let lines = fmt::layer().with_ansi(false).with_writer(sink);
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(level));
        tracing::subscriber::with_default(subscriber, || {
            let tell = |text| tracing::info!(text);
            tell("before");
            handle.reload(filter("info").unwrap()).unwrap();
            tell("between");
            handle.reload(filter("error").unwrap()).unwrap();
            tell("after");
        });
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(written.contains("between"), "{written}");
        assert!(!written.contains("before") && !written.contains("after"), "{written}");
    }
}

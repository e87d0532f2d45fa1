//! The page of metrics, as whoever waits for a number on it reads it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::kept::metrics;

const PATIENCE: Duration = Duration::from_secs(10);

/// The page of a gateway, once `missing` finds nothing that it lacks. What is looked up for
/// the page may be a second old.
async fn whole(operations: SocketAddr, missing: impl Fn(&str) -> Option<String>) -> String {
    let begun = Instant::now();
    loop {
        let page = metrics(operations).await;
        let Some(missing) = missing(&page) else { return page };
        assert!(begun.elapsed() < PATIENCE, "{missing} is not in\n{page}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The page, once it is as it should be.
pub(crate) async fn until(operations: SocketAddr, is_so: impl Fn(&str) -> bool) -> String {
    whole(operations, |page| (!is_so(page)).then(|| "what is waited for".to_owned())).await
}

/// The page, once it has all of these samples, each a line with its labels and its value.
pub(crate) async fn until_has(operations: SocketAddr, samples: &[impl AsRef<str>]) -> String {
    let is_there = |page: &str, sample: &str| page.lines().any(|line| line == sample);
    let missing = |page: &str| {
        let mut samples = samples.iter().map(AsRef::as_ref);
        samples.find(|sample| !is_there(page, sample)).map(str::to_owned)
    };
    whole(operations, missing).await
}

/// The value of a series, which is given with its labels; none if it is not on the page.
pub(crate) fn value(page: &str, series: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    page.lines().find_map(value)
}

//! The page in Prometheus' older text format, for whoever does not ask for OpenMetrics.
//!
//! It has no exemplars, names a counter as its samples are named, and knows of comments
//! the help and the type only.

use std::collections::HashSet;
use std::fmt::Write as _;

/// An OpenMetrics page without what only OpenMetrics has.
pub(super) fn plain(page: &str) -> String {
    let described =
        |line: &str| line.strip_suffix(" counter")?.strip_prefix("# TYPE ").map(str::to_owned);
    // A family's help stands before its type.
    let counters: HashSet<_> = page.lines().filter_map(described).collect();
    let mut plain = String::with_capacity(page.len());
    for line in page.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let _ = match comment(line) {
            Some((start, name, rest)) if counters.contains(name) => {
                writeln!(plain, "{start}{name}_total {rest}")
            }
            Some(_) => writeln!(plain, "{line}"),
            None => writeln!(plain, "{}", line.split(" # {").next().unwrap_or(line)),
        };
    }
    plain
}

/// A help or a type: how it begins, whose it is, and what it says.
fn comment(line: &str) -> Option<(&'static str, &str, &str)> {
    let comment = |start: &'static str| {
        let (name, rest) = line.strip_prefix(start)?.split_once(' ')?;
        Some((start, name, rest))
    };
    comment("# HELP ").or_else(|| comment("# TYPE "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_openmetrics_has_is_left_out() {
        let page = "\
# HELP calls Calls, of # {all} kinds.
# TYPE calls counter
calls_total{rpc=\"a/B\"} 3
# HELP wait_seconds Waiting.
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_bucket{le=\"1.0\"} 2 # {trace_id=\"ab\"} 0.5
wait_seconds_count 2
# HELP up Whether it is up.
# TYPE up gauge
up 1
# EOF
";
        let expected = "\
# HELP calls_total Calls, of # {all} kinds.
# TYPE calls_total counter
calls_total{rpc=\"a/B\"} 3
# HELP wait_seconds Waiting.
# TYPE wait_seconds histogram
wait_seconds_bucket{le=\"1.0\"} 2
wait_seconds_count 2
# HELP up Whether it is up.
# TYPE up gauge
up 1
";
        assert_eq!(plain(page), expected);
    }
}

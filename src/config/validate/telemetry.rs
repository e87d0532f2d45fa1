//! The rules of `[telemetry]`.

use http::{HeaderName, HeaderValue, Uri};
use secrecy::ExposeSecret as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::{not_zero, root_ca, secret};
use crate::config::{Faults, Telemetry};

pub(super) fn telemetry(telemetry: &mut Telemetry, faults: &mut Faults) {
    log_level(&telemetry.log_level, faults);
    if !(0.0..=1.0).contains(&telemetry.trace_ratio) {
        faults.push("telemetry.trace_ratio", "must be from 0 to 1");
    }
    not_zero("telemetry.otlp_metrics_interval", telemetry.otlp_metrics_interval, faults);
    let key = "telemetry.otlp_root_ca_file".to_owned();
    root_ca(key, telemetry.otlp_root_ca_file.as_deref(), faults);
    let file = telemetry.otlp_headers_file.as_deref();
    if file.is_some() || !telemetry.otlp_headers.expose_secret().is_empty() {
        secret("telemetry", "otlp_headers", &mut telemetry.otlp_headers, file, faults);
        headers(telemetry.otlp_headers.expose_secret(), faults);
    }
    endpoint(telemetry, faults);
}

fn log_level(directives: &str, faults: &mut Faults) {
    // A bare word that is no level would be taken for a module, and all else be silent.
    let is_level = |word: &str| word.contains('=') || word.trim().parse::<LevelFilter>().is_ok();
    let is_clear = directives.contains('[') || directives.split(',').all(is_level);
    if !is_clear || EnvFilter::builder().parse(directives).is_err() {
        let problem = "is not a level, nor a list such as \"info,partner_gateway::stack=debug\"";
        faults.push("telemetry.log_level", problem);
    }
}

fn endpoint(telemetry: &Telemetry, faults: &mut Faults) {
    let key = "telemetry.otlp_endpoint";
    if telemetry.otlp_endpoint.is_empty() {
        return;
    }
    let uri = telemetry.otlp_endpoint.parse::<Uri>().ok();
    let Some((scheme, host)) = uri.as_ref().and_then(|uri| uri.scheme_str().zip(uri.host())) else {
        return faults.push(key, "is not a URL such as \"http://collector:4317\"");
    };
    if uri.as_ref().and_then(Uri::authority).is_some_and(|it| it.as_str().contains('@')) {
        return faults.push(key, "may hold no password: give otlp_headers");
    }
    let is_loopback = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    match scheme {
        "https" => {}
        "http" if is_loopback || telemetry.otlp_headers.expose_secret().is_empty() => {}
        "http" => faults.push(key, "must be https when otlp_headers are sent to it"),
        _ => faults.push(key, "must begin with http:// or https://"),
    }
}

fn headers(headers: &str, faults: &mut Faults) {
    let is_pair = |pair: &str| {
        pair.split_once('=').is_some_and(|(name, value)| {
            let value = HeaderValue::try_from(value.trim());
            HeaderName::try_from(name.trim()).is_ok() && value.is_ok_and(|it| it.to_str().is_ok())
        })
    };
    if !headers.is_empty() && !headers.split(',').all(is_pair) {
        faults.push("telemetry.otlp_headers", "is not of the form \"name=value,name=value\"");
    }
}

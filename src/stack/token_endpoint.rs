//! The way to a token endpoint that is at a host of its own.
//!
//! Connections of its own, and the limits and guards of the partner's: certificates,
//! proxy, time-outs, and the addresses that calls may go to.

use std::sync::Arc;

use http::{HeaderMap, Method};
use reqwest::Url;

use super::settings::{Problem, Settings};
use super::transport::Transport;
use crate::credentials::PostForm;

const KEY: &str = "token_url";

/// Posts forms to the token endpoint of users' grants; `None` if no grants are kept.
pub(super) fn post(settings: &Settings) -> Result<Option<PostForm>, Vec<Problem>> {
    let Some(grants) = &settings.credentials.grants else { return Ok(None) };
    let url = Url::parse(&grants.token_url);
    let url = url.map_err(|_| vec![Problem::new(KEY, "it is not a URL")])?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        return Err(vec![Problem::new(KEY, "it may have a path and nothing else")]);
    }
    let settings = Settings {
        base_url: url.origin().ascii_serialization(),
        // Said of the partner's own host.
        http2_prior_knowledge: false,
        ..settings.clone()
    };
    let transport = Transport::try_new(&settings).map_err(|problems| {
        problems.into_iter().map(|found| Problem { key: KEY, ..found }).collect::<Vec<_>>()
    })?;
    let target: Arc<str> = url.path().into();
    Ok(Some(Arc::new(move |body| {
        let (transport, target) = (transport.clone(), Arc::clone(&target));
        Box::pin(async move {
            transport.send(&Method::POST, &target, HeaderMap::new(), Some(body)).await
        })
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{Client, GrantClient};
    use crate::stack::testing::{Act, Server, answer, json};

    fn settings(token_url: impl Into<String>) -> Settings {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let mut settings = Settings::new("https://api.example");
        let client = Client { id: "client".into(), secret: "secret".into() };
        settings.credentials.grants = Some(GrantClient { client, token_url: token_url.into() });
        settings
    }

    #[tokio::test]
    async fn a_form_goes_to_the_endpoints_own_host_and_path() {
        let server = Server::start(|_, _| Act::Send(answer(400, "", "no"))).await;
        let settings = Settings {
            http2_prior_knowledge: true,
            ..settings(format!("{}/auth/realms/r/token", server.url()))
        };
        let post = post(&settings).unwrap().unwrap();
        let reply = post(json("a=b")).await.unwrap();
        assert_eq!(reply.status, 400);
        let requests = server.requests();
        assert!(requests[0].head.starts_with("POST /auth/realms/r/token HTTP/1.1"));
        assert_eq!(requests[0].body, "a=b");
    }

    #[test]
    fn s10_it_is_guarded_as_the_partners_own_host_is() {
        for url in ["http://sso.example/t", "https://10.0.0.1/t", "https://a:b@sso.example/t"] {
            let problems = post(&settings(url)).map(drop).unwrap_err();
            assert_eq!(problems[0].key, "token_url", "{url}");
        }
        for url in ["no url", "https://sso.example/t?a=b"] {
            assert!(post(&settings(url)).is_err(), "{url}");
        }
        let trusting =
            Settings { allow_private_addresses: true, ..settings("http://sso.internal/t") };
        assert!(post(&trusting).unwrap().is_some());
        assert!(post(&Settings::new("https://api.example")).unwrap().is_none());
    }
}

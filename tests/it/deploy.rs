//! The configuration files in `deploy/`, read by the program that they are for.

use std::path::{Path, PathBuf};

use crate::support::process::run;

/// Every file of settings, and the folder that it has its secrets in.
const FILES: [(&str, &str); 3] = [
    ("kubernetes/overlays/production/gateway.toml", "/run/secrets/partner-gateway/"),
    ("kubernetes/overlays/sandbox/gateway.toml", "/run/secrets/partner-gateway/"),
    ("compose/gateway.toml", "/run/secrets/"),
];

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// What a secret of this name looks like.
fn secret(name: &str) -> &'static str {
    match name {
        "store-url" => "postgres://gateway:password@db/gateway?sslmode=verify-full",
        "store-encryption-key" => "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "redis-url" => "rediss://gateway:password@redis:6379",
        _ => "a-secret-of-a-partner",
    }
}

/// The file as it is, but with its secrets in `folder`, where they are made.
fn with_secrets(file: &str, secrets: &str, folder: &Path) -> String {
    let text = std::fs::read_to_string(deployed(file)).unwrap();
    for line in text.lines().filter(|line| line.contains(secrets)) {
        let name = line.split(secrets).nth(1).unwrap().trim_end_matches('"');
        std::fs::write(folder.join(name), secret(name)).unwrap();
    }
    text.replace(secrets, &format!("{}/", folder.display()))
}

#[tokio::test]
async fn every_deployed_configuration_is_accepted_with_all_partners() {
    for (file, secrets) in FILES {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gateway.toml");
        std::fs::write(&config, with_secrets(file, secrets, folder.path())).unwrap();

        let output = run(&["check", "--config", config.to_str().unwrap()], &[]).await;

        let (out, err) = (output.stdout, String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{file}: {err}");
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("partners configured: trolley, trustap, trustist"), "{file}: {out}");
        assert!(!out.contains("password"), "{file}: {out}");
    }
}

/// It is what a pod says whose Secret was never made.
#[tokio::test]
async fn a_deployed_configuration_without_its_secrets_names_each_file() {
    let (file, secrets) = FILES[0];
    let config = deployed(file);

    let output = run(&["check", "--config", config.to_str().unwrap()], &[]).await;

    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8(output.stderr).unwrap();
    let text = std::fs::read_to_string(config).unwrap();
    let named: Vec<_> = text.lines().filter(|line| line.contains(secrets)).collect();
    assert!(named.len() > 5, "{named:?}");
    for line in named {
        let path = line.split('"').nth(1).unwrap();
        assert!(err.contains(path), "{path}: {err}");
    }
}

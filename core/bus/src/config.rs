//! The `[nats]` settings. Secrets come from files only, so nothing here is secret.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// How to reach NATS. Without `url` the hub uses its embedded bus.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NatsConfig {
    /// `nats://host:4222` or `tls://host:4222`; several, separated by commas, for a cluster. No user name or
    /// password in it: use the files below.
    pub url: Option<String>,
    /// The first part of every subject; may have several tokens (`acme.exedra`).
    pub prefix: String,
    /// Credentials of a NATS user (`.creds`).
    pub credentials_file: Option<PathBuf>,
    /// File with a token; read again at every connect.
    pub token_file: Option<PathBuf>,
    /// User name; needs `password_file`.
    pub user: Option<String>,
    /// File with the password of `user`; read again at every connect.
    pub password_file: Option<PathBuf>,
    /// The server's monitoring port, `http://127.0.0.1:8222`: `exedra doctor` asks it whether acknowledged writes are on
    /// the disk.
    pub monitor: Option<String>,
    /// Encryption.
    pub tls: NatsTls,
}

/// Encryption towards NATS.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NatsTls {
    /// Refuse a server that does not encrypt.
    pub required: bool,
    /// PEM file with the authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate; needs `key_file`.
    pub cert_file: Option<PathBuf>,
    /// PEM file with the key of `cert_file`.
    pub key_file: Option<PathBuf>,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: None,
            prefix: "exedra".to_owned(),
            credentials_file: None,
            token_file: None,
            user: None,
            password_file: None,
            monitor: None,
            tls: NatsTls::default(),
        }
    }
}

impl NatsConfig {
    /// Everything that is wrong with the settings, each with the key it is about. Repeats no value of `url`.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(why) = crate::subject::Subjects::new(&self.prefix) {
            problems.push(format!("nats.prefix: {why}"));
        }
        if self.url.as_deref().is_some_and(|url| url.contains('@')) {
            problems.push(
                "nats.url: keep user names, passwords and tokens out of it; use credentials_file, token_file or user \
                 with password_file"
                    .to_owned(),
            );
        }
        if self.servers().iter().any(String::is_empty) {
            problems.push("nats.url: an address is empty".to_owned());
        }
        if self.monitor.as_deref().is_some_and(|url| !url.starts_with("http://") || url.contains('@')) {
            problems.push("nats.monitor: must be an address like http://127.0.0.1:8222".to_owned());
        }
        if self.user.is_some() != self.password_file.is_some() {
            problems.push("nats.user: user and password_file go together".to_owned());
        }
        let ways = [self.credentials_file.is_some(), self.token_file.is_some(), self.user.is_some()];
        if ways.iter().filter(|there| **there).count() > 1 {
            problems.push("nats: keep one of credentials_file, token_file and user".to_owned());
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            problems.push("nats.tls: cert_file and key_file go together".to_owned());
        }
        problems
    }

    /// The addresses in `url`.
    pub(crate) fn servers(&self) -> Vec<String> {
        self.url.iter().flat_map(|url| url.split(',')).map(|address| address.trim().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_has_no_problem() {
        assert_eq!(NatsConfig::default().problems(), Vec::<String>::new());
        assert!(NatsConfig::default().servers().is_empty());
    }

    #[test]
    fn all_problems_come_at_once() {
        let config: NatsConfig = serde_json::from_str(
            r#"{"url": "nats://u:hunter2@x,", "prefix": "a.*", "user": "u", "token_file": "t", "tls": {"key_file": "k"}}"#,
        )
        .unwrap();
        let problems = config.problems();
        assert_eq!(problems.len(), 6, "{problems:?}");
        assert!(problems.iter().all(|problem| !problem.contains("hunter2")));
    }

    #[test]
    fn several_servers_split() {
        let config = NatsConfig { url: Some("nats://a, nats://b".to_owned()), ..NatsConfig::default() };
        assert_eq!(config.servers(), ["nats://a", "nats://b"]);
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(serde_json::from_str::<NatsConfig>(r#"{"urls": "x"}"#).is_err());
    }
}

//! Files that others must not read, files that end with a date, and the store's.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use secrecy::ExposeSecret;
use x509_cert::{Certificate, der::DecodePem};

use super::Finding;
use crate::config::{Config, DEVELOPMENT_SECRET};

/// Days before the end of a certificate from which on it is time.
const SOON: Duration = Duration::from_secs(21 * 24 * 3600);
/// The largest file of certificates.
const MAX_PEM: u64 = 1 << 20;

/// Files with secrets; those that are open to others are problems of the configuration already.
pub(super) fn secrets(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let files = [
        ("auth.secret_file", &config.auth.secret_file),
        ("admin.token_file", &config.admin.token_file),
        ("nats.credentials_file", &config.nats.credentials_file),
        ("nats.token_file", &config.nats.token_file),
        ("nats.password_file", &config.nats.password_file),
        ("nats.tls.key_file", &config.nats.tls.key_file),
    ];
    for (key, path) in files {
        let Some(path) = path else { continue };
        // What is wrong with it has been said by the configuration's own checks.
        if let Ok(metadata) = fs::metadata(path)
            && metadata.permissions().mode() & 0o037 == 0
        {
            let mode = metadata.permissions().mode() & 0o777;
            findings.push(Finding::ok(key, format!("{} has the mode {mode:04o}", path.display())));
        }
    }
    let shared = config.auth.shared_secret().ok().flatten();
    if shared.is_some_and(|secret| secret.expose_secret() == DEVELOPMENT_SECRET) {
        let says = "the development secret is public: everybody can make tokens";
        findings
            .push(Finding::warn("auth.secret", says).hint("for more than a demo: openssl rand -base64 48"));
    } else if config.auth.secret.is_some() {
        let hint = "move it to a file of mode 0640 and name that in auth.secret_file";
        findings.push(Finding::warn("auth.secret", "the secret stands among the settings").hint(hint));
    }
    if config.admin.token.is_some() {
        let hint = "move it to a file of mode 0640 and name that in admin.token_file";
        findings.push(Finding::warn("admin.token", "the token stands among the settings").hint(hint));
    }
    findings
}

/// Certificates that are configured anywhere.
pub(super) fn certificates(config: &Config) -> Vec<Finding> {
    let files = [
        ("server.tls.cert", &config.server.tls.cert),
        ("nats.tls.cert_file", &config.nats.tls.cert_file),
        ("nats.tls.ca_file", &config.nats.tls.ca_file),
    ];
    let now = SystemTime::now();
    files.iter().filter_map(|(key, path)| path.as_ref().map(|path| certificate(key, path, now))).collect()
}

fn certificate(key: &str, path: &Path, now: SystemTime) -> Finding {
    let text = match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_PEM => Err("is too large for certificates".to_owned()),
        _ => fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}")),
    };
    match text.and_then(|text| dates(&text)) {
        Ok(all) => judge(key, path, &all, now),
        Err(why) => Finding::fail(key, format!("{} {why}", path.display())),
    }
}

/// From when to when each certificate of a PEM file is valid.
fn dates(pem: &str) -> Result<Vec<(SystemTime, SystemTime)>, String> {
    const END: &str = "-----END CERTIFICATE-----";
    let blocks = pem.split_inclusive(END).filter_map(|part| {
        let begin = part.find("-----BEGIN CERTIFICATE-----")?;
        part.ends_with(END).then(|| &part[begin..])
    });
    let read = |block: &str| {
        let certificate =
            Certificate::from_pem(block).map_err(|error| format!("holds a broken certificate: {error}"))?;
        let validity = certificate.tbs_certificate.validity;
        Ok((validity.not_before.to_system_time(), validity.not_after.to_system_time()))
    };
    let dates: Vec<_> = blocks.map(read).collect::<Result<_, String>>()?;
    if dates.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(dates) }
}

fn judge(key: &str, path: &Path, dates: &[(SystemTime, SystemTime)], now: SystemTime) -> Finding {
    let day = |at: SystemTime| humantime::format_rfc3339_seconds(at).to_string();
    let begins = dates.iter().map(|(from, _)| *from).max().unwrap_or(now);
    let ends = dates.iter().map(|(_, to)| *to).min().unwrap_or(now);
    let shown = path.display();
    if begins > now {
        Finding::fail(key, format!("{shown} is valid from {} on only", day(begins)))
            .hint("look at the machine's clock")
    } else if ends <= now {
        Finding::fail(key, format!("{shown} was valid until {}", day(ends))).hint("renew it")
    } else if ends < now + SOON {
        Finding::warn(key, format!("{shown} is valid until {} only", day(ends))).hint("renew it")
    } else {
        Finding::ok(key, format!("{shown} is valid until {}", day(ends)))
    }
}

/// The store's file and its folder: whether this user can write there, and whether others can read it.
pub(super) fn store(config: &Config) -> Vec<Finding> {
    let path = &config.store.path;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut findings = vec![writable(&folder)];
    if let Ok(metadata) = fs::metadata(path) {
        let mode = metadata.permissions().mode() & 0o777;
        let says = format!("{} has the mode {mode:04o}", path.display());
        findings.push(if mode & 0o007 == 0 {
            Finding::ok("store.path", format!("{says}, {} bytes", metadata.len()))
        } else {
            let hint = format!("chmod o-rwx {}: what plugins keep is in it", path.display());
            Finding::warn("store.path", format!("{says}: everybody on this machine can read it")).hint(hint)
        });
    }
    findings
}

/// By making a file there, which is gone again.
fn writable(folder: &Path) -> Finding {
    const CHECK: &str = "store.path";
    let mut there = folder;
    while !there.exists() {
        match there.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => there = parent,
            _ => there = Path::new("."),
        }
    }
    let probe = there.join(format!(".exedra-doctor-{}", std::process::id()));
    let made = fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    let _ = fs::remove_file(&probe);
    match made {
        Ok(_) if there == folder => Finding::ok(CHECK, format!("{} can be written", folder.display())),
        Ok(_) => Finding::ok(CHECK, format!("{} can be made", folder.display())),
        Err(error) => {
            let says = format!("{} cannot be written: {error}", there.display());
            Finding::fail(CHECK, says).hint("give it to the user that the hub runs as, or set store.path")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn certificates_have_an_end() {
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 3600));
        let path = Path::new("x.pem");
        let level = |from: SystemTime, to: SystemTime| judge("k", path, &[(from, to)], now).level;
        assert_eq!(level(now - day, now + day * 90), Level::Ok);
        assert_eq!(level(now - day, now + day * 3), Level::Warn);
        assert_eq!(level(now - day * 2, now - day), Level::Fail);
        assert_eq!(level(now + day, now + day * 90), Level::Fail);
        let chain = [(now - day, now + day * 90), (now - day, now - Duration::from_secs(1))];
        assert_eq!(judge("k", path, &chain, now).level, Level::Fail);
    }

    #[test]
    fn dates_are_read() {
        let read = dates(&format!("a comment\n{PEM}{PEM}")).unwrap();
        let shown = |at| humantime::format_rfc3339_seconds(at).to_string();
        assert_eq!(read.len(), 2);
        assert_eq!(shown(read[1].0), "2020-01-01T00:00:00Z");
        assert_eq!(shown(read[1].1), "2021-01-01T00:00:00Z");
    }

    /// Valid in 2020; its key is nowhere.
    const PEM: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBHDCBwgIBATAKBggqhkjOPQQDAjAaMRgwFgYDVQQDDA9leHBpcmVkLmV4YW1w\n\
bGUwHhcNMjAwMTAxMDAwMDAwWhcNMjEwMTAxMDAwMDAwWjAaMRgwFgYDVQQDDA9l\n\
eHBpcmVkLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATRg7tkvpeS\n\
bro9alTUMAxRg59HqN/FpAhfya+T8DumlaheOQZNBjZcjvsTAYADQ5IlYxlHjv/j\n\
HxfoC8oD+ZlxMAoGCCqGSM49BAMCA0kAMEYCIQDtFyV2qqLIrHFGAhDqXcaMch9b\n\
Tt6vsJR3ytNQviCfnQIhALMUucNOTjzVzQxFv/GvvlWtW17zXJuqd1Yt6vkhtsRH\n\
-----END CERTIFICATE-----\n";

    #[test]
    fn nonsense_is_no_certificate() {
        assert!(dates("").is_err());
        assert!(dates("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
    }
}

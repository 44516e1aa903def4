//! Rules that no type can hold: settings that contradict each other, files that are missing, secrets that are weak
//! or open to others. All problems are gathered, none ends the search.

use std::{path::Path, time::Duration};

use exedra_auth::AuthError;
use secrecy::ExposeSecret;

use super::{
    Config, StoreKind,
    layers::{Layers, Part},
    problems::{Problem, Problems},
    secrets,
};
use crate::telemetry;

/// The secret of the development configuration. It is public, so it is refused outside loopback.
pub const DEVELOPMENT_SECRET: &str = "exedra-development-secret-do-not-use-in-production";

/// The shortest token of the admin API, in bytes.
const MIN_ADMIN_TOKEN: usize = 16;

/// Every rule, in the order of the sections.
pub(crate) fn check(config: &Config, layers: &Layers, problems: &mut Problems) {
    let mut rules = Rules { config, layers, problems };
    rules.server();
    rules.socketio();
    rules.limits();
    rules.auth();
    rules.nats();
    rules.store();
    rules.admin();
    rules.log();
    rules.plugins();
}

struct Rules<'a> {
    config: &'a Config,
    layers: &'a Layers,
    problems: &'a mut Problems,
}

impl Rules<'_> {
    fn say(&mut self, key: &str, why: impl Into<String>, hint: &str) {
        let problem = self.layers.problem_at(key, why);
        self.problems.push(if hint.is_empty() { problem } else { problem.hint(hint) });
    }

    fn server(&mut self) {
        let server = &self.config.server;
        if let Some(folder) = &server.examples
            && !folder.is_dir()
        {
            let hint = "paths are relative to the working directory; leave the key out to serve no pages";
            self.say("server.examples", format!("{} is not a folder", folder.display()), hint);
        }
        for key in ["cert", "key"] {
            let given = if key == "cert" { &server.tls.cert } else { &server.tls.key };
            if given.is_some() {
                let hint =
                    "terminate TLS at a proxy (nginx, Caddy, HAProxy) and list it in server.trusted_proxies";
                self.say(&format!("server.tls.{key}"), "TLS is not supported by this build yet", hint);
            }
        }
        for (index, origin) in server.cors.origins.iter().enumerate() {
            if !is_origin(origin) {
                let why = format!("{origin:?} is not an origin");
                let hint = "write scheme, host and port only, like \"https://app.example.com\", or \"*\"";
                self.say(&format!("server.cors.origins.{index}"), why, hint);
            }
        }
        self.cluster();
        if server.listen == self.config.admin.listen && server.listen.port() != 0 {
            self.say(
                "admin.listen",
                "is the address of the public listener",
                "give each listener its own port",
            );
        }
    }

    fn cluster(&mut self) {
        let Config { cluster, nats, .. } = &self.config;
        if !cluster.enabled {
            return;
        }
        if nats.url.is_none() {
            self.say("cluster.enabled", "needs nats.url", "the nodes of a cluster find each other over NATS");
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&cluster.lease) {
            self.say("cluster.lease", "must be 1s to 5m", "write \"5s\"");
        }
    }

    fn socketio(&mut self) {
        let socketio = &self.config.socketio;
        if !socketio.path.starts_with('/') || !socketio.path.ends_with('/') || socketio.path.len() < 3 {
            self.say("socketio.path", "must start and end with `/`", "write \"/socket.io/\"");
        }
        let times = [
            ("ping_interval", socketio.ping_interval),
            ("ping_timeout", socketio.ping_timeout),
            ("connect_timeout", socketio.connect_timeout),
        ];
        for (key, _) in times.iter().filter(|(_, time)| time.is_zero()) {
            self.say(&format!("socketio.{key}"), "must be longer than nothing", "");
        }
        if socketio.transports.is_empty() {
            self.say("socketio.transports", "at least one is needed", "[\"websocket\", \"polling\"]");
        }
        if socketio.max_payload.as_u64() < 1024 {
            self.say("socketio.max_payload", "must be at least 1KiB", "");
        }
        if !socketio.compression.is_possible() {
            self.say("socketio.compression.threshold", "must be at least 256B", "");
        }
        if !socketio.recovery.is_possible() {
            self.say("socketio.recovery", "needs a window of at most 1h and max_events of at least 1", "");
        }
    }

    fn limits(&mut self) {
        let limits = &self.config.limits;
        let counts =
            [("inbound_queue", limits.inbound_queue), ("rooms_per_connection", limits.rooms_per_connection)];
        for (key, _) in counts.iter().filter(|(_, count)| *count == 0) {
            self.say(&format!("limits.{key}"), "must be at least 1", "");
        }
        if limits.outbound_buffer.as_u64() < 4096 {
            self.say("limits.outbound_buffer", "must be at least 4KiB", "");
        }
    }

    fn auth(&mut self) {
        let auth = &self.config.auth;
        if let Some(path) = &auth.secret_file
            && let Err(why) = secrets::check_mode(path)
        {
            self.say("auth.secret_file", why, &format!("chmod 640 {}", path.display()));
            return;
        }
        match exedra_auth::build(auth) {
            Ok(_) | Err(AuthError::NoKey) => {}
            Err(error) => {
                let (key, hint) = blame(&error, auth.secret.is_some());
                self.say(key, error.to_string(), hint);
                return;
            }
        }
        let secret = auth.shared_secret().ok().flatten();
        if secret.is_some_and(|secret| secret.expose_secret() == DEVELOPMENT_SECRET) {
            self.development_secret();
        }
    }

    /// Everybody can sign tokens with it, so nobody else may reach the hub.
    fn development_secret(&mut self) {
        let key = if self.config.auth.secret.is_some() { "auth.secret" } else { "auth.secret_file" };
        let listeners =
            [("server.listen", self.config.server.listen), ("admin.listen", self.config.admin.listen)];
        for (name, address) in listeners.iter().filter(|(_, address)| !address.ip().is_loopback()) {
            let why = format!("the development secret is public, but {name} = \"{address}\" is not loopback");
            self.say(
                key,
                why,
                "set a secret of your own: openssl rand -base64 48 > secret; chmod 640 secret",
            );
        }
    }

    fn nats(&mut self) {
        for problem in self.config.nats.problems() {
            let (key, why) = problem.split_once(": ").unwrap_or(("nats", &problem));
            self.say(key, why, "");
        }
        let nats = &self.config.nats;
        let files = [
            ("nats.credentials_file", &nats.credentials_file, true),
            ("nats.token_file", &nats.token_file, true),
            ("nats.password_file", &nats.password_file, true),
            ("nats.tls.key_file", &nats.tls.key_file, true),
            ("nats.tls.cert_file", &nats.tls.cert_file, false),
            ("nats.tls.ca_file", &nats.tls.ca_file, false),
        ];
        for (key, path, secret) in files {
            let Some(path) = path else { continue };
            if secret && let Err(why) = secrets::check_mode(path) {
                self.say(key, why, &format!("chmod 640 {}", path.display()));
            } else if !path.is_file() {
                self.say(key, format!("there is no file {}", path.display()), "");
            }
        }
    }

    fn store(&mut self) {
        let store = &self.config.store;
        if store.kind == StoreKind::Jetstream && self.config.nats.url.is_none() {
            let hint = "set nats.url, or use \"redb\"";
            self.say("store.kind", "the store in JetStream needs a NATS server", hint);
        }
        if ![1, 3, 5].contains(&store.replicas) {
            self.say(
                "store.replicas",
                "must be 1, 3 or 5",
                "an even number of copies survives no more than one less",
            );
        }
        if store.path.is_dir() || store.path.as_os_str().is_empty() {
            self.say("store.path", "is a folder, not a file", "name a file, like \"var/exedra.redb\"");
        }
    }

    fn admin(&mut self) {
        let admin = &self.config.admin;
        let file = match (&admin.token, &admin.token_file) {
            (Some(_), Some(_)) => {
                self.say("admin.token_file", "token and token_file give a token each", "keep one of them");
                return;
            }
            (None, Some(path)) => match secrets::read(path) {
                Ok(token) => Some(("admin.token_file", token)),
                Err(why) => {
                    self.say("admin.token_file", why, &format!("chmod 640 {}", path.display()));
                    return;
                }
            },
            (Some(token), None) => Some(("admin.token", token.clone())),
            (None, None) => None,
        };
        match file {
            Some((key, token)) if token.expose_secret().len() < MIN_ADMIN_TOKEN => {
                self.say(
                    key,
                    format!("the token has less than {MIN_ADMIN_TOKEN} bytes"),
                    "openssl rand -hex 32",
                );
            }
            None if !admin.listen.ip().is_loopback() => {
                let hint = "set admin.token_file, or listen on 127.0.0.1";
                self.say("admin.listen", "outside loopback the admin API needs a token", hint);
            }
            _ => {}
        }
    }

    fn log(&mut self) {
        if let Err(why) = telemetry::check_level(&self.config.log.level) {
            let hint = "one of error, warn, info, debug, trace; parts like \"info,exedra_gateway=debug\"";
            self.say("log.level", why, hint);
        }
    }

    fn plugins(&mut self) {
        let plugins = &self.config.plugins;
        for (name, table) in plugins.enabled() {
            let key = |part: &str| vec!["plugins".to_owned(), name.to_owned(), part.to_owned()];
            if let Some(sum) = &table.sha256
                && (sum.len() != 64 || !sum.chars().all(|c| c.is_ascii_hexdigit()))
            {
                let why = "not a SHA-256 sum: 64 hexadecimal digits";
                self.problems.push(self.layers.problem(&key("sha256"), Part::Value, why));
            }
            if table.deadline.is_some_and(|deadline| deadline.is_zero()) {
                let problem =
                    self.layers.problem(&key("deadline"), Part::Value, "must be longer than nothing");
                self.problems.push(problem);
            }
            if table.namespace.as_ref().is_some_and(|namespace| !namespace.starts_with('/')) {
                let problem = self.layers.problem(&key("namespace"), Part::Value, "must start with `/`");
                self.problems.push(problem.hint("write \"/\" or \"/chat\""));
            }
            let library = plugins.library(name, table);
            if table.library.as_ref().is_some_and(|file| file.contains('/') || file.is_empty()) {
                let problem =
                    self.layers.problem(&key("library"), Part::Value, "must be a file name without slashes");
                self.problems.push(problem.hint("put the folder into plugins.dir"));
            } else if !library.is_file() {
                self.problems.push(missing_library(self.layers, name, &library));
            }
        }
    }
}

fn missing_library(layers: &Layers, name: &str, library: &Path) -> Problem {
    let path = ["plugins".to_owned(), name.to_owned(), "library".to_owned()];
    let why = format!("there is no file {}", library.display());
    let hint =
        format!("cargo build -p exedra-{name} makes it beside the executable; or set library or plugins.dir");
    layers.problem(&path, Part::Value, why).hint(hint)
}

/// The setting that an error is about, and what to do.
fn blame(error: &AuthError, secret_inline: bool) -> (&'static str, &'static str) {
    match error {
        AuthError::TooManyKeys(keys) => match keys.last() {
            Some(&"secret_file") => ("auth.secret_file", ""),
            Some(&"public_key_file") => ("auth.public_key_file", ""),
            Some(&"jwks_file") => ("auth.jwks_file", ""),
            _ => ("auth.jwks_url", ""),
        },
        AuthError::ShortSecret(_) => {
            let key = if secret_inline { "auth.secret" } else { "auth.secret_file" };
            (key, "make one with: openssl rand -base64 48")
        }
        AuthError::Unsupported(text) if text.starts_with("leeway") => ("auth.leeway", ""),
        AuthError::Unsupported(_) => {
            ("auth.jwks_url", "fetch the key set to a file and name it in jwks_file")
        }
        AuthError::Unreadable { setting, .. } | AuthError::BadKey { setting, .. } => match *setting {
            "secret_file" => ("auth.secret_file", ""),
            "public_key_file" => ("auth.public_key_file", ""),
            _ => ("auth.jwks_file", ""),
        },
        AuthError::UnknownAlgorithm(_) | AuthError::ExcludedAlgorithm(_) => ("auth.algorithms", ""),
        AuthError::NoUserClaim => ("auth.claims.user_id", ""),
        AuthError::NoKey | AuthError::Mint(_) => ("auth", ""),
    }
}

fn is_origin(origin: &str) -> bool {
    if origin == "*" {
        return true;
    }
    let Some((scheme, host)) = origin.split_once("://") else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]*".contains(c);
    !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !host.is_empty()
        && host.chars().all(plain)
}

//! Tells the service manager how far the hub is: ready, waiting for what, stopping. It is systemd's protocol, one
//! datagram to the socket that `NOTIFY_SOCKET` names. Without that variable nothing is said, and nothing that goes
//! wrong here keeps the hub from its work.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

use serde_json::Value;

/// The variable that names the socket.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// The longest status, in bytes: it is one line for people.
const MAX_STATUS: usize = 512;

/// The way to whoever started the hub, and what was said last.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    ready: bool,
    status: String,
}

impl Notifier {
    /// To the service manager that the environment names, if any.
    pub(super) fn from_environment() -> Self {
        let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        Self::to(&name).unwrap_or_else(|error| {
            tracing::warn!(%error, "{VARIABLE} cannot be used; the service manager is told nothing");
            Self::default()
        })
    }

    /// To the socket of this name: a path, or `@` and a name of Linux' abstract kind.
    fn to(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor @name")),
        };
        let socket = UnixDatagram::unbound()?;
        // Nothing here may hold up a thread of the hub, however slowly the other side reads.
        socket.set_nonblocking(true)?;
        Ok(Self { to: Some((socket, address)), ..Self::default() })
    }

    /// Whether somebody still waits to hear that the hub is ready.
    pub(super) fn waits(&self) -> bool {
        self.to.is_some() && !self.ready
    }

    /// Says that the hub is ready once there are no reasons against it; until then, what it waits for.
    pub(super) fn readiness(&mut self, reasons: &[Value]) {
        if reasons.is_empty() {
            // What could not be sent is tried again at the next look.
            self.ready = self.send("READY=1\nSTATUS=ready");
            return;
        }
        let status = status(reasons);
        if status != self.status && self.send(&format!("STATUS={status}")) {
            self.status = status;
        }
    }

    /// Says that the hub is on its way out.
    pub(super) fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=draining");
    }

    /// Whether the datagram is with the other side; also when there is none.
    fn send(&self, message: &str) -> bool {
        let Some((socket, address)) = &self.to else { return true };
        match socket.send_to_addr(message.as_bytes(), address) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, "the service manager could not be told");
                false
            }
        }
    }
}

/// The reasons of `/readyz` as one line.
fn status(reasons: &[Value]) -> String {
    let part = |reason: &Value, key: &str| reason[key].as_str().unwrap_or_default().to_owned();
    let reasons: Vec<_> =
        reasons.iter().map(|reason| format!("{}: {}", part(reason, "part"), part(reason, "why"))).collect();
    // A line break would begin another assignment.
    let line: String = reasons.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = line.floor_char_boundary(MAX_STATUS);
    format!("waiting for {}", &line[..end])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn waiting() -> Vec<Value> {
        vec![json!({ "part": "bus", "why": "not\nconnected" }), json!({ "part": "store", "why": "full" })]
    }

    #[test]
    fn life_told_to_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut notifier = Notifier::to(path.as_os_str()).unwrap();
        assert!(notifier.waits());

        notifier.readiness(&waiting());
        notifier.readiness(&waiting());
        assert!(notifier.waits());
        notifier.readiness(&[]);
        assert!(!notifier.waits());
        notifier.stopping();

        assert_eq!(heard(&manager), "STATUS=waiting for bus: not connected; store: full");
        assert_eq!(heard(&manager), "READY=1\nSTATUS=ready", "the same status is not sent twice");
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=draining");
    }

    #[test]
    fn abstract_name_reached() {
        let name = format!("exedra-notify-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let mut notifier = Notifier::to(OsStr::new(&format!("@{name}"))).unwrap();
        notifier.readiness(&[]);
        assert_eq!(heard(&manager), "READY=1\nSTATUS=ready");
    }

    #[test]
    fn readiness_repeated_until_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let mut notifier = Notifier::to(path.as_os_str()).unwrap();
        notifier.readiness(&[]);
        assert!(notifier.waits(), "nobody was there to hear it");
        let manager = UnixDatagram::bind(&path).unwrap();
        notifier.readiness(&[]);
        assert!(!notifier.waits());
        assert_eq!(heard(&manager), "READY=1\nSTATUS=ready");
    }

    #[test]
    fn other_names_refused() {
        for name in ["relative/path", "vsock:2:1"] {
            assert!(Notifier::to(OsStr::new(name)).is_err(), "{name}");
        }
    }

    #[test]
    fn nobody_asked_nothing_said() {
        let mut notifier = Notifier::default();
        assert!(!notifier.waits());
        notifier.readiness(&waiting());
        notifier.readiness(&[]);
        notifier.stopping();
    }

    #[test]
    fn long_status_cut() {
        let reasons = [json!({ "part": "store", "why": "ä".repeat(1000) })];
        assert!(status(&reasons).len() <= MAX_STATUS + "waiting for ".len());
    }
}

//! RFC 6455 and RFC 7692 against the echo server, byte by byte, from the outside.
//!
//! Everything here is its own: frames are put together and taken apart, and messages are compressed and inflated, by
//! code of this test and not by `exedra-wire`, so that a mistake there is not made on both sides. Cases are grouped as
//! conformance suites group them; each class prints how many of its cases it went through (`--nocapture` shows it).

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere, its helpers too")]

mod closing;
mod compression;
mod deflate;
mod fragments;
mod framing;
mod handshake;
mod inflate;
mod limits;
mod peer;
mod pings;
mod text;

use std::{net::SocketAddr, sync::OnceLock};

/// Largest message that the server takes.
const MAX_PAYLOAD: usize = 32 << 20;

/// The echo server, as the example `websocket_echo` runs it, on threads of its own.
fn server() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let any_port = ([127, 0, 0, 1], 0).into();
                tell.send(exedra_gateway::echo::websocket_echo(any_port, MAX_PAYLOAD).await.unwrap())
                    .unwrap();
                std::future::pending::<()>().await;
            });
        });
        told.recv().unwrap()
    })
}

/// Counts the cases of a class and says which one failed.
struct Class {
    name: &'static str,
    passed: usize,
    running: Option<String>,
}

impl Class {
    fn new(name: &'static str) -> Self {
        Self { name, passed: 0, running: None }
    }

    /// Runs one case.
    fn case(&mut self, what: impl Into<String>, run: impl FnOnce()) {
        self.running = Some(what.into());
        run();
        self.running = None;
        self.passed += 1;
    }

    /// Ends the class; `expected` cases must have run, so that none is left out unnoticed.
    #[expect(clippy::print_stdout, reason = "the counts are what a reader of the run wants")]
    fn done(self, expected: usize) {
        println!("{:<32} {:>4} cases", self.name, self.passed);
        assert_eq!(self.passed, expected, "{}", self.name);
    }
}

impl Drop for Class {
    #[expect(clippy::print_stderr, reason = "says which case failed")]
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            eprintln!("{}: failed in case `{running}`", self.name);
        }
    }
}

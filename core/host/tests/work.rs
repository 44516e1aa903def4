//! Plugins at work, written in C and loaded from files: what they do well, and what others see when they do not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/build.rs"]
mod build;
#[path = "support/fakes.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod fakes;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use exedra_host::{Condition, Host, HostConfig, PluginSpec, PluginState, Source};
use exedra_hub::{
    Code, Connection, Frame, Hub, Message, Refusal,
    frame::Part,
    hub::Knock,
    outbox::Outbox,
    port::{Call, PluginId, Plugins, Reply},
};
use fakes::{HandClock, PlainText, until, wait};
use serde_json::json;
use tempfile::TempDir;

const ECHO: PluginId = PluginId(0);
const OTHER: PluginId = PluginId(1);
const DEADLINE: Duration = Duration::from_secs(10);

/// A hub with two plugins and one connection.
struct Running {
    host: Arc<Host>,
    hub: Arc<Hub>,
    clock: Arc<HandClock>,
    conn: Arc<Connection>,
    outbox: Arc<Outbox>,
    dir: TempDir,
}

fn running() -> Running {
    running_with(|config| config)
}

fn running_with(change: impl Fn(HostConfig) -> HostConfig) -> Running {
    let dir = tempfile::tempdir().unwrap();
    build::c_plugin(dir.path(), "echo.so", "echo.c", &[]);
    build::c_plugin(
        dir.path(),
        "other.so",
        "broken.c",
        &["-DID=\"other\"", r#"-DMANIFEST="{\"name\":\"other\",\"events\":[{\"name\":\"*\"}]}""#],
    );
    let (hub, clock) = fakes::hub();
    let host = Host::new(change(HostConfig::new(dir.path().join("state"))), hub.clone());
    let load = |name: &str, settings| {
        let source = Source::File { dir: dir.path().to_owned(), library: format!("{name}.so"), sha256: None };
        host.load(PluginSpec { settings, deadline: DEADLINE, ..PluginSpec::new(name, source) }).unwrap()
    };
    let mark = dir.path().join("mark").display().to_string();
    let manifests = vec![load("echo", json!({ "mark": mark })).into(), load("other", json!({})).into()];
    hub.install(host.clone(), manifests).unwrap();
    host.start().unwrap();
    let outbox = Arc::new(Outbox::new(1 << 20));
    let conn = wait(hub.connect(Knock {
        gateway: "socketio",
        namespace: "/".into(),
        token: None,
        auth: "{}".into(),
        query: vec![],
        peer: [127, 0, 0, 1].into(),
        outbox: outbox.clone(),
        format: Arc::new(PlainText),
        ticket: None,
    }))
    .unwrap();
    conn.open(&Frame::one(Part { wire: "hello".into(), header: 0, binary: false }));
    Running { host, hub, clock, conn, outbox, dir }
}

impl Running {
    fn event(&self, name: &str, args: &str) -> Call {
        Call::Event {
            handler: 0,
            conn: self.conn.facts().clone(),
            message: Message::new(name, args.to_owned()),
            wants_ack: true,
        }
    }

    fn send(&self, name: &str, args: &str) -> Result<Reply, Refusal> {
        wait(self.host.call(ECHO, self.event(name, args)))
    }

    /// The acknowledgement's text.
    fn ack(&self, name: &str) -> String {
        match self.send(name, "[]") {
            Ok(Reply::Args { args, .. }) => String::from_utf8(args.to_vec()).unwrap(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn code(&self, name: &str) -> Code {
        self.send(name, "[]").unwrap_err().code
    }

    /// Starts a call that somebody else waits for.
    fn begin(&self, name: &str, args: &str) -> thread::JoinHandle<Result<Reply, Refusal>> {
        let call = self.host.call(ECHO, self.event(name, args));
        thread::spawn(move || wait(call))
    }

    /// `[cancels, drops, status of a second completion, status of a late one]`
    fn report(&self) -> Vec<i64> {
        serde_json::from_str(&self.ack("report")).unwrap()
    }

    fn state(&self) -> PluginState {
        self.host.states().swap_remove(0)
    }

    fn marks(&self) -> String {
        fs::read_to_string(self.dir.path().join("mark")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.host.stop(Duration::ZERO);
    }
}

#[test]
fn echo_emits_joins_and_acknowledges() {
    let running = running();
    let reply = running.send("say", r#"[{"text":"hi"}]"#).unwrap();
    let Reply::Args { args, .. } = reply else { panic!("{reply:?}") };
    assert_eq!(args, r#"[{"first":true,"members":1}]"#);
    assert_eq!(running.hub.count(ECHO, "lobby"), 1);
    let mut frames = Vec::new();
    running.outbox.take_now(&mut frames);
    let texts: Vec<_> = frames.iter().map(|f| f.parts()[0].payload()).collect();
    assert_eq!(texts, ["hello", r#"said [{"text":"hi"}]"#, r#"said [{"text":"hi"}]"#]);
}

#[test]
fn pending_put_completes_the_call() {
    let running = running();
    assert_eq!(running.ack("store"), r#"[{"revision":1}]"#);
    assert_eq!(running.marks(), "start\ndone 0\n");
}

#[test]
fn silent_call_times_out() {
    let running = running();
    let call = running.begin("never", "[]");
    until(|| running.state().in_flight == 1 && running.clock.sleepers() >= 2);
    running.clock.advance(DEADLINE);
    assert_eq!(call.join().unwrap().unwrap_err().code, Code::Timeout);
    until(|| running.report()[0] == 1);
    assert_eq!(running.report()[3], -9, "a late completion is gone");
    assert!(running.hub.metrics().render().contains(r#"outcome="timeout",plugin="echo"} "#));
}

#[test]
fn second_completion_is_gone() {
    let running = running();
    assert_eq!(running.ack("twice"), "[1]");
    assert_eq!(running.report()[2], -9);
}

#[test]
fn task_completes_its_call() {
    let running = running();
    assert_eq!(running.ack("task"), r#"["worked"]"#);
    until(|| running.report()[1] == 1);
}

#[test]
fn forgotten_call_is_a_fault() {
    let running = running();
    assert_eq!(running.code("forget"), Code::Internal);
    until(|| running.report()[1] == 1);
}

#[test]
fn cancelled_call_drops_its_task() {
    let running = running();
    let call = running.begin("wait", "[]");
    until(|| running.state().in_flight == 1 && running.clock.sleepers() >= 2);
    running.clock.advance(DEADLINE);
    assert_eq!(call.join().unwrap().unwrap_err().code, Code::Timeout);
    until(|| running.report()[..2] == [1, 1]);
}

#[test]
fn unread_call_is_cancelled() {
    let running = running();
    let mut call = Box::pin(running.host.call(ECHO, running.event("wait", "[]")));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_pending());
    until(|| running.report()[4] == 1);
    drop(call);
    until(|| running.report()[..2] == [1, 1]);
}

#[test]
fn odd_answers_are_faults() {
    let running = running();
    assert_eq!(running.code("odd"), Code::Internal);
    assert_eq!(running.code("wild"), Code::Internal);
    assert_eq!(running.code("bad-args"), Code::Invalid);
}

#[test]
fn too_many_calls_are_busy() {
    let running = running_with(|config| HostConfig { calls_in_flight: 1, ..config });
    let call = running.begin("never", "[]");
    until(|| running.state().in_flight == 1);
    assert_eq!(running.code("report"), Code::Busy);
    until(|| running.clock.sleepers() >= 2);
    running.clock.advance(DEADLINE);
    assert!(call.join().unwrap().is_err());
}

#[test]
fn panics_over_budget_quarantine() {
    let running = running_with(|config| HostConfig { panic_budget: 2, ..config });
    for _ in 0..3 {
        assert_eq!(running.code("panic"), Code::Internal);
    }
    assert_eq!(running.code("report"), Code::Unavailable);
    assert!(matches!(running.state().condition, Condition::Quarantined(_)));
    assert!(wait(running.host.call(OTHER, running.event("x", "[]"))).is_ok());
    let metrics = running.hub.metrics().render();
    assert!(metrics.contains(r#"exedra_plugin_panics_total{plugin="echo"} 3"#), "{metrics}");
    assert!(metrics.contains(r#"exedra_plugin_up{plugin="echo",version="1.0.0"} 0"#), "{metrics}");
}

#[test]
fn stuck_plugin_leaves_others_running() {
    let running = running_with(|config| HostConfig {
        threads: 2,
        warn_after: Duration::from_millis(20),
        stuck_after: Duration::from_millis(150),
        ..config
    });
    let go = running.dir.path().join("go");
    let args = format!("[{:?}]", go.display().to_string());
    let calls = [running.begin("spin", &args), running.begin("spin", &args)];
    until(|| running.state().condition == Condition::Stuck);
    assert_eq!(running.code("report"), Code::Unavailable);
    for _ in 0..50 {
        assert!(wait(running.host.call(OTHER, running.event("x", "[]"))).is_ok());
    }
    fs::write(go, "").unwrap();
    for call in calls {
        assert!(call.join().unwrap().is_ok());
    }
    until(|| running.state().condition == Condition::Running);
    assert_eq!(running.report()[0], 0);
}

#[test]
fn work_at_hand_is_done_before_the_end() {
    let running = running();
    let (done, told) = (Arc::new(AtomicUsize::new(0)), 200);
    for _ in 0..told {
        let (host, call, done) = (running.host.clone(), running.event("store", "[]"), done.clone());
        let count = move |reply: Result<Reply, Refusal>| {
            done.fetch_add(usize::from(reply.is_ok()), Ordering::SeqCst);
        };
        running.host.spawn(Box::pin(async move { count(host.call(ECHO, call).await) }));
    }
    running.host.stop(Duration::from_secs(20));
    assert_eq!(done.load(Ordering::SeqCst), told);
}

#[test]
fn life_ends_in_order() {
    let running = running();
    let call = running.begin("hang", "[]");
    until(|| running.state().in_flight == 1);
    running.host.stop(Duration::from_millis(50));
    assert_eq!(call.join().unwrap().unwrap_err().code, Code::ShuttingDown);
    assert_eq!(running.marks(), "start\nquiesce\ndone -8\ndestroy\n");
    assert_eq!(running.code("report"), Code::ShuttingDown);
    assert_eq!(running.state().condition, Condition::Stopped);
}

//! Another version of a plugin in the place of the one that runs: what goes on in the old one, what comes to the new
//! one, and what happens when the new one is worse.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/build.rs"]
mod build;
#[path = "support/fakes.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod fakes;

use std::{fs, path::Path, sync::Arc, thread, time::Duration};

use exedra_host::{Changed, Condition, Host, HostConfig, LoadError, PluginSpec, Reload, Source};
use exedra_hub::{
    Code, Hub,
    port::{Call, PluginId, Plugins, Reply},
};
use fakes::{until, wait};
use serde_json::json;
use tempfile::TempDir;

const ECHO: PluginId = PluginId(0);

/// A hub with echo, whose library the test can change.
struct Running {
    host: Arc<Host>,
    hub: Arc<Hub>,
    dir: TempDir,
}

fn running() -> Running {
    let dir = tempfile::tempdir().unwrap();
    build::c_plugin(dir.path(), "echo.so", "echo.c", &[]);
    let (hub, _) = fakes::hub();
    let host = Host::new(HostConfig::new(dir.path().join("state")), hub.clone());
    let manifest = host.load(spec(dir.path(), "echo", "first")).unwrap();
    hub.install(host.clone(), vec![manifest.into()]).unwrap();
    host.start().unwrap();
    Running { host, hub, dir }
}

/// The library of that name, leaving its marks in a file of that name.
fn spec(dir: &Path, name: &str, mark: &str) -> PluginSpec {
    let source = Source::File { dir: dir.to_owned(), library: format!("{name}.so"), sha256: None };
    let settings = json!({ "mark": dir.join(mark).display().to_string() });
    PluginSpec { settings, ..PluginSpec::new(name, source) }
}

impl Running {
    fn reload(&self, mark: &str) -> Result<Changed, LoadError> {
        let spec = spec(self.dir.path(), "echo", mark);
        self.host.reload(&Reload { spec, namespace: None, auth: None })
    }

    /// Another build of echo; the same options give the same bytes.
    fn build(&self, options: &[&str]) {
        let _there_or_not = fs::remove_file(self.dir.path().join("echo.so"));
        build::c_plugin(self.dir.path(), "echo.so", "echo.c", options);
    }

    fn timer(&self) -> Code {
        wait(self.host.call(ECHO, Call::Timer { handler: 0 })).unwrap_err().code
    }

    fn rpc(&self, method: &str) -> Result<Reply, Code> {
        let call = Call::Rpc { handler: 0, method: method.into(), payload: "".into() };
        wait(self.host.call(ECHO, call)).map_err(|refusal| refusal.code)
    }

    fn marks(&self, mark: &str) -> String {
        fs::read_to_string(self.dir.path().join(mark)).unwrap_or_default()
    }

    fn generation(&self) -> u32 {
        self.host.states()[0].generation
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.host.stop(Duration::ZERO);
    }
}

#[test]
fn new_settings_make_a_new_instance() {
    let running = running();
    let changed = running.reload("second").unwrap();
    assert_eq!(
        (changed.changed, changed.generation, changed.retired, changed.hub.closed),
        (true, 2, true, 0)
    );
    assert_eq!(running.marks("first"), "start\nquiesce\ndestroy\n");
    assert_eq!(running.marks("second"), "start\n");
    assert_eq!((running.generation(), &running.host.states()[0].condition), (2, &Condition::Running));
}

#[test]
fn the_same_again_is_left_alone() {
    let running = running();
    assert!(!running.reload("first").unwrap().changed);
    assert_eq!((running.generation(), running.marks("first")), (1, "start\n".to_owned()));
    running.build(&["-DUNUSED_BUT_OTHER", "-O2"]);
    assert!(running.reload("first").unwrap().changed);
}

#[test]
fn old_instance_ends_its_calls() {
    let running = running();
    let (host, go) = (running.host.clone(), running.dir.path().join("go"));
    running.build(&["-DRPCS"]);
    running.reload("second").unwrap();
    let payload = format!("[{:?}]", go.display().to_string());
    let call = Call::Rpc { handler: 0, method: "spin".into(), payload: payload.into() };
    let old = thread::spawn(move || wait(host.call(ECHO, call)));
    until(|| running.host.states()[0].in_flight == 1);
    thread::scope(|scope| {
        let reload = scope.spawn(|| running.reload("third").unwrap());
        until(|| running.marks("third") == "start\n");
        assert!(running.rpc("report").is_ok(), "the new one answers while the old one spins");
        assert_eq!(running.marks("second"), "start\n");
        fs::write(&go, "").unwrap();
        assert!(reload.join().unwrap().retired);
    });
    assert!(old.join().unwrap().is_ok());
    assert_eq!(running.marks("second"), "start\nquiesce\ndestroy\n");
}

#[test]
fn worse_versions_change_nothing() {
    let running = running();
    let path = running.dir.path().join("echo.so");
    fs::remove_file(&path).unwrap();
    assert!(matches!(running.reload("first"), Err(LoadError::NotFound { .. })));
    running.build(&["-DID=\"other\""]);
    assert!(matches!(running.reload("first"), Err(LoadError::NameDiffers { .. })));
    running.build(&["-DCREATE=EXEDRA_E_BUSY"]);
    assert!(matches!(running.reload("first"), Err(LoadError::Create { .. })));
    let wrong = Reload {
        spec: PluginSpec { settings: json!({ "nosuch": 1 }), ..spec(running.dir.path(), "echo", "x") },
        namespace: None,
        auth: None,
    };
    running.build(&[]);
    assert!(matches!(running.host.reload(&wrong), Err(LoadError::Settings { .. })));
    let nobody = Reload { spec: spec(running.dir.path(), "nobody", "x"), namespace: None, auth: None };
    assert!(matches!(running.host.reload(&nobody), Err(LoadError::NotRunning { .. })));
    assert_eq!((running.generation(), running.marks("first")), (1, "start\n".to_owned()));
    assert_eq!(running.timer(), Code::NotFound);
}

#[test]
fn one_more_is_loaded_late() {
    let running = running();
    let more = |name: &str, options: &[&str]| {
        build::c_plugin(running.dir.path(), &format!("{name}.so"), "echo.c", options);
        let spec = spec(running.dir.path(), name, name);
        running.host.add(&Reload { spec, namespace: Some(format!("/{name}")), auth: None })
    };
    assert!(matches!(
        more("late", &["-DID=\"late\"", "-DCREATE=EXEDRA_E_BUSY"]),
        Err(LoadError::Create { .. })
    ));
    assert_eq!((running.hub.slots().len(), running.host.states().len()), (1, 1));
    let added = more("late", &["-DID=\"late\""]).unwrap();
    assert_eq!((added.generation, running.marks("late").as_str()), (1, "start\n"));
    assert_eq!(running.hub.plugin_named("late"), Some(PluginId(1)));
    assert!(running.hub.knows_namespace("socketio", "/late"));
    assert!(matches!(more("late", &["-DID=\"late\""]), Err(LoadError::Duplicate { .. })));
    assert_eq!(running.host.states().len(), 2);
}

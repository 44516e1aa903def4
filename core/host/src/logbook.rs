//! What a checking host writes down about a plugin: each rule of `exedra.h` that it breaks, and what it was doing then.
//! A hub keeps no logbook: there, each entry below is one load. Opened once per process, because results and wakers
//! come back without a word about whose they are.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

use exedra_abi::{CallId, Status};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{executor, gate::Phase, instance::Instance};

/// Different findings that are kept; more would not be read.
const KEPT: usize = 200;

/// A rule of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A call ends once.
    CompletedTwice,
    /// A call that `dispatch` has ended is not completed as well.
    CompletedAfterReturn,
    /// Only numbers that the hub gave are completed.
    UnknownCall,
    /// A call that was left open is completed before its time is over.
    NeverCompleted,
    /// Answers have the shape that is written for their kind.
    BadAnswer,
    /// A result of the hub is given back once.
    ReleasedTwice,
    /// A result of the hub is given back.
    NotReleased,
    /// A waker is dropped as often as it was cloned.
    WakerDroppedTwice,
    /// The same, the other way round.
    WakerNotDropped,
    /// After `destroy` nothing of the instance runs.
    AfterDestroy,
    /// After `quiesce` the plugin's own threads begin nothing.
    AfterQuiesce,
    /// An instance uses the host table that it was given.
    OtherHost,
    /// No function blocks the hub's thread.
    Blocked,
    /// Nothing panics.
    Panicked,
    /// Operations are asked for with arguments that can be.
    BadArguments,
    /// A connection is left alone once its end has been told.
    GoneConnection,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It works, but should not be like that.
    Warning,
    /// The contract is broken.
    Problem,
}

impl Rule {
    /// How much it matters that the rule was broken.
    pub fn weight(self) -> Weight {
        match self {
            Self::BadArguments | Self::GoneConnection | Self::AfterQuiesce => Weight::Warning,
            _ => Weight::Problem,
        }
    }
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which one.
    pub rule: Rule,
    /// What the plugin was doing.
    pub during: String,
    /// What it did, in plain words.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// How a call stands that the plugin was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// `dispatch` has not returned, or has left it open.
    Open,
    /// The plugin has completed it.
    Completed,
    /// `dispatch` has ended it.
    Returned,
    /// The hub has given it up; completing it is late and allowed.
    Over,
}

#[derive(Debug, Default)]
struct Pages {
    during: String,
    findings: Vec<Finding>,
    calls: HashMap<(usize, CallId), Standing>,
    /// Results that plugins hold, and the function that gave them.
    results: HashMap<usize, &'static str>,
    wakers: HashMap<usize, u64>,
    gone: HashSet<(usize, u64)>,
    /// Instances whose `destroy` has returned. Their addresses are not used again: doors keep them.
    destroyed: HashSet<usize>,
}

static LOGBOOK: OnceLock<Mutex<Pages>> = OnceLock::new();

thread_local! {
    /// The function of the host table that this thread has called last.
    static FUNCTION: Cell<&'static str> = const { Cell::new("done") };
}

/// Begins to write down, for the rest of the process.
pub fn open() {
    LOGBOOK.get_or_init(Mutex::default);
}

/// Says what the plugin is asked to do from now on.
pub fn during(what: impl Into<String>) {
    with(|pages| pages.during = what.into());
}

/// Everything found so far, in the order of finding it.
pub fn findings() -> Vec<Finding> {
    with(|pages| pages.findings.clone()).unwrap_or_default()
}

/// What plugins have not given back although they are gone: to be asked after the last `destroy`.
pub fn close_books() {
    with(|pages| {
        let results: Vec<_> = pages.results.drain().map(|(_, function)| function).collect();
        for function in results {
            let what = format!("the result of `{function}` was never released; call its release(owner) once");
            pages.find(Rule::NotReleased, what);
        }
        let left: u64 = pages.wakers.drain().map(|(_, count)| count).sum();
        if left > 0 {
            let what =
                format!("{left} wakers were cloned and never dropped; call waker_drop for each waker_clone");
            pages.find(Rule::WakerNotDropped, what);
        }
        pages.calls.clear();
        pages.gone.clear();
    });
}

impl Pages {
    fn find(&mut self, rule: Rule, what: String) {
        let same = |found: &&mut Finding| found.rule == rule && found.what == what;
        if let Some(found) = self.findings.iter_mut().find(same) {
            found.count += 1;
        } else if self.findings.len() < KEPT {
            self.findings.push(Finding { rule, during: self.during.clone(), what, count: 1 });
        }
    }
}

fn with<T>(f: impl FnOnce(&mut Pages) -> T) -> Option<T> {
    LOGBOOK.get().map(|pages| f(&mut pages.lock()))
}

fn find(rule: Rule, what: impl FnOnce() -> String) {
    with(|pages| pages.find(rule, what()));
}

/// Tells instances apart.
fn key(instance: &Instance) -> usize {
    std::ptr::from_ref(instance) as usize
}

/// A function of the host table was called, with no instance behind the table.
pub(crate) fn lost(function: &'static str) {
    find(Rule::AfterDestroy, || {
        format!(
            "`{function}` was called with no host table of a living instance: after `destroy`, or with NULL"
        )
    });
}

/// A function of the host table was called.
pub(crate) fn called(instance: &Instance, function: &'static str) {
    if LOGBOOK.get().is_none() {
        return;
    }
    FUNCTION.set(function);
    if with(|pages| pages.destroyed.contains(&key(instance))) == Some(true) {
        find(Rule::AfterDestroy, || {
            format!(
                "`{function}` was called after `destroy`; end every thread and callback before it returns"
            )
        });
    } else if instance.gate.phase() >= Phase::Ending && !executor::is_visiting() {
        find(Rule::AfterQuiesce, || {
            format!("`{function}` was called by a thread of the plugin's own after `quiesce`; stop it there")
        });
    }
    // What is logged by a library's statics goes to one of its instances; no harm is done by that.
    if executor::is_visiting() && !instance.executor.is_here() && executor::is_thread() && function != "log" {
        find(Rule::OtherHost, || {
            format!(
                "`{function}` was called with the host table of another instance; keep the table that `create` \
                 gives in the instance, never in a static variable"
            )
        });
    }
}

/// `destroy` has returned.
pub(crate) fn destroyed(instance: &Instance) {
    with(|pages| pages.destroyed.insert(key(instance)));
}

/// A function of the host table said no.
pub(crate) fn refused(function: &'static str, status: Status) {
    if status == Status::INVALID {
        find(Rule::BadArguments, || {
            format!(
                "`{function}` was asked with arguments that cannot be (EXEDRA_E_INVALID): a missing struct_size or \
                 address, text that is not UTF-8, an empty name, or args that are no JSON array"
            )
        });
    }
}

/// A result is in the plugin's hands.
pub(crate) fn given(owner: usize) {
    with(|pages| pages.results.insert(owner, FUNCTION.get()));
}

/// A result comes back; `false` when it must not be freed, because it has been.
pub(crate) fn released(owner: usize) -> bool {
    with(|pages| {
        let known = pages.results.remove(&owner).is_some();
        if !known {
            let what = "a result of the hub was released twice; release each exactly once".to_owned();
            pages.find(Rule::ReleasedTwice, what);
        }
        known
    })
    .unwrap_or(true)
}

/// A result of an operation is on its way to `done`.
pub(crate) fn reports() {
    FUNCTION.set("done");
}

pub(crate) fn waker_cloned(waker: usize) {
    with(|pages| *pages.wakers.entry(waker).or_default() += 1);
}

/// `false` when the waker must not be dropped, because it was not cloned.
pub(crate) fn waker_dropped(waker: usize) -> bool {
    with(|pages| {
        let count = pages.wakers.get(&waker).copied().unwrap_or_default();
        match count {
            0 => {
                let what = "a waker was dropped more often than cloned; the one that `poll` lends is not the plugin's \
                            to drop";
                pages.find(Rule::WakerDroppedTwice, what.to_owned());
            }
            1 => drop(pages.wakers.remove(&waker)),
            _ => drop(pages.wakers.insert(waker, count - 1)),
        }
        count > 0
    })
    .unwrap_or(true)
}

/// The plugin is told of a call.
pub(crate) fn call_opened(instance: &Instance, call: CallId) {
    with(|pages| pages.calls.insert((key(instance), call), Standing::Open));
}

/// `dispatch` has ended a call.
pub(crate) fn call_returned(instance: &Instance, call: CallId, kind: &str) {
    with(|pages| {
        let before = pages.calls.insert((key(instance), call), Standing::Returned);
        if before == Some(Standing::Completed) {
            let what = format!(
                "a call ({kind}) was completed and then ended by the status that `dispatch` returned; \
                                return EXEDRA_PENDING, or do not complete it"
            );
            pages.find(Rule::CompletedAfterReturn, what);
        }
    });
}

/// The plugin completes a call.
pub(crate) fn call_completed(instance: &Instance, call: CallId) {
    with(|pages| {
        let standing = pages.calls.get_mut(&(key(instance), call));
        let (rule, what) = match standing {
            Some(standing @ Standing::Open) => {
                *standing = Standing::Completed;
                return;
            }
            Some(Standing::Over) => return,
            Some(Standing::Completed) => {
                (Rule::CompletedTwice, "a call was completed twice; complete it once")
            }
            Some(Standing::Returned) => (
                Rule::CompletedAfterReturn,
                "a call was completed after `dispatch` had ended it; return EXEDRA_PENDING to complete later",
            ),
            None => {
                (Rule::UnknownCall, "a call was completed that the hub never made; use the event's `call`")
            }
        };
        pages.find(rule, what.to_owned());
    });
}

/// The hub waits no longer.
pub(crate) fn call_over(instance: &Instance, call: CallId, late: bool, kind: &str) {
    with(|pages| {
        if late {
            let what = format!(
                "a call ({kind}) was left open with EXEDRA_PENDING and not completed within the deadline"
            );
            pages.find(Rule::NeverCompleted, what);
        }
        if let Some(standing @ Standing::Open) = pages.calls.get_mut(&(key(instance), call)) {
            *standing = Standing::Over;
        }
    });
}

/// An answer that is not what its kind of call wants.
pub(crate) fn bad_answer(kind: &str, fault: &str) {
    find(Rule::BadAnswer, || format!("the answer to a call ({kind}) cannot be used: {fault}"));
}

/// A panic that was caught within the plugin.
pub(crate) fn panicked(kind: &str, message: &str) {
    find(Rule::Panicked, || format!("it panicked ({kind}): {message}"));
}

/// A thread of the hub is kept.
pub(crate) fn blocked(kind: &str) {
    find(Rule::Blocked, || {
        format!(
            "it kept a thread of the hub ({kind}); nothing may block: wait with EXEDRA_PENDING, a task or `done`"
        )
    });
}

/// The plugin hears that a connection has ended.
pub(crate) fn told_gone(instance: &Instance, conn: u64) {
    with(|pages| pages.gone.insert((key(instance), conn)));
}

/// The plugin uses a connection.
pub(crate) fn used(instance: &Instance, conn: u64) {
    with(|pages| {
        if pages.gone.contains(&(key(instance), conn)) {
            let function = FUNCTION.get();
            let what = format!(
                "`{function}` was called for a connection whose DISCONNECT the plugin has been told of"
            );
            pages.find(Rule::GoneConnection, what);
        }
    });
}

//! The way of one call: let in (bounded, refused while the plugin is out of service), told to the plugin, and when
//! the plugin says "later", parked until it completes, its time is over, or nobody waits any more.
#![expect(unsafe_code, reason = "tells the plugin that a call is over")]

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::{Duration, Instant},
};

use exedra_abi::{CallId, Status};
use exedra_hub::{
    Code, Refusal,
    port::{Call, Reply},
};

use crate::{
    answer::Answer,
    calls::Ended,
    dispatch::{self, Expects, Returned},
    entry,
    executor::Kind,
    gate::Phase,
    instance::Instance,
    logbook,
    reach::Within,
};

/// A call that was let in, and by which instance; dropping it lets the next one in. An instance that is being taken
/// down still makes the calls that it has let in.
pub(crate) struct Admitted {
    instance: Arc<Instance>,
    /// When it was let in.
    since: Instant,
}

impl std::ops::Deref for Admitted {
    type Target = Arc<Instance>;

    fn deref(&self) -> &Arc<Instance> {
        &self.instance
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.instance.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How a call ended, as far as the host can tell.
enum Outcome {
    Answered(Status, Answer),
    TimedOut,
    GivenUp,
}

impl Instance {
    /// Makes one call that was let in. Must run on the executor.
    pub(crate) async fn call(admitted: Admitted, call: Call) -> Result<Reply, Refusal> {
        let this = &*admitted;
        let (kind, expects, deadline) = (call.kind(), Expects::of(&call), this.deadline_of(&call));
        let mut open = Open::new(this, kind, (admitted.since, deadline))?;
        let began = open.began;
        let outcome = match this.tell(open.number, call)? {
            Returned::Finished(status, answer) => {
                logbook::call_returned(this, open.number, kind);
                Outcome::Answered(status, answer)
            }
            Returned::Pending => this.parked(open.number, deadline).await,
        };
        open.finished = matches!(outcome, Outcome::Answered(..));
        drop(open);
        this.judge(kind, expects, began.elapsed(), outcome)
    }

    /// Lets a call in, or says why not.
    pub(crate) fn admit(self: &Arc<Self>, call: &Call) -> Result<Admitted, Refusal> {
        match self.gate.phase() {
            Phase::Running => {}
            Phase::Starting => return Err(Refusal::new(Code::Unavailable, "the plugin is starting")),
            _ => return Err(stopping()),
        }
        if let Some(refusal) = self.health.refusal() {
            return Err(refusal);
        }
        // Ends are told even then, so that the plugin's books are right when it comes back.
        if self.health.is_disabled() && !matches!(call, Call::Disconnect { .. } | Call::Leave { .. }) {
            return Err(Refusal::new(Code::Unavailable, "the plugin is disabled"));
        }
        let before = self.in_flight.fetch_add(1, Ordering::SeqCst);
        let admitted = Admitted { instance: self.clone(), since: Instant::now() };
        if before >= self.limit {
            return Err(Refusal::new(Code::Busy, "the plugin has too many calls under way"));
        }
        Ok(admitted)
    }

    fn tell(&self, number: CallId, call: Call) -> Result<Returned, Refusal> {
        let Some(_inside) = self.enter(call.kind(), Phase::polls) else { return Err(stopping()) };
        let _reach = Within::of(&call);
        if let Call::Disconnect { conn, .. } = &call {
            logbook::told_gone(self, conn.id.0);
        }
        let returned = dispatch::dispatch(self, number, &call);
        if let Call::Disconnect { conn, .. } = &call {
            self.contexts.forget(conn.id);
        }
        Ok(returned)
    }

    /// The manifest may give an event a time of its own.
    pub(crate) fn deadline_of(&self, call: &Call) -> Duration {
        let own = match call {
            Call::Event { handler, .. } => {
                self.manifest.events.get(*handler as usize).and_then(|e| e.timeout_ms)
            }
            _ => None,
        };
        own.map_or(self.deadline, Duration::from_millis)
    }

    /// Waits for the plugin to complete the call. The timer is made only when there is something to wait for.
    async fn parked(&self, number: CallId, deadline: Duration) -> Outcome {
        let mut timer = None;
        poll_fn(|cx| {
            match self.calls.poll(number, cx.waker()) {
                Poll::Ready(Ended::Completed(status, answer)) => {
                    return Poll::Ready(Outcome::Answered(status, answer));
                }
                Poll::Ready(Ended::GivenUp) => return Poll::Ready(Outcome::GivenUp),
                Poll::Pending => {}
            }
            let timer = timer.get_or_insert_with(|| self.hub.clock().sleep(deadline));
            timer.as_mut().poll(cx).map(|()| Outcome::TimedOut)
        })
        .await
    }

    /// Counts the call and puts its end into the hub's words.
    fn judge(
        &self,
        kind: Kind,
        expects: Expects,
        took: Duration,
        outcome: Outcome,
    ) -> Result<Reply, Refusal> {
        let (label, reply) = match outcome {
            Outcome::TimedOut => {
                tracing::warn!(plugin = &*self.name, kind, "a plugin did not answer in time");
                ("timeout", Err(Refusal::new(Code::Timeout, "the plugin did not answer in time")))
            }
            Outcome::GivenUp => ("refused", Err(stopping())),
            Outcome::Answered(status, answer) => {
                if !KNOWN.contains(&status.0) {
                    logbook::bad_answer(kind, &format!("{} is no status of exedra.h", status.0));
                }
                if status == Status::PANICKED {
                    self.panicked(kind, &entry::said(&answer.meta, status));
                }
                let label = match status {
                    Status::OK => "ok",
                    Status::PANICKED => "panicked",
                    _ => "refused",
                };
                match expects.reply(status, answer) {
                    Ok(reply) => (label, Ok(reply)),
                    Err(Some(refusal)) => (label, Err(refusal)),
                    Err(None) => {
                        logbook::bad_answer(kind, expects.rule());
                        tracing::warn!(plugin = &*self.name, kind, "a plugin's answer breaks the contract");
                        let refusal =
                            Refusal::new(Code::Internal, "the plugin gave an answer that cannot be read");
                        ("refused", Err(refusal))
                    }
                }
            }
        };
        self.metrics.called(kind, label, took);
        reply
    }

    fn cancel(&self, number: CallId) {
        let table = self.table();
        let Some(cancel) = table.cancel else { return };
        if let Some(_inside) = self.enter("cancel", |phase| phase.polls()) {
            // SAFETY: may be called from any thread while the instance lives.
            unsafe { cancel(table.this, number) }
        }
    }
}

/// What timers may be early by.
const TICK: Duration = Duration::from_millis(5);

/// The statuses that a call may end with.
const KNOWN: [i32; 17] = [0, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12, -13, -14, -15, -99];

fn stopping() -> Refusal {
    Refusal::new(Code::ShuttingDown, "the hub is stopping, connect again")
}

/// A call's place in the table of calls, until it has ended one way or another.
struct Open<'a> {
    instance: &'a Arc<Instance>,
    number: CallId,
    /// Whether the plugin ended it; else it is told to let go.
    finished: bool,
    kind: Kind,
    let_in: Instant,
    began: Instant,
    deadline: Duration,
}

impl<'a> Open<'a> {
    fn new(
        instance: &'a Arc<Instance>,
        kind: Kind,
        (let_in, deadline): (Instant, Duration),
    ) -> Result<Self, Refusal> {
        let number = instance.calls.open();
        let number =
            number.ok_or_else(|| Refusal::new(Code::Busy, "the plugin has too many calls under way"))?;
        logbook::call_opened(instance, number);
        Ok(Self { instance, number, finished: false, kind, let_in, began: Instant::now(), deadline })
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let tasks = self.instance.calls.close(self.number);
        if self.finished {
            return;
        }
        // Whoever waited has a timer too, made when the call was let in, and may have been the first to give up.
        let late = self.let_in.elapsed() + TICK >= self.deadline;
        logbook::call_over(self.instance, self.number, late, self.kind);
        tasks.into_iter().for_each(|task| self.instance.tasks.cancel(task));
        if self.instance.executor.is_here() {
            self.instance.cancel(self.number);
        } else {
            let (instance, number) = (self.instance.clone(), self.number);
            self.instance.executor.spawn(async move { instance.cancel(number) }).detach();
        }
    }
}

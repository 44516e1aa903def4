//! How busy the host is, from the kernel's own files. Where they cannot be read there is nothing to say.

use std::{
    fs,
    sync::{Mutex, PoisonError},
};

use crate::value::Percent;

/// The host's load. Looked at no more often than once in half a second: shorter spans say nothing.
#[derive(Debug, Default)]
pub(crate) struct Host(Mutex<Option<Look>>);

#[derive(Debug, Clone, Copy)]
struct Look {
    at_ms: u64,
    times: Times,
    load: Load,
}

/// Percentages of the whole machine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Load {
    pub(crate) cpu: Option<Percent>,
    pub(crate) memory: Option<Percent>,
}

/// Ticks of all processors since the machine was started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Times {
    busy: u64,
    all: u64,
}

const SHORTEST_SPAN_MS: u64 = 500;

impl Host {
    /// The load between the last look and now; the first look has only the whole life of the machine to go by.
    pub(crate) fn load(&self, now_ms: u64) -> Load {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = *last
            && now_ms.saturating_sub(last.at_ms) < SHORTEST_SPAN_MS
        {
            return last.load;
        }
        let times = fs::read_to_string("/proc/stat").ok().and_then(|text| times_of(&text));
        let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_of(&text));
        let (since, before) = last.map(|last| (last.times, last.load.cpu)).unwrap_or_default();
        let load = Load { cpu: times.and_then(|times| times.since(since)).or(before), memory };
        *last = Some(Look { at_ms: now_ms, times: times.unwrap_or_default(), load });
        load
    }
}

impl Times {
    fn since(self, before: Self) -> Option<Percent> {
        percent(self.busy.saturating_sub(before.busy), self.all.saturating_sub(before.all))
    }
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal. What guests use is in the
/// first two already.
fn times_of(stat: &str) -> Option<Times> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|tick| tick.parse().ok()).collect();
    let all = ticks.iter().sum();
    let idle: u64 = ticks.get(3..5)?.iter().sum();
    Some(Times { busy: all - idle, all })
}

fn memory_of(meminfo: &str) -> Option<Percent> {
    let of = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let (total, free) = (of("MemTotal")?, of("MemAvailable")?);
    percent(total.saturating_sub(free), total)
}

/// With one decimal.
fn percent(part: u64, whole: u64) -> Option<Percent> {
    let share = part as f64 / whole as f64 * 1000.0;
    Percent::try_from(share.round() / 10.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_busy_or_idle() {
        let stat = "cpu  10 0 20 60 10 0 0 0 5 0\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 7\n";
        let times = times_of(stat).unwrap();
        assert_eq!(times, Times { busy: 30, all: 100 });
        assert_eq!(times.since(Times::default()), Some(Percent(30.0)));
        assert_eq!(times.since(Times { busy: 25, all: 60 }), Some(Percent(12.5)));
        assert_eq!(times.since(times), None, "no time has passed");
        assert_eq!(times_of("cpu0 1 2 3"), None);
        assert_eq!(times_of("cpu  1 2"), None);
    }

    #[test]
    fn memory_is_what_cannot_be_had() {
        let meminfo = "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    371 kB\n";
        assert_eq!(memory_of(meminfo), Some(Percent(62.9)));
        assert_eq!(memory_of("MemTotal: 1000 kB\n"), None);
    }

    #[test]
    fn short_spans_repeat_the_last() {
        let host = Host::default();
        let first = host.load(1_000);
        assert!(first.cpu.is_some() && first.memory.is_some());
        assert_eq!(host.load(1_400), first);
    }
}

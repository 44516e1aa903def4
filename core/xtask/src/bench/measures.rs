//! What is measured: the load, the figure that is taken from its report, and the aim.

use super::servers::Kind;

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Memory that an idle connection costs.
    Memory,
    /// Memory after ten waves against memory after one.
    Waves,
    /// CPU time per delivery, one event at a time to 1,000.
    Strict,
    /// The same with four events on their way.
    Four,
    /// One at a time to 9,000.
    Wide,
    /// 99 of 100 events are with the last of 1,000 by then, at a tenth of saturation.
    Last,
    /// All are back after all were dropped at once.
    Storm,
    /// The most memory in that storm against the memory before it.
    Peak,
    /// All are back with their sessions and what they missed; only the hub has that.
    Returns,
    /// The most memory while they come back so, against memory before.
    ReturnsPeak,
}

/// How far a figure may go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Aim {
    /// At most so much, in the figure's unit.
    Absolute(f64),
    /// At most so many times the bare loop's figure of the same run.
    OfFloor(f64),
}

/// How long a run may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Seconds: whether everything works.
    Quick,
    /// As the aims are written.
    Full,
}

impl Measure {
    pub(super) const ALL: [Self; 10] = [
        Self::Memory,
        Self::Waves,
        Self::Strict,
        Self::Four,
        Self::Wide,
        Self::Last,
        Self::Storm,
        Self::Peak,
        Self::Returns,
        Self::ReturnsPeak,
    ];

    /// One word, for the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Waves => "waves",
            Self::Strict => "strict",
            Self::Four => "four",
            Self::Wide => "wide",
            Self::Last => "last",
            Self::Storm => "storm",
            Self::Peak => "peak",
            Self::Returns => "returns",
            Self::ReturnsPeak => "returns-peak",
        }
    }

    /// The line's name in the table.
    pub(super) fn title(self, size: Size) -> String {
        let quick = size == Size::Quick;
        match self {
            Self::Memory => {
                format!("memory per idle connection at {}, KiB", if quick { 500 } else { 10_000 })
            }
            Self::Waves if quick => "memory, wave 2 against 1 of 300".to_owned(),
            Self::Waves => "memory, wave 10 against 1 of 9,000".to_owned(),
            Self::Strict => {
                format!("CPU per delivery, N = {}, one at a time, µs", if quick { 200 } else { 1000 })
            }
            Self::Four => {
                format!("CPU per delivery, N = {}, four in flight, µs", if quick { 200 } else { 1000 })
            }
            Self::Wide => {
                format!("CPU per delivery, N = {}, one at a time, µs", if quick { 500 } else { 9000 })
            }
            Self::Last => {
                format!("p99 to the last of {} at a tenth of saturation, ms", if quick { 200 } else { 1000 })
            }
            Self::Storm => format!("{} dropped at once, all back, s", if quick { 200 } else { 10_000 }),
            Self::Returns => {
                format!("{} dropped at once, all back and recovered, s", if quick { 200 } else { 10_000 })
            }
            Self::ReturnsPeak => {
                format!("memory peak with {} recovering, against steady", if quick { 200 } else { 10_000 })
            }
            Self::Peak => {
                format!("memory peak with {} coming back, against steady", if quick { 200 } else { 10_000 })
            }
        }
    }

    /// Servers that it makes sense for: the bare loop keeps no sessions, so it is no floor for memory.
    pub(super) fn servers(self) -> &'static [Kind] {
        match self {
            Self::Returns | Self::ReturnsPeak => &[Kind::Exedra],
            Self::Memory | Self::Waves | Self::Storm | Self::Peak => {
                &[Kind::Exedra, Kind::Socketioxide, Kind::Node]
            }
            _ => &[Kind::Epoll, Kind::Exedra, Kind::Socketioxide, Kind::Node],
        }
    }

    pub(super) fn aim(self) -> Aim {
        match self {
            Self::Memory => Aim::Absolute(4.0),
            Self::Waves => Aim::Absolute(1.02),
            Self::Strict | Self::Wide => Aim::OfFloor(1.05),
            Self::Four => Aim::OfFloor(0.4),
            Self::Last => Aim::Absolute(3.0),
            Self::Storm | Self::Returns => Aim::Absolute(10.0),
            Self::Peak | Self::ReturnsPeak => Aim::Absolute(1.5),
        }
    }

    /// Settings of the hub that others do not need.
    pub(super) fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Returns | Self::ReturnsPeak => &["--set", "socketio.recovery=true"],
            _ => &[],
        }
    }

    /// The load tester's arguments. `saturation` is the events per second that the server took with four in flight.
    pub(super) fn arguments(self, size: Size, saturation: Option<f64>) -> Vec<String> {
        let quick = size == Size::Quick;
        let line = match (self, quick) {
            (Self::Memory, false) => "idle -n 10000 --hold 1s".to_owned(),
            (Self::Memory, true) => "idle -n 500 --hold 1s".to_owned(),
            (Self::Waves, false) => "churn -n 9000 --waves 10 --connect-rate 3000".to_owned(),
            (Self::Waves, true) => "churn -n 300 --waves 2".to_owned(),
            (Self::Strict, false) => "fan-out -n 1000 --events 1000 --warm-up 100".to_owned(),
            (Self::Strict, true) => "fan-out -n 200 --events 200 --warm-up 20".to_owned(),
            (Self::Four, false) => "fan-out -n 1000 --events 2000 --warm-up 200 --in-flight 4".to_owned(),
            (Self::Four, true) => "fan-out -n 200 --events 400 --warm-up 20 --in-flight 4".to_owned(),
            (Self::Wide, false) => "fan-out -n 9000 --events 100 --warm-up 10".to_owned(),
            (Self::Wide, true) => "fan-out -n 500 --events 50 --warm-up 5".to_owned(),
            (Self::Last, quick) => {
                let rate = saturation.unwrap_or(200.0) / 10.0;
                let (members, seconds) = if quick { (200, 3.0) } else { (1000, 20.0) };
                let events = (rate * seconds).ceil().max(10.0);
                format!("fan-out -n {members} --events {events} --warm-up 20 --rate {rate:.1}")
            }
            (Self::Returns | Self::ReturnsPeak, false) => "storm -n 10000 --recover 20".to_owned(),
            (Self::Returns | Self::ReturnsPeak, true) => "storm -n 200 --recover 20".to_owned(),
            (Self::Storm | Self::Peak, false) => "storm -n 10000".to_owned(),
            (Self::Storm | Self::Peak, true) => "storm -n 200".to_owned(),
        };
        line.split(' ').map(str::to_owned).collect()
    }

    /// Where the figure is in the report (a JSON pointer), and what it is multiplied with for the table.
    pub(super) fn figure(self) -> (&'static str, f64) {
        match self {
            Self::Memory => ("/figures/rss_per_connection/value", 1.0 / 1024.0),
            Self::Waves => ("/figures/growth/value", 1.0),
            Self::Strict | Self::Four | Self::Wide => ("/figures/cpu_per_delivery/value", 1.0),
            Self::Last => ("/latencies/last/p99", 1e-3),
            Self::Storm | Self::Returns => ("/figures/all_back/value", 1.0),
            Self::Peak | Self::ReturnsPeak => ("/figures/rss_peak_to_steady/value", 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_a_tenth_of_saturation() {
        let arguments = Measure::Last.arguments(Size::Full, Some(300.0));
        assert!(arguments.ends_with(&["--rate".to_owned(), "30.0".to_owned()]), "{arguments:?}");
    }

    #[test]
    fn ratios_have_their_floor() {
        for measure in Measure::ALL {
            let has_floor = measure.servers().contains(&Kind::Epoll);
            assert!(has_floor || !matches!(measure.aim(), Aim::OfFloor(_)), "{measure:?}");
        }
    }
}

//! `cargo xtask bench`: Exedra beside what users would otherwise pick and beside the floor, in one go.
//!
//! Each server runs on one core and the load on another; each measure gets a fresh server; all servers take turns
//! within a run, so that a machine that changes its mind changes it for all. First come two controls: a server that
//! loses deliveries and a process that is not the one expected must both be found out, or nothing is measured.

mod measures;
mod servers;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use self::measures::{Measure, Size};
use self::servers::{Kind, Yard};
use self::table::Series;
use crate::workspace::Workspace;

/// What to measure.
#[derive(Args)]
pub(crate) struct Bench {
    /// Seconds instead of an hour: small runs that show that everything works
    #[arg(long)]
    quick: bool,
    /// How often each figure is measured
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The core of the server
    #[arg(long, default_value_t = 0)]
    server_cpu: usize,
    /// The core of the load
    #[arg(long, default_value_t = 1)]
    load_cpu: usize,
    /// Measure what is built already
    #[arg(long)]
    no_build: bool,
    /// Only these: memory, waves, strict, four, wide, last, storm, peak, returns, returns-peak
    only: Vec<String>,
}

/// Builds, measures, prints and writes.
pub(crate) fn run(workspace: &Workspace, bench: &Bench) -> Result<ExitCode> {
    if servers::cpus() < 2 || bench.server_cpu == bench.load_cpu {
        bail!("the server and the load need a core each");
    }
    let measures = chosen(&bench.only)?;
    let (size, runs) = if bench.quick { (Size::Quick, 1) } else { (Size::Full, bench.runs.max(1)) };
    let yard = Yard::new(workspace, bench.server_cpu, bench.load_cpu);
    if !bench.no_build {
        yard.build(workspace)?;
    }
    yard.furnish()?;
    let machine = servers::machine();
    println!("machine: {machine}");
    controls(&yard)?;
    let mut found = Found::default();
    for run in 1..=runs {
        for &measure in &measures {
            for &kind in measure.servers() {
                found.measure(&yard, measure, kind, size, run)?;
            }
        }
    }
    found.write(&yard, &measures, size, &machine)
}

fn chosen(only: &[String]) -> Result<Vec<Measure>> {
    if let Some(word) = only.iter().find(|word| !Measure::ALL.iter().any(|measure| measure.word() == **word))
    {
        let words: Vec<_> = Measure::ALL.iter().map(|measure| measure.word()).collect();
        bail!("nothing is called {word}\nhint: there are {}", words.join(", "));
    }
    let wanted = |measure: &Measure| only.is_empty() || only.iter().any(|word| word == measure.word());
    Ok(Measure::ALL.into_iter().filter(wanted).collect())
}

/// What must fail, fails: otherwise no success means anything.
fn controls(yard: &Yard) -> Result<()> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let small = words("fan-out -n 100 --events 5 --warm-up 0 --patience 1s");
    match yard.load(&yard.start(Kind::Loser)?, &small) {
        Err(error) if error.to_string().contains("did not come") => {}
        Err(error) => return Err(error.context("the control failed for another reason than losing")),
        Ok(_) => bail!("a server that loses deliveries was not found out"),
    }
    let honest = yard.start(Kind::Epoll)?;
    if yard.mistakes(&honest, &small)? {
        bail!("the load tester measured a process that it was not to measure");
    }
    yard.load(&honest, &small).context("the control without a fault")?;
    println!("controls: lost deliveries found out, wrong process refused, honest server accepted");
    Ok(())
}

/// All reports and figures.
#[derive(Default)]
struct Found {
    series: Vec<Series>,
    reports: Vec<Value>,
    /// Events per second with four in flight, by server: what a tenth is taken of.
    saturation: BTreeMap<&'static str, f64>,
}

impl Found {
    fn measure(&mut self, yard: &Yard, measure: Measure, kind: Kind, size: Size, run: usize) -> Result<()> {
        if measure == Measure::Last && !self.saturation.contains_key(kind.name()) {
            let report = yard.load(&yard.start(kind)?, &Measure::Four.arguments(size, None))?;
            self.note_saturation(kind, &report);
        }
        let arguments = measure.arguments(size, self.saturation.get(kind.name()).copied());
        let doing = || format!("{} on {}", arguments.join(" "), kind.name());
        let server = yard.start_with(kind, measure.settings())?;
        let report = yard.load(&server, &arguments).with_context(doing)?;
        if measure == Measure::Four {
            self.note_saturation(kind, &report);
        }
        let (place, factor) = measure.figure();
        let value = report.pointer(place).and_then(Value::as_f64).with_context(doing)? * factor;
        println!("run {run}: {:<60} {:<16} {value:.2}", measure.title(size), kind.name());
        match self.series.iter_mut().find(|series| series.measure == measure && series.kind == kind) {
            Some(series) => series.values.push(value),
            None => self.series.push(Series { measure, kind, values: vec![value] }),
        }
        self.reports.push(json!({
            "run": run, "measure": measure.word(), "server": kind.name(), "value": value, "report": report,
        }));
        Ok(())
    }

    fn note_saturation(&mut self, kind: Kind, report: &Value) {
        if let Some(rate) = report.pointer("/figures/events_per_second/value").and_then(Value::as_f64) {
            self.saturation.insert(kind.name(), rate);
        }
    }

    /// Prints the table and keeps it with every report under target/bench.
    fn write(&self, yard: &Yard, measures: &[Measure], size: Size, machine: &Value) -> Result<ExitCode> {
        let expected: usize = measures.iter().map(|measure| measure.servers().len()).sum();
        if self.series.len() != expected {
            bail!("{} of {expected} figures were measured", self.series.len());
        }
        let date = Command::new("date").args(["-u", "+%F"]).output().context("cannot start date")?;
        let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
        let table = table::markdown(&self.series, size);
        let markdown = format!("{date}, {machine}\n\n{table}");
        let json =
            json!({ "date": date, "machine": machine, "quick": size == Size::Quick, "runs": self.reports });
        fs::write(yard.folder.join("bench.md"), &markdown).context("cannot write bench.md")?;
        fs::write(yard.folder.join("bench.json"), format!("{json:#}\n"))
            .context("cannot write bench.json")?;
        println!("\n{markdown}\nwritten to {}", yard.folder.display());
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_chosen_by_word() {
        assert_eq!(chosen(&[]).unwrap().len(), Measure::ALL.len());
        assert_eq!(chosen(&["wide".to_owned()]).unwrap(), [Measure::Wide]);
        assert!(chosen(&["nonsense".to_owned()]).is_err());
    }
}

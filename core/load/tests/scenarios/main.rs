//! Every scenario, small, against a server in this process; and what a load tester must not be fooled by.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod server;

use clap::Parser;
use exedra_load::{LoadArgs, LoadError, Report};
use server::Fault;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    load: LoadArgs,
}

fn run(fault: Fault, arguments: &str) -> Result<Report, LoadError> {
    let url = format!("http://{}", server::start(fault));
    let arguments = ["load"].into_iter().chain(arguments.split(' ')).chain(["--quiet", "--url", &url]);
    exedra_load::run(&Cli::try_parse_from(arguments).unwrap().load, None)
}

fn figure(report: &Report, name: &str) -> f64 {
    report.figures.get(name).unwrap_or_else(|| panic!("no {name} in {report}")).value
}

#[test]
fn idle_reads_memory_and_time() {
    let report = run(Fault::None, "idle -n 50 --hold 100ms").unwrap();
    assert_eq!(figure(&report, "connections"), 50.0);
    assert_eq!(report.pid, Some(std::process::id()));
    assert!(report.figures.contains_key("rss_per_connection"));
    assert_eq!(report.latencies["connect"].count, 50);
}

#[test]
fn strict_fan_out_counts_every_delivery() {
    let report = run(Fault::None, "fan-out -n 20 --events 30 --warm-up 5").unwrap();
    assert_eq!((figure(&report, "deliveries"), figure(&report, "lost")), (600.0, 0.0));
    assert_eq!((report.latencies["delivery"].count, report.latencies["last"].count), (600, 30));
    assert!(report.figures.contains_key("cpu_per_delivery"));
}

#[test]
fn fan_out_runs_at_a_rate_or_with_some_in_flight() {
    for pace in ["--rate 200", "--in-flight 4"] {
        let report = run(Fault::None, &format!("fan-out -n 5 --events 40 {pace}")).unwrap();
        assert_eq!(figure(&report, "deliveries"), 200.0, "{pace}");
    }
}

#[test]
fn sessions_that_do_not_come_back_are_noticed() {
    let failed = run(Fault::None, "storm -n 5 --recover 3").unwrap_err();
    assert!(failed.to_string().contains("no sessions back"), "{failed}");
}

#[test]
fn all_come_back_after_a_storm() {
    let report = run(Fault::None, "storm -n 20").unwrap();
    assert_eq!(report.latencies["back"].count, 20);
    assert!((0.5..4.0).contains(&figure(&report, "all_back")), "{report}");
    assert!(figure(&report, "rss_peak") > 0.0 && figure(&report, "rss_peak_to_steady") > 0.5, "{report}");
}

#[test]
fn churn_compares_waves() {
    let report = run(Fault::None, "churn -n 10 --waves 2").unwrap();
    assert_eq!(report.latencies["connect"].count, 20);
    assert!(figure(&report, "growth") > 0.5);
}

#[test]
fn mixed_does_everything() {
    let report = run(Fault::None, "mixed -n 20 --rooms 3 --asks 64 --duration 1s").unwrap();
    assert_eq!((figure(&report, "events"), figure(&report, "visits")), (100.0, 10.0));
    assert_eq!(report.latencies["ask"].count, 64);
}

/// Two servers that do not know each other.
fn run_at_two(arguments: &str) -> Result<Report, LoadError> {
    let other = server::start(Fault::None);
    run(
        Fault::None,
        &format!("cluster --node http://{other} -n 10 --rooms 3 --warm-up 3 --rate 200 {arguments}"),
    )
}

#[test]
fn rooms_at_one_node_each_are_complete() {
    let report = run_at_two("--apart --events 30").unwrap();
    assert_eq!((figure(&report, "nodes"), figure(&report, "deliveries")), (2.0, 100.0));
    assert_eq!((report.latencies["delivery"].count, report.latencies["last"].count), (100, 30));
    assert!(figure(&report, "cpu_per_delivery_worst") >= figure(&report, "cpu_per_delivery"), "{report}");
}

#[test]
fn rooms_over_nodes_that_are_no_cluster_fail_the_run() {
    let error = run_at_two("--events 3 --patience 1s").unwrap_err();
    assert!(matches!(error, LoadError::Lost(_)), "{error}");
}

const STALL: &str =
    "stall -n 6 --stalled 2 --rate 20 --payload 200000 --rounds 1 --phase 1500ms --patience 15s";

#[test]
fn cuts_of_stalled_readers_are_timed() {
    let report = run(Fault::Cuts, STALL).unwrap();
    assert_eq!((figure(&report, "stalled"), figure(&report, "cut")), (2.0, 2.0));
    assert_eq!(report.latencies["cut"].count, 2);
    assert!(report.latencies["cut"].min >= 3_000_000, "{report}");
    assert_eq!((report.latencies["quiet"].count, report.latencies["beside_stalled"].count), (120, 120));
    assert!(figure(&report, "p99_ratio") > 0.0);
}

#[test]
fn stalled_readers_that_stay_fail_the_run() {
    let error = run(Fault::None, &STALL.replace("15s", "3s")).unwrap_err();
    assert!(error.to_string().contains("2 that stopped reading were never cut"), "{error}");
}

#[test]
fn repeated_deliveries_fail_the_run() {
    let error = run(Fault::Repeats, "fan-out -n 5 --events 5").unwrap_err();
    assert!(matches!(error, LoadError::Lost(_)), "{error}");
}

#[test]
fn lost_deliveries_fail_the_run() {
    let error = run(Fault::Loses, "fan-out -n 10 --events 2 --warm-up 0 --patience 1s").unwrap_err();
    assert!(matches!(error, LoadError::Lost(_)), "{error}");
}

#[test]
fn refusals_name_their_reason() {
    let error = run(Fault::Refuses, "idle -n 1").unwrap_err();
    assert!(error.to_string().contains(r#"{"message":"no"}"#), "{error}");
    let error = run(Fault::RefusesJoins, "idle -n 1").unwrap_err();
    assert!(error.to_string().contains("BUSY"), "{error}");
}

#[test]
fn wrong_process_is_not_measured() {
    let error = run(Fault::None, "idle -n 1 --expect-pid 1").unwrap_err();
    assert!(matches!(error, LoadError::WrongServer(_)), "{error}");
}

#[test]
fn assertions_decide() {
    let report = run(Fault::None, "idle -n 1 --hold 10ms --assert max<1h --assert connections>=2").unwrap();
    let holds: Vec<_> = report.asserts.iter().map(|judged| judged.holds).collect();
    assert_eq!((holds, report.holds()), (vec![true, false], false));
}

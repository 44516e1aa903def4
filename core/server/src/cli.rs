//! The command line: what each command does, what it prints and how it ends. Exit 0 when all went well, 1 when
//! something failed at run time, 2 when the usage or the configuration is wrong. Stdout is data; all else is stderr.

mod args;
mod load;
mod manual;
mod operate;
mod plugin;
mod services;

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use serde_json::Value;

use crate::{
    app,
    config::{self, Loaded, Problem},
    descriptions,
    doctor::{self, Finding, Level},
    plugins, telemetry,
    token::{self, Subject},
};
pub(crate) use operate::reachable;

use args::{Cli, Command, ConfigArgs, ConfigCommand, TokenCommand};

/// The longest token that is read from stdin.
const MAX_INPUT: u64 = 64 * 1024;

/// How a command failed.
#[derive(Debug)]
pub enum Failure {
    /// The configuration or what was given is wrong.
    Usage(Vec<Problem>),
    /// Something failed on the way.
    Runtime(anyhow::Error),
    /// The same as `Usage`, in words that another process of this program has found.
    Told(String),
    /// What is wrong has been said.
    Broken,
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Usage(problems)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Usage(vec![problem])
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

/// Reads the arguments, does what they say, and gives the exit code.
pub fn run() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure);
            match failure {
                Failure::Usage(_) | Failure::Told(_) => ExitCode::from(2),
                Failure::Runtime(_) | Failure::Broken => ExitCode::FAILURE,
            }
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve { config, ports_file } => {
            app::serve(&config.files, &config.sets, ports_file.as_deref())
        }
        Command::Config { command } => config_command(command),
        Command::Plugin { command } => plugin::run(command),
        Command::Token { command } => token_command(command),
        Command::Load(args) => load::run(&args),
        Command::Describe { config, format } => {
            print(&descriptions::describe(&load(&config)?, format.into())?)
        }
        Command::Publish(args) => services::publish(&load(&args.config)?.config.nats, &args),
        Command::Tail { config, count, patterns } => {
            services::tail(&load(&config)?.config.nats, &patterns, count)
        }
        Command::Doctor { config, json } => examine(&config, json),
        Command::Man { dir } => manual::write(dir.as_deref()),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "exedra", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
    }
}

/// Prints what the doctor finds; what a hub cannot live with is a failure.
fn examine(args: &ConfigArgs, json: bool) -> Result<(), Failure> {
    let findings = doctor::examine(&args.files, &args.sets);
    let worst = doctor::worst(&findings);
    if json {
        print_json(&serde_json::json!({ "ok": worst != Level::Fail, "checks": findings }))?;
    } else {
        let colours = telemetry::colours_of(&io::stdout());
        print(&findings.iter().map(|finding| line_of(finding, colours)).collect::<String>())?;
    }
    match findings.iter().filter(|finding| finding.level == Level::Fail).count() {
        0 => Ok(()),
        failed => Err(anyhow::anyhow!("{failed} of {} checks failed", findings.len()).into()),
    }
}

/// A finding for people. Names in it may come from anywhere.
fn line_of(finding: &Finding, colours: bool) -> String {
    let (word, colour) = match finding.level {
        Level::Ok => ("ok", "32"),
        Level::Warn => ("warn", "33"),
        Level::Fail => ("fail", "31"),
    };
    let clean = |text: &str| telemetry::clean(&text.replace('\n', " "));
    let word = if colours { format!("\x1b[1;{colour}m{word:4}\x1b[0m") } else { format!("{word:4}") };
    let mut line = format!("{word}  {:22}  {}\n", clean(&finding.check), clean(&finding.says));
    if let Some(hint) = finding.hint.as_deref().filter(|_| finding.level != Level::Ok) {
        line.push_str(&format!("      {:22}  hint: {}\n", "", clean(hint)));
    }
    line
}

fn config_command(command: ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { config } => {
            let (loaded, mut problems) = config::survey(&config.files, &config.sets);
            let Some(loaded) = loaded else { return Err(problems.into_sorted().into()) };
            let more = plugins::check_all(&loaded, &problems);
            problems.extend(more);
            if !problems.is_empty() {
                return Err(problems.into_sorted().into());
            }
            for warning in loaded.warnings() {
                say("warning", &warning, "33");
            }
            let names: Vec<_> = loaded.config.plugins.enabled().map(|(name, _)| name).collect();
            let plugins = if names.is_empty() { "no plugins".to_owned() } else { names.join(", ") };
            print(&format!("the configuration is fine ({plugins})\n"))
        }
        ConfigCommand::Show { config, origin } => print(&load(&config)?.show(origin)),
        ConfigCommand::Schema => print(&config::schema_text()),
        ConfigCommand::Defaults => print(&config::defaults_text()),
    }
}

fn token_command(command: TokenCommand) -> Result<(), Failure> {
    let wrong = |why: String| Failure::from(Problem::new("token", why));
    match command {
        TokenCommand::Mint { config, sub, name, email, claims, ttl } => {
            if sub.is_empty() {
                return Err(Problem::new("--sub", "a user's id cannot be empty").into());
            }
            let loaded = load(&config)?;
            let subject = Subject { id: sub, name, email, claims };
            let token = token::mint(&loaded.config.auth, &subject, ttl).map_err(wrong)?;
            print(&format!("{token}\n"))
        }
        TokenCommand::Check { config, token } => {
            let loaded = load(&config)?;
            let token = if token == "-" { read_stdin()? } else { token };
            let said = token::check(&loaded.config.auth, &token)
                .map_err(|why| anyhow::anyhow!("the token is not valid: {why}"))?;
            print_json(&said)
        }
    }
}

fn load(args: &ConfigArgs) -> Result<Loaded, Failure> {
    Ok(config::load(&args.files, &args.sets)?)
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().take(MAX_INPUT).read_to_string(&mut text).map_err(anyhow::Error::from)?;
    Ok(text)
}

/// Prints data. A reader that has gone has seen enough.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::from(error).into()),
        _ => Ok(()),
    }
}

fn print_json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value:#}\n"))
}

fn report(failure: &Failure) {
    match failure {
        Failure::Usage(problems) => {
            for problem in problems {
                say("error", &problem.to_string(), "31");
            }
            if problems.len() > 1 {
                say("error", &format!("{} problems", problems.len()), "31");
            }
        }
        // One line: what failed: why, from the outside in.
        Failure::Runtime(error) => say("error", &format!("{error:#}"), "31"),
        Failure::Told(words) => {
            let _ = io::stderr().write_all(words.as_bytes());
        }
        Failure::Broken => {}
    }
}

/// One message on stderr, its first word coloured on a terminal. Names in it may come from anywhere.
pub(crate) fn say(word: &str, text: &str, colour: &str) {
    let lines: Vec<_> = text.lines().map(telemetry::clean).collect();
    let text = lines.join("\n");
    let mut err = io::stderr().lock();
    let _ = if telemetry::colours() {
        writeln!(err, "\x1b[1;{colour}m{word}\x1b[0m: {text}")
    } else {
        writeln!(err, "{word}: {text}")
    };
}

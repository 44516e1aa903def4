//! `exedra load`: gives the load tester tokens made with the configured secret, and prints what it found.

use std::time::Duration;

use exedra_load::{LoadArgs, LoadError, Mint};
use serde_json::json;

use super::{Failure, print, print_json};
use crate::{
    config::{self, Problem},
    token::{self, Subject},
};

/// The longest run that makes sense; tokens must outlive it.
const TOKENS_LIVE: Duration = Duration::from_secs(24 * 3600);

pub(super) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let report = exedra_load::run(args, mint(args)?).map_err(|error| match error {
        LoadError::Usage(why) => Problem::new("load", why).into(),
        error => Failure::Runtime(anyhow::Error::new(error).context("load")),
    })?;
    if args.common().json {
        print_json(&json!(report))?
    } else {
        print(&report.to_string())?
    }
    let failed: Vec<_> = report.asserts.iter().filter(|judged| !judged.holds).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(anyhow::anyhow!("{} of the assertions do not hold: {first}", failed.len()).into()),
    }
}

/// Each client is a user of its own, unless the arguments say who they all are.
fn mint(args: &LoadArgs) -> Result<Option<Mint>, Failure> {
    let common = args.common();
    if common.anonymous || common.token.is_some() {
        return Ok(None);
    }
    let auth = config::load(&common.files, &common.sets)?.config.auth;
    Ok(Some(Box::new(move |user| {
        token::mint(&auth, &Subject { id: user.to_owned(), ..Subject::default() }, TOKENS_LIVE)
    })))
}

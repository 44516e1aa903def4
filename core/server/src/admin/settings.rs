//! The settings in force, each with where it came from; secrets are not among them. What a reload has read and
//! cannot take over waits for a restart, and is named.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Admin;
use crate::config::{Loaded, Setting};

/// The settings, for operators.
#[derive(Debug)]
pub struct Settings {
    list: Vec<Setting>,
    waiting: Vec<String>,
    failed: Vec<String>,
}

impl Settings {
    /// What the hub was started with.
    pub fn of(loaded: &Loaded) -> Self {
        Self { list: loaded.settings(), waiting: Vec::new(), failed: Vec::new() }
    }

    /// Takes over what a reload changes, and keeps the names of what waits, and what went wrong.
    pub fn reloaded(
        &mut self,
        loaded: &Loaded,
        is_live: &dyn Fn(&str) -> bool,
        waiting: &[String],
        failed: Vec<String>,
    ) {
        self.waiting = waiting.to_vec();
        self.failed = failed;
        let new = loaded.settings();
        let is_new = |key: &str| new.iter().any(|setting| setting.key == key);
        self.list.retain(|old| is_new(&old.key) || !is_live(&old.key));
        for setting in new.into_iter().filter(|setting| is_live(&setting.key)) {
            match self.list.iter_mut().find(|old| old.key == setting.key) {
                Some(old) => *old = setting,
                None => self.list.push(setting),
            }
        }
    }

    /// What the configuration asks for and is not so: keys that need a restart, and plugins that stay as they were.
    pub(super) fn unmet(&self) -> (&[String], &[String]) {
        (&self.waiting, &self.failed)
    }

    /// Whether a setting has a value.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.list.iter().any(|setting| setting.key == key && (setting.value.is_some() || setting.secret))
    }

    /// A setting's value as TOML.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.list.iter().find(|setting| setting.key == key)?.value.as_deref()
    }

    /// Those that begin with a prefix, named without it.
    pub(super) fn under(&self, prefix: &str) -> Vec<Setting> {
        let each = self.list.iter().filter_map(|setting| {
            let key = setting.key.strip_prefix(prefix)?.to_owned();
            Some(Setting { key, ..setting.clone() })
        });
        each.collect()
    }
}

/// All settings.
pub(super) async fn show(State(admin): State<Arc<Admin>>) -> Json<Value> {
    let settings = admin.settings.read();
    Json(json!({ "settings": settings.list, "waiting": settings.waiting, "failed": settings.failed }))
}

//! The first words with a plugin: is its entry sound, do both sides speak the same version, does the hub have what
//! it needs, and what does it say about itself. No instance exists yet.
#![expect(unsafe_code, reason = "reads the plugin's tables and calls `describe`")]

use std::mem::size_of;

use exedra_abi::{ABI_MAJOR, ABI_MINOR, Entry, RawResult, Slice, Status};
use exedra_hub::manifest::Manifest;
use serde_json::Value;

use crate::{LoadError, answer, dispatch, ops};

/// The most extensions that a plugin may require.
const MAX_REQUIRED: usize = 64;
/// Bytes of a plugin's name.
const MAX_ID: usize = 32;

/// A plugin that may be described and created.
#[derive(Debug, Clone)]
pub(crate) struct Contract {
    pub(crate) entry: &'static Entry,
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) sdk: String,
}

impl Contract {
    /// The ABI that it is built for, `major.minor`.
    pub(crate) fn abi(&self) -> String {
        format!("{}.{}", self.entry.abi_major, self.entry.abi_minor)
    }
}

/// Checks an entry. `shown` names the plugin in messages.
pub(crate) fn negotiate(entry: *const Entry, shown: &str) -> Result<Contract, LoadError> {
    let plugin = || shown.to_owned();
    let bad = |rule| LoadError::BadEntry { plugin: shown.to_owned(), rule };
    if entry.is_null() || !entry.is_aligned() {
        return Err(bad("the entry has no sound address"));
    }
    // SAFETY: the exported object starts with its size; a static one is a reference anyway.
    let size = unsafe { entry.cast::<u32>().read() } as usize;
    if !(size_of::<Entry>()..=4096).contains(&size) {
        return Err(bad("struct_size is not that of an exedra_entry"));
    }
    // SAFETY: it says that it is large enough, and libraries are never closed.
    let entry: &'static Entry = unsafe { &*entry };
    if entry.abi_major != ABI_MAJOR {
        return Err(LoadError::AbiMajor { plugin: plugin(), found: entry.abi_major, wanted: ABI_MAJOR });
    }
    if entry.min_host_minor > ABI_MINOR {
        return Err(LoadError::TooNew { plugin: plugin(), needs: entry.min_host_minor, has: ABI_MINOR });
    }
    if entry.reserved != 0 || entry.flags != 0 {
        return Err(bad("reserved and flags must be zero"));
    }
    if entry.describe.is_none() || entry.create.is_none() {
        return Err(bad("describe and create must be set"));
    }
    let id =
        text(entry.id, MAX_ID).filter(|id| well_formed(id)).ok_or_else(|| bad("id must be a-z 0-9 -"))?;
    let version = text(entry.version, 64).ok_or_else(|| bad("version must be short UTF-8"))?;
    let sdk = text(entry.sdk, 128).ok_or_else(|| bad("sdk must be short UTF-8"))?;
    let missing = missing_extensions(entry).ok_or_else(|| bad("required_extensions cannot be read"))?;
    if !missing.is_empty() {
        return Err(LoadError::MissingExtension { plugin: plugin(), missing });
    }
    Ok(Contract { entry, id, version, sdk })
}

/// A plugin's name: the NAME of `[plugins.NAME]`, part of subjects, metrics and store buckets.
fn well_formed(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn text(slice: Slice, limit: usize) -> Option<String> {
    if slice.len > limit || (slice.len > 0 && slice.ptr.is_null()) {
        return None;
    }
    // SAFETY: static text of the plugin, checked for an address and a sane length.
    std::str::from_utf8(unsafe { slice.bytes() }).ok().map(str::to_owned)
}

fn missing_extensions(entry: &Entry) -> Option<Vec<String>> {
    if entry.n_required_extensions > MAX_REQUIRED {
        return None;
    }
    // SAFETY: a static list of the plugin, checked for a sane length.
    let required = unsafe { answer::slices(entry.required_extensions, entry.n_required_extensions) }.ok()?;
    let names: Option<Vec<String>> = required.iter().map(|s| text(*s, 128)).collect();
    Some(names?.into_iter().filter(|name| ops::table(name).is_null()).collect())
}

impl Contract {
    /// The manifest for these settings, with the plugin's name and version checked.
    pub(crate) fn describe(&self, settings: &Value) -> Result<Manifest, LoadError> {
        let plugin = self.id.clone();
        let settings = settings_text(settings);
        let mut out = RawResult::EMPTY;
        let Some(describe) = self.entry.describe else {
            return Err(LoadError::BadEntry { plugin, rule: "describe must be set" });
        };
        // SAFETY: the settings outlive the call, `out` is ours.
        let status = unsafe { describe(Slice::text(&settings), &raw mut out) };
        // SAFETY: the plugin filled it, and it is taken once.
        let answer = unsafe { answer::take_filled(&out) }.map_err(|_| LoadError::BadEntry {
            plugin: plugin.clone(),
            rule: "describe gave a damaged result",
        })?;
        match status {
            Status::OK => {}
            Status::PANICKED => {
                return Err(LoadError::DescribePanicked { plugin, message: said(&answer.meta, status) });
            }
            _ => return Err(LoadError::Describe { plugin, message: said(&answer.meta, status) }),
        }
        let manifest: Manifest = serde_json::from_slice(&answer.payload)
            .map_err(|source| LoadError::Manifest { plugin: plugin.clone(), source })?;
        if manifest.name != self.id {
            return Err(LoadError::NameDiffers { configured: plugin, found: manifest.name });
        }
        Ok(manifest)
    }
}

/// Settings as the plugin reads them; none are an empty object.
pub(crate) fn settings_text(settings: &Value) -> String {
    if settings.is_null() { "{}".to_owned() } else { settings.to_string() }
}

/// What a failed `describe` or `create` says, for the operator.
pub(crate) fn said(meta: &[u8], status: Status) -> String {
    dispatch::Said::parse(meta)
        .message
        .unwrap_or_else(|| format!("it gave status {} and no reason", status.0))
}

/// Checks the settings against the manifest's JSON Schema.
pub(crate) fn check_settings(manifest: &Manifest, settings: &Value) -> Result<(), LoadError> {
    /// More would hide the first ones.
    const SHOWN: usize = 8;
    let Some(schema) = &manifest.settings else { return Ok(()) };
    let plugin = manifest.name.clone();
    let validator = jsonschema::validator_for(schema)
        .map_err(|e| LoadError::SettingsSchema { plugin: plugin.clone(), reason: e.to_string() })?;
    let none = Value::Object(serde_json::Map::new());
    let settings = if settings.is_null() { &none } else { settings };
    let problems: Vec<String> = validator.iter_errors(settings).take(SHOWN).map(|e| problem(&e)).collect();
    if problems.is_empty() { Ok(()) } else { Err(LoadError::Settings { plugin, problems }) }
}

/// One problem. Values are masked: a setting may be a secret.
fn problem(error: &jsonschema::ValidationError<'_>) -> String {
    match error.instance_path().to_string() {
        path if path.is_empty() => error.masked().to_string(),
        path => format!("{path}: {}", error.masked()),
    }
}

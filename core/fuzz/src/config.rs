//! Configuration files. The input is one, whole.

use exedra::config::{Problem, load_text};
use toml::Value;

/// Shorter secrets may stand in any text by chance.
const LONG_ENOUGH: usize = 12;
/// Words in keys whose values nobody is to see.
const SECRET: [&str; 4] = ["secret", "token", "password", "api_key"];

/// A configuration is refused with reasons or accepted; neither says a secret, nor does what is printed of it.
///
/// # Panics
/// When that does not hold.
pub fn config(text: &str) {
    let said = match load_text("fuzz.toml", text) {
        Ok(loaded) => {
            assert_eq!(loaded.changed_keys(&loaded), Vec::<String>::new());
            let shown = loaded.show(false);
            if let Err(error) = shown.parse::<toml::Table>() {
                panic!("what is shown is no TOML: {error}\n{shown}");
            }
            format!("{shown}{}{:?}{loaded:?}", loaded.show(true), loaded.config)
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            problems.iter().map(|problem: &Problem| format!("{problem}{problem:?}")).collect()
        }
    };
    let mut secrets = Vec::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        find(&Value::Table(table), false, &mut secrets);
    }
    for secret in secrets {
        // One that is also a name or another value may be seen in that place.
        let single = text.matches(secret.as_str()).count() == 1;
        assert!(!(single && said.contains(&secret)), "the secret {secret:?} is told: {said}");
    }
}

/// Gathers the texts under keys with a telling name, and the passwords in addresses.
fn find(value: &Value, secret: bool, found: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let key = key.to_ascii_lowercase();
                let telling = !key.ends_with("_file") && SECRET.iter().any(|word| key.contains(word));
                find(value, secret || telling, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| find(value, secret, found)),
        Value::String(text) if secret && text.len() >= LONG_ENOUGH => found.push(text.clone()),
        Value::String(text) if !secret => found.extend(password(text)),
        _ => {}
    }
}

/// What stands before the @ of an address in its plainest form.
fn password(address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let (userinfo, host) = rest.split_once('@')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    let (_, password) = userinfo.split_once(':')?;
    (plain(&userinfo.replace(':', "")) && plain(host) && password.len() >= LONG_ENOUGH)
        .then(|| password.to_owned())
}

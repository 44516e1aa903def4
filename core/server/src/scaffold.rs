//! `exedra plugin new`: the example plugins as projects of their own. The examples are the templates, taken in as they
//! are when the hub is built; a name and the places of the SDK and the headers are all that changes. Nothing is written
//! over what is there.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// The longest name of a plugin, as in the configuration.
const MAX_NAME: usize = 32;

/// Crates and targets that a project cannot be named after, beside the keywords of the language.
const TAKEN: [&str; 14] = [
    "alloc",
    "bench",
    "build",
    "core",
    "deps",
    "exedra-sdk",
    "examples",
    "incremental",
    "proc-macro",
    "schemars",
    "serde",
    "serde-json",
    "std",
    "test",
];
const KEYWORDS: &str = " abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static struct \
    super tokio trait true try type typeof unsafe unsized use virtual where while yield ";

/// A file of an example, by its path in the project.
type Template = (&'static str, &'static str);

const RUST: &[Template] = &[
    (".gitignore", include_str!("../../../examples/plugin-rust/.gitignore")),
    ("Cargo.toml", include_str!("../../../examples/plugin-rust/Cargo.toml")),
    ("README.md", include_str!("../../../examples/plugin-rust/README.md")),
    ("plugin.toml", include_str!("../../../examples/plugin-rust/plugin.toml")),
    ("src/lib.rs", include_str!("../../../examples/plugin-rust/src/lib.rs")),
];

const C: &[Template] = &[
    (".gitignore", include_str!("../../../examples/plugin-c/.gitignore")),
    ("Makefile", include_str!("../../../examples/plugin-c/Makefile")),
    ("README.md", include_str!("../../../examples/plugin-c/README.md")),
    ("plugin.toml", include_str!("../../../examples/plugin-c/plugin.toml")),
    ("quick_poll.c", include_str!("../../../examples/plugin-c/quick_poll.c")),
    ("test.c", include_str!("../../../examples/plugin-c/test.c")),
];

/// The headers go with the project: it builds where there is no checkout.
const HEADERS: &[Template] = &[
    ("include/exedra.h", include_str!("../../abi/include/exedra.h")),
    ("include/exedra_text.h", include_str!("../../abi/include/exedra_text.h")),
];

/// What the examples are called, in the three ways in which a name is written.
const NAME: &str = "quick-poll";
const SNAKE: &str = "quick_poll";
const PASCAL: &str = "QuickPoll";
/// Where the examples find the rest of the repository.
const SDK: &str = r#"path = "../../core/sdk""#;
const INCLUDE: &str = "../../core/abi/include";

/// The end of a project's `Cargo.toml`: it belongs to no workspace that it may lie in.
const ALONE: &str = "\n[workspace]\n";

/// A plugin's name that can also name a crate, a file and a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let word = |word: &str| !word.is_empty() && word.chars().all(plain);
        if !text.split('-').all(word) || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(
                "a new plugin's name has words of a-z and 0-9 with one hyphen between them, and begins \
                        with a letter, like my-plugin"
                    .to_owned(),
            );
        }
        if text.len() > MAX_NAME {
            return Err(format!("a plugin's name has {MAX_NAME} characters at most"));
        }
        if TAKEN.contains(&text) || KEYWORDS.contains(&format!(" {text} ")) {
            return Err(format!("no crate can be called {text}; take another name, like my-{text}"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn snake(&self) -> String {
        self.0.replace('-', "_")
    }

    /// As a type in this source; a name that the source needs for something else gets one more word.
    fn pascal(&self, source: &str) -> String {
        let upper = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        let name: String = self.0.split('-').map(upper).collect();
        let mut words = source.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.any(|word| word == name && word != PASCAL) { name + "Plugin" } else { name }
    }
}

/// Where a project's SDK comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// `core/sdk` of a checkout.
    Folder(String),
    /// The registry, in the version of this program.
    Registry,
}

/// What a project is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Language {
    /// Rust, with this SDK.
    Rust(Sdk),
    /// C; the headers are copied.
    C,
}

/// Finds the SDK: in the folder that was named, or in the checkout that this program or the working directory is in.
///
/// # Errors
/// Why the folder is none.
pub fn sdk(named: Option<&Path>) -> Result<Sdk, String> {
    if let Some(folder) = named {
        return sdk_in(folder).map(Sdk::Folder).ok_or_else(|| {
            format!("{} is not the folder of exedra-sdk (core/sdk of a checkout)", folder.display())
        });
    }
    let places = [env::current_dir().ok(), env::current_exe().ok()];
    let checkout = |place: PathBuf| place.ancestors().find_map(|folder| sdk_in(&folder.join("core/sdk")));
    Ok(places.into_iter().flatten().find_map(checkout).map_or(Sdk::Registry, Sdk::Folder))
}

fn sdk_in(folder: &Path) -> Option<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let is_sdk = manifest.lines().any(|line| line.trim() == r#"name = "exedra-sdk""#);
    let path = fs::canonicalize(folder).ok().filter(|_| is_sdk)?;
    path.to_str().map(str::to_owned)
}

/// A project that is to be made.
#[derive(Debug, Clone)]
pub struct Project {
    /// The plugin's name.
    pub name: Name,
    /// Its language.
    pub language: Language,
}

impl Project {
    /// The files, by their paths in the project.
    pub fn files(&self) -> Vec<(String, String)> {
        let (templates, headers) = match self.language {
            Language::Rust(_) => (RUST, &[][..]),
            Language::C => (C, HEADERS),
        };
        let headers = headers.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        let named = templates.iter().map(|(path, text)| (self.named(path, path), self.filled(path, text)));
        named.chain(headers).collect()
    }

    fn filled(&self, path: &str, text: &str) -> String {
        let mut text = self.named(text, text);
        match (&self.language, path) {
            (Language::Rust(sdk), "Cargo.toml") => {
                text = text.replace(SDK, &dependency(sdk));
                text.push_str(ALONE);
            }
            (Language::C, "Makefile") => text = text.replace(INCLUDE, "include"),
            _ => {}
        }
        text
    }

    fn named(&self, text: &str, source: &str) -> String {
        text.replace(NAME, self.name.as_str())
            .replace(SNAKE, &self.name.snake())
            .replace(PASCAL, &self.name.pascal(source))
    }

    /// Writes the project into a folder that must not exist. What could not be finished is taken away again.
    ///
    /// # Errors
    /// What could not be written, or that there is something already.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                bail!("{} exists already; nothing was changed", dir.display())
            }
            made => made.with_context(|| format!("the folder {} cannot be made", dir.display()))?,
        }
        for (path, text) in self.files() {
            let path = dir.join(path);
            let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
            if let Err(error) = folder.and_then(|()| fs::write(&path, text)) {
                let _ = fs::remove_dir_all(dir); // made by us, a moment ago
                return Err(error).with_context(|| format!("{} cannot be written", path.display()));
            }
        }
        Ok(())
    }

    /// What to do with the project, for whoever asked for it.
    pub fn next_steps(&self, dir: &Path) -> String {
        let (name, snake) = (self.name.as_str(), self.name.snake());
        let (build, test, library) = match self.language {
            Language::Rust(_) => {
                ("cargo build --release", "cargo test", format!("target/release/lib{snake}.so"))
            }
            Language::C => ("make", "make test", format!("lib{snake}.so")),
        };
        let mut text = format!(
            "{name} is in {}\n\n  cd {}\n  {build}\n  {test}\n  exedra plugin check {library} -c plugin.toml\n  \
             exedra serve -c plugin.toml\n",
            dir.display(),
            dir.display(),
        );
        if self.language == Language::Rust(Sdk::Registry) {
            text.push_str(
                "\nexedra-sdk comes from the registry; --sdk takes it from core/sdk of a checkout.\n",
            );
        }
        text
    }
}

/// What stands between the braces of the dependency on the SDK.
fn dependency(sdk: &Sdk) -> String {
    match sdk {
        Sdk::Folder(path) => format!("path = {}", toml::Value::from(path.as_str())),
        Sdk::Registry => format!("version = \"{}\"", crate::VERSION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str, language: Language) -> Project {
        Project { name: Name::parse(name).unwrap(), language }
    }

    fn example(folder: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(folder)
    }

    /// Everything in a folder that is not built.
    fn listed(folder: &Path, into: &mut Vec<String>, root: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "target" && name != "var" {
                listed(&path, into, root);
            } else if path.is_file() && !name.ends_with(".so") {
                into.push(name);
            }
        }
    }

    #[test]
    fn templates_are_the_examples() {
        let sdk = Sdk::Folder("../../core/sdk".into());
        for (folder, language) in [("plugin-rust", Language::Rust(sdk)), ("plugin-c", Language::C)] {
            let (root, files) = (example(folder), project(NAME, language).files());
            let mut there = Vec::new();
            listed(&root, &mut there, &root);
            let mut here: Vec<_> = files
                .iter()
                .map(|(path, _)| path.clone())
                .filter(|path| !path.starts_with("include/"))
                .collect();
            there.sort();
            here.sort();
            assert_eq!(here, there, "{folder}");
            for (path, text) in files.iter().filter(|(path, _)| !path.starts_with("include/")) {
                let text = match path.as_str() {
                    "Cargo.toml" => text.strip_suffix(ALONE).unwrap().to_owned(),
                    "Makefile" => text.replace("INCLUDE ?= include", &format!("INCLUDE ?= {INCLUDE}")),
                    _ => text.clone(),
                };
                assert_eq!(text, fs::read_to_string(root.join(path)).unwrap(), "{folder}/{path}");
            }
        }
    }

    #[test]
    fn nothing_of_the_example_stays() {
        for language in [Language::Rust(Sdk::Registry), Language::C] {
            for (path, text) in project("my-plugin", language).files() {
                for old in [NAME, SNAKE, PASCAL, "../.."] {
                    assert!(!path.contains(old) && !text.contains(old), "{path}: {old}");
                }
            }
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let long = "a".repeat(33);
        for name in [
            "",
            "-",
            "a-",
            "-a",
            "a--b",
            "../a",
            "a/b",
            "/tmp/a",
            ".",
            "..",
            "A",
            "a b",
            "a\nb",
            "a\0",
            "a\"",
            "7a",
            "ä",
            "a_b",
            "fn",
            "self",
            "test",
            "serde-json",
            &long,
        ] {
            assert!(Name::parse(name).is_err(), "{name:?}");
        }
        for name in ["a", "my-plugin", "a1-2b", &long[..32]] {
            assert_eq!(Name::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn types_do_not_meet_others() {
        let pascal = |name: &str| Name::parse(name).unwrap().pascal("struct QuickPoll { hub: Hub }");
        assert_eq!(pascal("my-plugin"), "MyPlugin");
        assert_eq!(pascal("hub"), "HubPlugin");
        assert_eq!(pascal("quick-poll"), "QuickPoll");
    }

    #[test]
    fn what_exists_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("p");
        project("p", Language::C).write(&target).unwrap();
        let before = fs::read_to_string(target.join("p.c")).unwrap();
        fs::write(target.join("p.c"), "mine").unwrap();
        let error = project("p", Language::C).write(&target).unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
        assert_eq!(fs::read_to_string(target.join("p.c")).unwrap(), "mine");
        assert!(before.contains("\"p\"") && target.join("include/exedra.h").is_file());
        std::os::unix::fs::symlink(dir.path().join("nowhere"), dir.path().join("link")).unwrap();
        assert!(project("p", Language::C).write(&dir.path().join("link")).is_err());
    }

    #[test]
    fn sdk_is_a_checkout_s() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk");
        let Ok(Sdk::Folder(path)) = sdk(Some(&folder)) else { panic!("not found") };
        assert!(Path::new(&path).is_absolute());
        assert!(sdk(Some(Path::new(env!("CARGO_MANIFEST_DIR")))).is_err());
        assert!(matches!(sdk(None), Ok(Sdk::Folder(_))), "the tests run in a checkout");
        assert_eq!(dependency(&Sdk::Folder("/a \"b\"".into())), r#"path = '/a "b"'"#);
    }
}

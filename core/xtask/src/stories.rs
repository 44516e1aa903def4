//! The end-to-end test files: each is a step of its own, found on disk, and says in its opening comment what it
//! tells and which tools it needs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::tools::Tool;

/// How a file of tests is called.
const SUFFIX: &str = ".test.mjs";
/// A file that reads this has a long form.
const LONG_FORM: &str = "EXEDRA_SOAK";
/// The line of the opening comment that names tools: `// Needs: Nats, Python.`
const NEEDS: &str = "Needs: ";

/// One file of Node tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Story {
    /// The step's name, from the file's: `e2e-clients`.
    pub(crate) name: String,
    /// The first words of the opening comment.
    pub(crate) about: String,
    /// Tools beside Node; all of them when the file does not say.
    pub(crate) needs: Vec<Tool>,
    /// Whether there is a long form.
    pub(crate) long: bool,
    /// The file's own name.
    pub(crate) file: String,
}

/// All stories of a folder, in the order of their names.
pub(crate) fn find(folder: &Path) -> Result<Vec<Story>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut stories = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.ends_with(SUFFIX) {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
            stories.push(Story::read(name, &text).with_context(|| format!("in {name}"))?);
        }
    }
    stories.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(stories)
}

impl Story {
    fn read(file: &str, text: &str) -> Result<Self> {
        let opening: Vec<_> = text.lines().map_while(|line| line.strip_prefix("//")).map(str::trim).collect();
        let first = opening.first().copied().unwrap_or_default();
        let named = opening.iter().find_map(|line| line.strip_prefix(NEEDS));
        let mut needs = match named {
            Some(line) => line.trim_end_matches('.').split(", ").map(tool).collect::<Result<Vec<_>>>()?,
            None => Tool::ALL.to_vec(),
        };
        if !needs.contains(&Tool::Node) {
            needs.push(Tool::Node);
        }
        Ok(Self {
            name: format!("e2e-{}", file.trim_end_matches(SUFFIX)),
            about: first_words(first).to_owned(),
            needs,
            long: text.contains(LONG_FORM),
            file: file.to_owned(),
        })
    }
}

/// Up to the first pause: short enough for a list of steps.
fn first_words(line: &str) -> &str {
    let end = [": ", ", ", ". "].iter().filter_map(|pause| line.find(pause)).min();
    end.map_or(line.trim_end_matches(['.', ':', ',']), |end| &line[..end])
}

fn tool(name: &str) -> Result<Tool> {
    match Tool::ALL.into_iter().find(|tool| format!("{tool:?}") == name) {
        Some(tool) => Ok(tool),
        None => bail!("no tool is called {name}; there are {:?}", Tool::ALL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_comment_read() {
        let text =
            "// Two tabs: they meet.\n// Needs: Chromium, Nats.\n\nimport x;\nprocess.env.EXEDRA_SOAK;\n";
        let story = Story::read("tabs.test.mjs", text).unwrap();
        assert_eq!((story.name.as_str(), story.about.as_str(), story.long), ("e2e-tabs", "Two tabs", true));
        assert_eq!(story.needs, [Tool::Chromium, Tool::Nats, Tool::Node]);
    }

    #[test]
    fn first_words_end_at_a_pause() {
        assert_eq!(first_words("5,000 events, in order"), "5,000 events");
        assert_eq!(first_words("Bad input gets an answer."), "Bad input gets an answer");
    }

    #[test]
    fn silent_file_needs_all() {
        let story = Story::read("x.test.mjs", "import x;\n").unwrap();
        assert_eq!(story.needs, Tool::ALL);
        assert!(!story.long);
    }

    #[test]
    fn unknown_tool_refused() {
        let error = Story::read("x.test.mjs", "// X.\n// Needs: Teapot.\n").unwrap_err();
        assert!(error.to_string().starts_with("no tool is called Teapot"), "{error}");
    }

    #[test]
    fn all_files_of_this_tree_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/e2e");
        let stories = find(&folder).unwrap();
        assert!(stories.iter().any(|story| story.name == "e2e-clients"));
        assert!(stories.iter().all(|story| !story.about.is_empty()));
    }
}

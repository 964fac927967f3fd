//! Checks of the documentation: links lead somewhere, commands parse, specs are valid.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;
use portkeep_spec::Spec;
use serde_json::{Value, json};

use crate::cli::Cli;

/// A Markdown page.
struct Page {
    path: PathBuf,
    text: String,
}

/// A block of code: its language and its text.
type Block = (String, String);

impl Page {
    fn prose(&self) -> String {
        self.parts().0
    }

    fn blocks(&self, language: &str) -> Vec<String> {
        let blocks = self.parts().1.into_iter();
        blocks
            .filter(|(name, _)| name == language)
            .map(|(_, text)| text)
            .collect()
    }

    fn parts(&self) -> (String, Vec<Block>) {
        let mut prose = String::new();
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for line in self.text.lines() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(language), None) => open = Some((language.to_owned(), String::new())),
                (None, Some((_, text))) => *text += &format!("{line}\n"),
                (None, None) => prose += &format!("{line}\n"),
            }
        }
        (prose, blocks)
    }

    /// The anchors of all headings, in the form that forges give them.
    fn anchors(&self) -> BTreeSet<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| {
                let heading = line.trim_start_matches('#').trim().to_lowercase();
                heading
                    .chars()
                    .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                    .map(|c| if c == ' ' { '-' } else { c })
                    .collect()
            })
            .collect()
    }

    fn name(&self) -> String {
        let path = self.path.strip_prefix(root()).unwrap_or(&self.path);
        path.display().to_string()
    }
}

fn root() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

fn find(below: &Path, found: &mut Vec<Page>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_ours = !name.starts_with('.') && name != "target" && name != "node_modules";
        if path.is_symlink() || !is_ours {
            continue;
        }
        if path.is_dir() {
            find(&path, found);
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).unwrap();
            found.push(Page { path, text });
        }
    }
}

fn pages() -> Vec<Page> {
    let mut found = Vec::new();
    find(&root(), &mut found);
    assert!(found.len() > 30, "only {} pages were found", found.len());
    found
}

/// The targets of all links: the text between `](` and `)`.
fn links(prose: &str) -> Vec<&str> {
    let begins = prose.split("](").skip(1);
    begins
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .collect()
}

#[test]
fn every_link_leads_to_a_file_and_its_heading() {
    let pages = pages();
    let mut wrong = Vec::new();
    for page in &pages {
        for link in links(&page.prose()) {
            let is_elsewhere = link.contains("://") || link.starts_with("crate::");
            // rustdoc resolves this link.
            let is_item = link.contains("::") || link.starts_with("fn@");
            if is_elsewhere || is_item {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.path.clone(),
                path => page.path.with_file_name("").join(path),
            };
            let Ok(target) = fs::canonicalize(&target) else {
                wrong.push(format!("{}: {link}: there is no such file", page.name()));
                continue;
            };
            let other = pages.iter().find(|one| one.path == target);
            if let (false, Some(other)) = (anchor.is_empty(), other)
                && !other.anchors().contains(anchor)
            {
                wrong.push(format!("{}: {link}: there is no such heading", page.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The `portkeep` commands in a line of shell.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split("  #").next().unwrap_or_default();
    let commands = line.split(" && ").map(|one| shlex::split(one).unwrap());
    let ours = commands.filter_map(|words| {
        let words: Vec<_> = words
            .into_iter()
            .skip_while(|word| word == "sudo")
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let (["portkeep", arguments @ ..]
        | ["cargo", "portkeep", arguments @ ..]
        | ["cargo", "run", "--", arguments @ ..]) = words.as_slice()
        else {
            return None;
        };
        let command = ["portkeep"].iter().chain(arguments);
        Some(command.map(ToString::to_string).collect())
    });
    ours.collect()
}

const HELP: [ErrorKind; 2] = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];

/// Errors of a command without arguments, which the text only mentions.
const NAMED: [ErrorKind; 3] = [
    ErrorKind::DisplayHelp,
    ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ErrorKind::MissingRequiredArgument,
];

/// Counts the commands of a line, and reports invalid ones.
fn expect_commands(
    page: &Page,
    line: &str,
    allowed: &[ErrorKind],
    wrong: &mut Vec<String>,
) -> usize {
    let commands = commands(line);
    for command in &commands {
        let parsed = Cli::try_parse_from(command);
        if let Err(error) = parsed
            && !allowed.contains(&error.kind())
        {
            wrong.push(format!("{}: `{line}`: {error}", page.name()));
        }
    }
    commands.len()
}

/// A command of a sentence, with a value in place of each word in capitals.
fn filled_in(code: &str) -> String {
    let words = code.split(' ').map(|word| match word {
        "ADDR" => "127.0.0.1:8080",
        "URL" => "http://127.0.0.1/",
        "TIME" => "10s",
        "N" => "2",
        word if word.chars().all(|c| c.is_ascii_uppercase()) => "hello",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_is_one() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in pages() {
        for block in page.blocks("console") {
            for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
                count += expect_commands(&page, line, &HELP, &mut wrong);
            }
        }
        // A sentence may mention a command without arguments. Words in capitals are placeholders.
        for code in page.prose().split('`').skip(1).step_by(2) {
            let is_whole = code.starts_with("portkeep ")
                && !code.starts_with("portkeep =")
                && !code.contains(['[', '…', '\n', '|']);
            if is_whole {
                count += expect_commands(&page, &filled_in(code), &NAMED, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 50, "only {count} commands were found");
}

#[test]
fn every_spec_is_one() {
    let mut count = 0;
    for page in pages() {
        for block in page.blocks("json") {
            // A block may hold a whole spec, a part of one, or other JSON.
            let is_whole = block.trim_start().starts_with('{');
            let text = if is_whole {
                block.clone()
            } else {
                format!("{{{block}}}")
            };
            let read: Result<Value, _> = serde_json::from_str(&text);
            let read = read.unwrap_or_else(|error| panic!("{}: {error}\n{block}", page.name()));
            if is_whole && read.get("exec").is_none() {
                continue;
            }
            let mut spec = json!({
                "name": "hello",
                "exec": ["/srv/hello"],
                "listen": [{ "stream": "127.0.0.1:8080" }],
            });
            let fields = read.as_object().unwrap().clone();
            spec.as_object_mut().unwrap().extend(fields);
            if let Err(error) = Spec::from_json(&spec.to_string()) {
                panic!("{}: {error}\n{block}", page.name());
            }
            count += 1;
        }
    }
    assert!(count > 5, "only {count} specs were found");
}

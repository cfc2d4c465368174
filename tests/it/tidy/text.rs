//! What may not stand in any file: more lines than a reader keeps in mind, a path of somebody's machine, the address
//! of a registry, a mark of unfinished work.

use std::env;

use super::{assert_none, root, tree};

/// The most lines of a file that people write.
const LINES_MAX: usize = 800;
/// Files that a program writes.
const GENERATED: &[&str] = &["web-console/app/api/schema.d.ts"];
/// Files in which a package tool itself names its registry; their content is checked by
/// [`lock_files_name_the_public_registry_alone`].
const LOCK_FILES: &[&str] = &["Cargo.lock", "web-console/package-lock.json"];

fn is_too_long(path: &str, text: &str) -> bool {
    let is_code = [".rs", ".ts", ".tsx"].iter().any(|ending| path.ends_with(ending));
    is_code && !GENERATED.contains(&path) && text.lines().count() > LINES_MAX
}

#[test]
fn files_are_short() {
    let long: Vec<String> = tree()
        .into_iter()
        .filter(|file| file.text.as_deref().is_some_and(|text| is_too_long(&file.path, text)))
        .map(|file| file.path)
        .collect();
    assert_none(&format!("files of more than {LINES_MAX} lines"), &long);
    let at_most = "line\n".repeat(LINES_MAX);
    assert!(!is_too_long("a/b.rs", &at_most));
    assert!(is_too_long("a/b.rs", &format!("{at_most}line")));
    assert!(is_too_long("a/b.tsx", &format!("{at_most}line")));
    assert!(!is_too_long("a/b.md", &format!("{at_most}line")));
}

/// Built from parts, so that this file holds none of them.
fn joined(parts: &[&[&str]]) -> Vec<String> {
    parts.iter().map(|parts| parts.concat()).collect()
}

/// The beginnings of paths that are somebody's own.
fn machine_paths() -> Vec<String> {
    let mut paths = joined(&[
        &["/ho", "me/"],
        &["/ro", "ot/"],
        &["/Us", "ers/"],
        &["/wo", "rk/"],
        &["/tm", "p/"],
        &["C:", "\\"],
    ]);
    paths.extend(env::var("HOME").ok().filter(|home| home.len() > 1));
    paths.extend(root().to_str().map(str::to_owned));
    paths
}

/// Hosts that serve packages, and those that this machine was told to take packages from.
fn registry_hosts() -> Vec<String> {
    let mut hosts = joined(&[
        &["crates", ".io"],
        &["npm", "js.org"],
        &["npm", "js.com"],
        &["npm", "mirror.com"],
        &["py", "pi.org"],
        &["pythonhosted", ".org"],
        &["proxy.go", "lang.org"],
        &["rs", "proxy.cn"],
    ]);
    for (name, value) in env::vars() {
        let name = name.to_ascii_uppercase();
        if ["REGISTRY", "INDEX", "PROXY"].iter().any(|part| name.contains(part)) {
            hosts.extend(host(&value).map(str::to_owned));
        }
    }
    hosts
}

/// The host of a URL; none for this machine's own names, which any text may hold.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    (host.contains('.') && host != "127.0.0.1" && host != "0.0.0.0").then_some(host)
}

fn unfinished() -> Vec<String> {
    joined(&[
        &["TO", "DO"],
        &["FIX", "ME"],
        &["XX", "X"],
        &["HA", "CK"],
        &["to", "do!("],
        &["unimpl", "emented!("],
        &["db", "g!("],
        &["#[ig", "nore"],
    ])
}

/// The lines in which one of `words` stands by itself: not within a longer word or a longer path.
fn hits(path: &str, text: &str, words: &[String]) -> Vec<String> {
    let is_part = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-' | '/' | '.');
    let stands = |line: &str, word: &str| {
        line.match_indices(word).any(|(at, _)| {
            let begins = !line[..at].chars().next_back().is_some_and(is_part);
            let next = line[at + word.len()..].chars().next();
            let ends = !word.ends_with(char::is_alphanumeric)
                || !next.is_some_and(|it| it.is_alphanumeric() || it == '_');
            begins && ends
        })
    };
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(number, line)| {
        let word = words.iter().find(|word| stands(line, word))?;
        Some(format!("{path}:{}: `{word}`", number + 1))
    });
    found.collect()
}

/// As [`hits`], wherever it stands.
fn occurrences(path: &str, text: &str, words: &[String]) -> Vec<String> {
    let lines = text.lines().enumerate();
    let found = lines.filter_map(|(number, line)| {
        let word = words.iter().find(|word| line.contains(word.as_str()))?;
        Some(format!("{path}:{}: `{word}`", number + 1))
    });
    found.collect()
}

fn everywhere(words: &[String], find: fn(&str, &str, &[String]) -> Vec<String>) -> Vec<String> {
    let files = tree();
    let texts = files.iter().filter(|file| !LOCK_FILES.contains(&file.path.as_str()));
    texts.filter_map(|file| Some(find(&file.path, file.text.as_deref()?, words))).flatten().collect()
}

#[test]
fn no_path_of_a_machine() {
    assert_none("a path of somebody's machine", &everywhere(&machine_paths(), hits));
}

#[test]
fn no_address_of_a_registry() {
    assert_none("the address of a registry", &everywhere(&registry_hosts(), occurrences));
}

#[test]
fn no_mark_of_unfinished_work() {
    assert_none("a mark of unfinished work", &everywhere(&unfinished(), hits));
}

#[test]
fn the_checks_of_words_find_each_and_no_other() {
    let paths = machine_paths();
    for (line, count) in [
        (["see /wo", "rk/main"].concat(), 1),
        (["\"/tm", "p/x\""].concat(), 1),
        (["C:", "\\Users"].concat(), 1),
        (["GET /v1/wo", "rk/7"].concat(), 0),
        (["a/ho", "me/b"].concat(), 0),
        ([root().to_str().expect("a path"), "/README.md"].concat(), 1),
    ] {
        assert_eq!(hits("a.md", &line, &paths).len(), count, "{line}");
    }
    let marks = unfinished();
    for (line, count) in [
        (["// TO", "DO: later"].concat(), 1),
        (["    to", "do!()"].concat(), 1),
        (["    #[ig", "nore = \"slow\"]"].concat(), 1),
        (["mktemp /var/x.", &"X".repeat(6)].concat(), 0),
        (["SHA", "CK, HA", "CKNEY"].concat(), 0),
    ] {
        assert_eq!(hits("a.rs", &line, &marks).len(), count, "{line}");
    }
    let hosts = registry_hosts();
    let address = ["https://index.crates", ".io/x"].concat();
    assert_eq!(occurrences("a.toml", &format!("\n{address}"), &hosts), [format!("a.toml:2: `{}`", hosts[0])]);
    for (url, expected) in [
        ("https://packages.example.com:8443/simple", Some("packages.example.com")),
        ("http://user@packages.example.com", Some("packages.example.com")),
        ("http://127.0.0.1:3128", None),
        ("direct", None),
    ] {
        assert_eq!(host(url), expected, "{url}");
    }
}

/// Sources in a lock file that are not the registry everybody has.
fn foreign_sources(text: &str) -> Vec<String> {
    let public = [
        ["git", "hub.com/rust-lang/crates", ".io-index"].concat(),
        ["https://registry.npm", "js.org/"].concat(),
    ];
    let is_source = |line: &&str| line.starts_with("source = ") || line.contains("\"resolved\":");
    let is_public = |line: &str| public.iter().any(|public| line.contains(public.as_str()));
    text.lines().map(str::trim).filter(is_source).filter(|line| !is_public(line)).map(str::to_owned).collect()
}

#[test]
fn lock_files_name_the_public_registry_alone() {
    let files = tree();
    for file in files.iter().filter(|file| LOCK_FILES.contains(&file.path.as_str())) {
        let text = file.text.as_deref().expect("a lock file is text");
        assert_none(&format!("{} names another source", file.path), &foreign_sources(text));
    }
    assert_eq!(
        foreign_sources("name = \"a\"\nsource = \"registry+https://packages.example.com/index\"\n").len(),
        1
    );
    assert_eq!(foreign_sources("  \"resolved\": \"https://packages.example.com/a.tgz\",\n").len(), 1);
}

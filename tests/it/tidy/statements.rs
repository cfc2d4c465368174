//! Every normative statement that binds a server is proved by a wire vector or a test that names it, or says why it is
//! not; and the documentation's table of them is current.

use std::path::Path;

use tests::vectors::notation::step;
use tests::vectors::statements::{Binds, Proofs, Statement, named_in, statements, vectors};
use tests::vectors::{Standard, chapters};

use super::{TreeFile, assert_none, root, tree};

/// Said to be `1`, it lets the tests write the pages of the documentation.
const UPDATE: &str = "UPDATE_CONFORMANCE";

/// Tests that a row shows by name.
const SHOWN_MAX: usize = 4;

/// Whether a file holds tests and nothing of the product.
fn is_of_tests(path: &str) -> bool {
    path.starts_with("tests/it/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// What the tests in the sources name. This file names none of its own.
fn sources(files: &[TreeFile], of_tests: bool) -> Proofs {
    let is_wanted = |path: &str| {
        let itself = ["tests/it/tidy/statements.rs", "tests/src/vectors/statements.rs"];
        Path::new(path).extension().is_some_and(|it| it == "rs")
            && !itself.contains(&path)
            && (is_of_tests(path) || !of_tests)
    };
    let files = files.iter().filter(|file| is_wanted(&file.path));
    named_in(files.filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?))))
}

/// Statements that bind a server, without proof and without a reason; and those whose reason a vector belies.
fn unproved(statements: &[Statement], vectors: &Proofs, sources: &Proofs) -> Vec<String> {
    let is_open = |it: &&Statement| {
        let is_proved = vectors.contains_key(&it.id) || sources.contains_key(&it.id);
        it.binds != Binds::Client && !is_proved && it.reason.is_none()
    };
    statements.iter().filter(is_open).map(|it| format!("{}: {}", it.id, it.says)).collect()
}

fn unknown(named: &Proofs, known: &[&[Statement]]) -> Vec<String> {
    let is_known = |number: &str| known.iter().any(|table| table.iter().any(|it| it.id == number));
    let strange = named.iter().filter(|(number, _)| !is_known(number));
    strange.map(|(number, places)| format!("{number}, named in {}", places.join(", "))).collect()
}

#[test]
fn every_statement_that_binds_a_server_is_proved() {
    let sources = sources(&tree(), true);
    for standard in Standard::ALL {
        let open = unproved(&statements(standard), &vectors(standard), &sources);
        assert_none(&format!("statements of {} without a test", standard.folder()), &open);
    }
}

#[test]
fn no_number_is_made_up() {
    let tables = Standard::ALL.map(statements);
    for (standard, table) in Standard::ALL.into_iter().zip(&tables) {
        let strange = unknown(&vectors(standard), &[table]);
        assert_none(&format!("numbers that {} does not have", standard.folder()), &strange);
    }
    let strange = unknown(&sources(&tree(), false), &[&tables[0], &tables[1]]);
    assert_none("numbers that neither standard has", &strange);
}

#[test]
fn there_are_as_many_vectors_as_promised_and_each_can_be_played() {
    for standard in Standard::ALL {
        let (mut count, mut refusing) = (0, 0);
        for chapter in chapters(standard) {
            let mut names: Vec<&str> = chapter.vectors.iter().map(|vector| vector.name.as_str()).collect();
            names.sort_unstable();
            let total = names.len();
            names.dedup();
            assert_eq!(names.len(), total, "{}: a name twice", chapter.file);
            for vector in &chapter.vectors {
                let place = format!("{}, «{}»", chapter.file, vector.name);
                assert!(!vector.statements.is_empty() && !vector.steps.is_empty(), "{place}");
                for text in &vector.steps {
                    assert!(step(text).is_ok(), "{place}: {text}: {:?}", step(text));
                }
                let refuses = |step: &String| step.contains(" < closed") || step.contains(" < refused");
                refusing += usize::from(vector.steps.iter().any(refuses));
            }
            count += total;
        }
        assert!(count >= standard.vectors_min(), "{count} vectors of {}", standard.folder());
        assert!(refusing * 3 >= standard.vectors_min(), "{refusing} of them see a refusal");
    }
}

#[test]
fn the_documentation_has_every_statement() {
    let sources = sources(&tree(), true);
    for (language, text) in [("en", english(&sources)), ("zh-CN", chinese(&sources))] {
        let file = root().join("web-console/docs").join(language).join("mqtt-conformance.md");
        if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
            std::fs::write(&file, &text).expect("the page can be written");
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(committed == text, "{} is not current: `cargo xtask conformance`", file.display());
    }
}

/// The first tests of a statement by name, and how many more there are; none where none proves it.
fn tests_of(statement: &Statement, vectors: &Proofs, sources: &Proofs, more: &str) -> Option<String> {
    let named = vectors.get(&statement.id).or_else(|| sources.get(&statement.id))?;
    let shown: Vec<&str> = named.iter().take(SHOWN_MAX).map(String::as_str).collect();
    let rest = named.len() - shown.len();
    let rest = if rest > 0 { more.replace('#', &rest.to_string()) } else { String::new() };
    Some(format!("{}{rest}", shown.join("; ")).replace('|', "\\|"))
}

/// The rows of both versions.
fn rows(sources: &Proofs, more: &str, row: impl Fn(&Statement, Option<String>) -> String) -> [String; 2] {
    Standard::ALL.map(|standard| {
        let vectors = vectors(standard);
        let table = statements(standard);
        table.iter().map(|it| row(it, tests_of(it, &vectors, sources, more))).collect()
    })
}

fn count(standard: Standard) -> usize {
    chapters(standard).iter().map(|chapter| chapter.vectors.len()).sum()
}

fn english(sources: &Proofs) -> String {
    let row = |it: &Statement, tests: Option<String>| {
        let binds = match it.binds {
            Binds::Server => "server",
            Binds::Client => "client",
            Binds::Both => "both",
        };
        let tests = tests.or_else(|| it.reason.as_ref().map(|why| format!("none: {why}")));
        format!("| {} | {binds} | {} | {} |\n", it.id, it.says, tests.unwrap_or_default())
    };
    let [old, new] = rows(sources, "; and # more", row);
    let [old_count, new_count] = Standard::ALL.map(count);
    let head = "| statement | binds | in short | proved by |\n|---|---|---|---|\n";
    format!(
        "# MQTT conformance\n\n\
         Every numbered normative statement of both standards, in words of our own, and the tests that prove it. \
         A test is a wire vector: bytes sent to a running broker and the packets that must come back, {old_count} of them \
         for 3.1.1 and {new_count} for 5.0. Its name follows that of its file in `tests/vectors/`; where a file of Rust is \
         named, it is a test in it. Where a statement binds clients alone, its tests show how the broker meets a client \
         that breaks it.\n\n\
         ## MQTT 3.1.1\n\n{head}{old}\n\
         ## MQTT 5.0\n\n{head}{new}"
    )
}

fn chinese(sources: &Proofs) -> String {
    let row = |it: &Statement, tests: Option<String>| {
        let binds = match it.binds {
            Binds::Server => "服务端",
            Binds::Client => "客户端",
            Binds::Both => "双方",
        };
        let tests = tests.or_else(|| it.reason_zh.as_ref().map(|why| format!("无：{why}")));
        format!("| {} | {binds} | {} | {} |\n", it.id, it.says_zh, tests.unwrap_or_default())
    };
    let [old, new] = rows(sources, "；另有 # 项", row);
    let [old_count, new_count] = Standard::ALL.map(count);
    let head = "| 条款 | 约束 | 概要 | 由何测试证明 |\n|---|---|---|---|\n";
    format!(
        "# MQTT 协议符合性\n\n\
         两个标准中每一条带编号的规范性条款（以本项目自己的措辞概述），以及证明它的测试。\
         测试是报文向量：向运行中的服务端发送字节，并核对必须返回的报文；3.1.1 有 {old_count} 个，5.0 有 {new_count} 个。\
         测试名（英文，与测试文件一致）之前是 `tests/vectors/` 中的文件名；写明 Rust 文件时，测试在该文件中。\
         仅约束客户端的条款，其测试说明服务端如何应对违反者。\n\n\
         ## MQTT 3.1.1\n\n{head}{old}\n\
         ## MQTT 5.0\n\n{head}{new}"
    )
}

#[test]
fn the_checks_find_what_is_open_and_what_is_made_up() {
    let statement = |id: &str, binds, reason: Option<&str>| Statement {
        id: id.to_owned(),
        binds,
        says: "so".to_owned(),
        says_zh: "如此".to_owned(),
        reason: reason.map(str::to_owned),
        reason_zh: None,
    };
    let table = [
        statement("MQTT-1.0.0-1", Binds::Server, None),
        statement("MQTT-1.0.0-2", Binds::Client, None),
        statement("MQTT-1.0.0-3", Binds::Both, Some("it cannot be")),
        statement("MQTT-1.0.0-4", Binds::Both, None),
    ];
    let named = |number: &str| Proofs::from([(number.to_owned(), vec!["a".to_owned()])]);
    let open = unproved(&table, &named("MQTT-1.0.0-1"), &Proofs::new());
    assert_eq!(open, ["MQTT-1.0.0-4: so"]);
    assert_eq!(unproved(&table, &named("MQTT-1.0.0-1"), &named("MQTT-1.0.0-4")).len(), 0);
    assert_eq!(unknown(&named("MQTT-1.0.0-4"), &[&table]).len(), 0);
    assert_eq!(unknown(&named("MQTT-1.0.0-5"), &[&table]), ["MQTT-1.0.0-5, named in a"]);
    assert!(is_of_tests("data-plane/x/src/tests/y.rs") && is_of_tests("tests/it/x.rs"));
    assert!(!is_of_tests("data-plane/x/src/tests_of.rs"));
}

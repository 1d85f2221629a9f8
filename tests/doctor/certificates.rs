//! What is said of certificates before the server is started with them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use wsmaster_protocol::calendar::{DAY_S, Date};

use crate::{assert_problem, authority::Authority, doctor, place, support::Output};

/// With `[tls]` for these two files and what else the file of configuration says.
fn look(directory: &Path, cert_file: &str, key_file: &str, more: &str) -> Output {
    let at = directory.display();
    let text = format!(
        "[server]\nport = 0\n[tls]\ncert_file = \"{at}/{cert_file}\"\nkey_file = \"{at}/{key_file}\"\n{more}"
    );
    let file = directory.join("w.toml");
    fs::write(&file, text).expect("ours");
    doctor(directory, &["--json", "-c", &file.to_string_lossy()])
}

fn findings(output: &Output, check: &str) -> Vec<Value> {
    let all = output.json()["findings"].as_array().expect("a list").clone();
    all.into_iter().filter(|finding| finding["check"] == check).collect()
}

/// The only finding of this name is a warning in these words, which keeps nobody from starting.
#[track_caller]
fn assert_warning(output: &Output, check: &str, words: &str) {
    let found = findings(output, check);
    assert_eq!(found.len(), 1, "{output}");
    assert_eq!(found[0]["level"], "warning", "{output}");
    assert!(found[0].to_string().contains(words), "{words:?} is not in {output}");
    assert_eq!((output.code, &output.json()["ok"]), (0, &Value::from(true)), "{output}");
}

fn today_and(days: i64) -> Date {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    Date::from_unix_s(now.as_secs() as i64 + days * DAY_S)
}

#[test]
fn a_good_one_is_told_and_without_tls_there_is_none() {
    let place = place();
    Authority::new().server(&["localhost", "a.example"]).write(place.path(), "own");
    let inside = "[[listener]]\nname = \"two\"\naddress = \"127.0.0.1:0\"\ntls = true\n";
    let output = look(place.path(), "own.pem", "own.key", inside).expect_code(0);
    let found = findings(&output, "certificate");
    assert_eq!(found.len(), 1, "{output}");
    assert_eq!(found[0]["level"], "ok", "{output}");
    assert!(found[0]["found"].as_str().is_some_and(|it| it.ends_with("for localhost, a.example")));
    assert!(found[0]["meaning"].as_str().is_some_and(|it| it.starts_with("its key belongs to it")));
    assert_eq!(findings(&output, "address").len(), 2, "{output}");

    let output = doctor(place.path(), &["--json", "--listen", "127.0.0.1:0"]).expect_code(0);
    assert!(findings(&output, "certificate").is_empty(), "{output}");
}

#[test]
fn one_that_a_start_refuses_is_a_problem() {
    let place = place();
    let authority = Authority::new();
    authority.server(&["localhost"]).write(place.path(), "own");
    authority.server(&["localhost"]).write(place.path(), "other");
    fs::write(place.path().join("text.pem"), "no certificate\n").expect("ours");
    for (cert_file, key_file, words) in [
        ("own.pem", "other.key", "w.toml:5:12: tls.key_file: "),
        ("own.pem", "other.key", "the private key does not belong"),
        ("gone.pem", "own.key", "gone.pem cannot be read: No such file"),
        ("text.pem", "own.key", "expected a certificate in PEM form"),
    ] {
        assert_problem(&look(place.path(), cert_file, key_file, ""), "certificate", words);
    }
    let output = look(place.path(), "gone.pem", "gone.key", "");
    assert_eq!(findings(&output, "certificate").len(), 2, "{output}");
}

#[test]
fn what_will_be_refused_by_clients_and_what_others_can_read_is_a_warning() {
    let place = place();
    let authority = Authority::new();
    let at = |name: &str| place.path().join(name);
    authority.expired(&["localhost"]).write(place.path(), "old");
    let output = look(place.path(), "old.pem", "old.key", "");
    assert_warning(&output, "certificate", "expired on 2020-02-29: clients refuse it");

    let last = today_and(5);
    let Date { year, month, day } = last;
    authority.ending(&["localhost"], (year as i32, month, day)).write(place.path(), "soon");
    let output = look(place.path(), "soon.pem", "soon.key", "");
    assert_warning(&output, "certificate", &format!("expires on {last}, in "));
    let Date { year, month, day } = today_and(40);
    authority.ending(&["localhost"], (year as i32, month, day)).write(place.path(), "later");
    let output = look(place.path(), "later.pem", "later.key", "").expect_code(0);
    assert_eq!(findings(&output, "certificate")[0]["level"], "ok", "{output}");

    fs::set_permissions(at("later.key"), fs::Permissions::from_mode(0o644)).expect("ours");
    let output = look(place.path(), "later.pem", "later.key", "");
    assert_warning(&output, "private key", &format!("chmod 600 {}", at("later.key").display()));
    assert_eq!(findings(&output, "certificate")[0]["level"], "ok", "{output}");
}

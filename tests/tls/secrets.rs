//! Where private keys are not. (A worker has them in the form that they are multiplied in.)

use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
};

use crate::{client::echo, kernel, place::Place, support::Server};

/// Whether these bytes are anywhere in the writable memory of a process.
fn knows(pid: u32, secret: &[u8]) -> bool {
    let maps = BufReader::new(File::open(format!("/proc/{pid}/maps")).expect("we are root"));
    let memory = File::open(format!("/proc/{pid}/mem")).expect("we are root");
    maps.lines().map_while(Result::ok).filter(|line| line.contains(" rw")).any(|line| {
        let range =
            line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let [start, end] = [range.0, range.1].map(|at| u64::from_str_radix(at, 16).expect("hex"));
        let mut bytes = vec![0; (end - start) as usize];
        memory.read_exact_at(&mut bytes, start).is_ok()
            && bytes.windows(secret.len()).any(|window| window == secret)
    })
}

#[test]
fn only_workers_know_the_key_and_nobody_tells_it() {
    if !kernel::is_root() {
        return;
    }
    let place = Place::new();
    let section = place.section("");
    let config = format!(
        "[server]\nlog_level = \"debug\"\n{section}[[process]]\nname = \"beside\"\ncommand = \"sh\"\n\
         args = [\"-c\", \"echo '{{\\\"do\\\":\\\"ready\\\"}}' >&4; exec sleep 1000\"]\n"
    );
    let setup = crate::support::Setup::default().app(crate::support::App::Echo).workers(2);
    let server = Server::start(setup.config_toml(&config));
    echo(&mut place.way().open(server.addr()), "so that a key is used");
    let mut secrets = vec![place.own.secret()];
    let new = place.authority.server(&["localhost"]);
    new.write(place.path(), "own");
    server.reload().expect_code(0);
    for _ in 0..20 {
        echo(&mut crate::client::Way::new(&place.authority).open(server.addr()), "the new one");
    }
    secrets.push(new.secret());

    let host = server.status()["processes"][0]["pid"].as_u64().expect("a side process") as u32;
    // In base64 a secret looks different at each of three offsets; the line of the PEM file is looked for whole.
    let line = new.key_pem().lines().nth(1).expect("a line of base64").to_owned();
    for secret in secrets.iter().map(Vec::as_slice).chain([line.as_bytes()]) {
        for (who, pid) in [("the master", server.pid()), ("a side process", host)] {
            assert!(!knows(pid, secret), "{who} knows a key");
        }
    }
    assert!(knows(std::process::id(), &new.secret()), "this test looks at nothing");
    for pid in [host].into_iter().chain(crate::support::children_of(host)) {
        let links = kernel::links(pid);
        assert_eq!(
            links.iter().filter(|(_, to)| to.contains("wsmaster-body")).count(),
            0,
            "{links:?}"
        );
    }
    let told = server.log() + &server.stdout() + &server.status().to_string();
    assert!(!told.contains("PRIVATE KEY") && !told.contains(&line), "{told}");
}

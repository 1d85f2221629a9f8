//! Attacks 24 and 28: what is left of root in the processes of a server that root has started, and what they have open.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt};

use super::{
    PROGRAM, all,
    kernel::{is_root, links, listening_sockets, socket_number, status_line},
    side,
    support::{Client, Server, Setup},
};

/// That a process has no capability, and can get none.
#[track_caller]
fn assert_powerless(pid: u32, who: &str) {
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status_line(pid, set), "0000000000000000", "{set} of {who}");
    }
    assert_eq!(status_line(pid, "NoNewPrivs"), "1", "{who}");
}

/// A server that was given what a careless container gives: inheritable and ambient capabilities.
fn with_too_much(config: &str) -> Server {
    let setup = Setup::default().workers(2).config_toml(config);
    Server::start(setup.through(&[
        "setpriv",
        "--inh-caps=+net_raw,+dac_override",
        "--ambient-caps=+net_raw,+dac_override",
    ]))
}

#[test]
fn attack_24_no_capability_is_left_in_workers_and_side_processes() {
    if !is_root() {
        eprintln!("skipped: it is about what root gives up");
        return;
    }
    let server = with_too_much(&format!("[server]\nuser = \"nobody\"\n{PROGRAM}"));
    assert_ne!(status_line(server.pid(), "CapInh"), "0000000000000000", "the test's own setting");
    let [host, program] = side(&server);
    for (worker, pid) in server.worker_pids().into_iter().enumerate() {
        assert_powerless(pid, &format!("worker {worker}"));
    }
    assert_powerless(host, "the host");
    assert_powerless(program, "the program");
    server.reload().expect_code(0);
    for pid in server.worker_pids() {
        assert_powerless(pid, "a new worker");
    }
}

#[test]
fn attack_24_a_program_with_a_user_of_its_own_has_no_capability_either() {
    if !is_root() {
        eprintln!("skipped: it is about what root gives up");
        return;
    }
    // The server itself stays root: only the program has somebody to become.
    let server = with_too_much(&format!("{PROGRAM}user = \"nobody\"\n"));
    let [host, program] = side(&server);
    assert_powerless(program, "the program");
    let user = |pid| status_line(pid, "Uid").split_whitespace().next().map(str::to_owned);
    assert_eq!(user(host).as_deref(), Some("0"), "who starts others as somebody else must be root");
    assert_ne!(user(program).as_deref(), Some("0"));
    for pid in server.worker_pids() {
        assert_eq!(status_line(pid, "NoNewPrivs"), "1", "workers start no programs");
    }
}

#[test]
fn attack_24_nobody_of_the_same_user_can_look_into_a_worker() {
    if !is_root() {
        eprintln!("skipped: it is about what root gives up");
        return;
    }
    if fs::read_to_string("/proc/sys/fs/suid_dumpable").is_ok_and(|value| value.trim() == "1") {
        eprintln!("skipped: this machine lets everything be dumped");
        return;
    }
    let server = Server::start(Setup::default().config_toml("[server]\nuser = \"nobody\"\n"));
    // What belongs to root here, though the worker is somebody else, can be neither traced nor dumped by that user
    // (ptrace(2), proc(5)).
    let entry = format!("/proc/{}/environ", server.worker_pid(0));
    assert_eq!(fs::metadata(entry).expect("it lives").uid(), 0);
}

#[test]
fn attack_28_side_processes_have_no_sockets_of_clients_and_no_listeners() {
    let server = Server::start(Setup::default().workers(2).config_toml(PROGRAM));
    let clients: Vec<Client> = (0..10).map(|_| Client::connect(&server)).collect();
    let sockets = |pid: u32| -> BTreeSet<u64> {
        links(pid).iter().filter_map(|(_, link)| socket_number(link)).collect()
    };
    let of_master = sockets(server.pid());
    let listeners: BTreeSet<u64> = of_master.intersection(&listening_sockets()).copied().collect();
    assert_eq!(listeners.len(), 2, "the master has one for each worker");
    // What workers have and the master has not: above all the connections that they have accepted.
    let of_workers: BTreeSet<u64> = server.worker_pids().into_iter().flat_map(sockets).collect();
    let accepted: BTreeSet<u64> = of_workers.difference(&of_master).copied().collect();
    assert!(accepted.len() >= clients.len());
    let [host, program] = side(&server);
    let of_host = sockets(host);
    assert!(of_host.is_disjoint(&listeners) && of_host.is_disjoint(&accepted), "{:?}", links(host));
    // What the host has are its mailboxes; the program has no socket at all.
    for (number, link) in links(program) {
        assert!(!link.starts_with("socket:") && !link.contains("memfd:"), "{number} {link}");
    }
    // Nobody but the master holds the PID file.
    for pid in all(&server).into_iter().skip(1) {
        assert!(links(pid).iter().all(|(_, link)| !link.ends_with("wsmaster.pid")), "{pid}");
    }
}

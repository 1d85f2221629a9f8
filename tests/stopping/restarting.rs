//! A restart, or a reload, that cannot succeed costs nothing: what runs goes on.

use std::{fs, net::TcpListener, os::unix::net::UnixListener};

use super::{
    kernel::is_root,
    support::{Client, PATIENCE, Server, Setup, eventually, is_alive},
};

#[test]
fn a_restart_that_would_find_no_server_stops_none() {
    let server = Server::start(Setup::default().workers(2).config_toml(""));
    let directory = server.directory().to_owned();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("bound");
    let living = directory.join("living.sock");
    let _living = UnixListener::bind(&living).expect("a socket");
    fs::write(directory.join("file"), "").expect("ours");
    let listener = |address: &str| {
        format!("[server]\n{{listen}}\n[[listener]]\nname = \"more\"\naddress = \"{address}\"\n")
    };
    let listen = format!("host = \"127.0.0.1\"\nport = {}", server.addr().port());
    let mut client = Client::connect(&server);
    for (config, part) in [
        ("[server]\n{listen}\nlog_file = \"nowhere/w.log\"\n".to_owned(), "server.log_file"),
        ("[server]\n{listen}\nlog_file = \"/dev\"\n".to_owned(), "server.log_file"),
        ("[server]\n{listen}\nuser = \"nobody-of-this-name\"\n".to_owned(), "server.user"),
        ("[server]\n{listen}\ngroup = \"nobody-of-this-name\"\n".to_owned(), "server.group"),
        ("[server]\n{listen}\nchroot = \"/nonexistent\"\n".to_owned(), "server.chroot"),
        ("[server]\n{listen}\nrlimit_nofile = 1073741816\n".to_owned(), "server.rlimit_nofile"),
        ("[server]\n{listen}\nrlimit_nofile = 128\nworkers = 100\n".to_owned(), "mailboxes"),
        ("[server]\n{listen}\ncpu_affinity = \"1000\"\n".to_owned(), "server.cpu_affinity"),
        (format!("[server]\nhost = \"127.0.0.1\"\nport = {}\n", taken.port()), "another program"),
        ("[server]\nhost = \"192.0.2.1\"\nport = 9501\n".to_owned(), "no such address"),
        (listener(&taken.to_string()), "another program"),
        (listener(&format!("unix:{}", living.display())), "another program"),
        (listener("unix:/nowhere/w.sock"), "make its directory first"),
        (listener(&format!("unix:{}", directory.join("file").display())), "no socket"),
        (
            "[server]\n{listen}\n[tls]\ncert_file = \"no.pem\"\nkey_file = \"no.pem\"\n".to_owned(),
            "no.pem",
        ),
        (
            "[server]\n{listen}\n[[process]]\nname = \"p\"\ncommand = \"./nothing\"\n".to_owned(),
            "process",
        ),
    ] {
        let config = config.replace("{listen}", &listen);
        server.rewrite_config(&config);
        let file = directory.join("wsmaster.toml");
        let output = server.cli(&["restart", "-d", "-c", &file.to_string_lossy()]);
        assert!(matches!(output.code, 1 | 2), "{config}{output}");
        assert!(output.stderr.contains(part), "no {part:?} for {config}{output}");
        assert!(!output.stdout.contains("stopped"), "{config}{output}");
        client.expect_alive();
    }
    assert!(is_alive(server.pid()));

    // And one that can: with the addresses that the server itself has.
    let own = directory.join("own.sock");
    let good = format!(
        "[server]\n{listen}\n[[listener]]\nname = \"more\"\naddress = \"unix:{}\"\n",
        own.display()
    );
    server.rewrite_config(&good);
    server.reload().expect_code(0);
    eventually("the new listener", PATIENCE, || own.exists().then_some(()));
    drop(client);
    let file = directory.join("wsmaster.toml");
    server.cli(&["restart", "-d", "-c", &file.to_string_lossy()]).expect_code(0);
    assert_eq!(server.wait_exit(), 0);
    Client::connect(&server).expect_alive();
    server.stop().expect_code(0);
}

#[test]
fn a_reload_whose_workers_would_not_come_up_costs_not_even_the_first() {
    if !is_root() {
        return;
    }
    let jail = tempfile::tempdir().expect("a directory");
    let path = jail.path().join("root");
    fs::create_dir(&path).expect("ours");
    let config = format!("[server]\nchroot = \"{}\"\nuser = \"nobody\"\n", path.display());
    let server = Server::start(Setup::default().workers(2).config_toml(&config));
    let workers = server.worker_pids();
    let mut client = Client::connect(&server);
    fs::remove_dir(&path).expect("ours");
    let output = server.reload().expect_code(2);
    assert!(output.stderr.contains("server.chroot"), "{output}");
    client.expect_alive();
    assert_eq!(server.worker_pids(), workers);
    assert_eq!(server.status()["reloads"], 0);
    fs::create_dir(&path).expect("ours");
    drop(client);
    server.reload().expect_code(0);
}

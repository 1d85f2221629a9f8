//! Judgement: the address, queues of connections, ports, memory of sockets. Pure.

use wsmaster_ipc::mailbox::QUEUE_BYTES;

use super::{
    facts::{Address, Facts, Holder},
    finding::Finding,
    parsing,
};
use crate::{
    cli::amounts::bytes,
    config::{Config, ListenAddress},
};

/// Queued data that a connection should find room for in the kernel, on average.
const QUEUED_BYTES: u64 = 1024;

pub(super) fn examine(facts: &Facts, config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = facts.addresses.iter().map(address).collect();
    let others = [
        backlog(facts, config),
        own_ports(facts, config),
        source_ports(facts, config),
        socket_memory(facts, config),
        mailboxes(facts),
    ];
    findings.extend(others.into_iter().flatten());
    findings
}

fn address(address: &Address) -> Finding {
    const CHECK: &str = "address";
    let found = address.shown.clone();
    let port = found.rsplit_once(':').map_or("", |(_, port)| port).to_owned();
    match &address.holder {
        Holder::Any => Finding::ok(CHECK, found, "the kernel chooses a port"),
        Holder::Free => Finding::ok(CHECK, found, "nobody uses it"),
        Holder::Ours(pid) => {
            Finding::ok(CHECK, found, format!("used by the running server (pid {pid})"))
        }
        Holder::Taken => Finding::problem(
            CHECK,
            found,
            "another program uses it: the start is refused",
            format!(
                "`ss -ltnp 'sport = :{port}'` shows which (systemd with a .socket unit of this server is right); or \
                 another port"
            ),
        ),
        Holder::Refused { reason, is_privilege: true } => Finding::problem(
            CHECK,
            found,
            format!("cannot be listened on by this user: {reason}"),
            "start it as root with server.user, give it AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or use a \
             .socket unit",
        ),
        Holder::Refused { reason, is_privilege: false } => Finding::problem(
            CHECK,
            found,
            format!("cannot be listened on: {reason}"),
            "it must be an address of this machine: `ip address` shows them",
        ),
    }
}

fn backlog(facts: &Facts, config: &Config) -> Option<Finding> {
    const CHECK: &str = "backlog";
    let most = facts.somaxconn?;
    let wanted = u64::from(config.server.backlog);
    let found = format!("net.core.somaxconn is {most}");
    Some(if most >= wanted {
        Finding::ok(CHECK, found, format!("enough for server.backlog ({wanted})"))
    } else {
        Finding::warning(
            CHECK,
            found,
            format!(
                "server.backlog ({wanted}) has no effect: more than {most} connections that come at once are dropped by \
                 the kernel"
            ),
            format!("sysctl -w net.core.somaxconn={wanted}"),
        )
    })
}

/// The ports of all listeners of TCP, but for those that the kernel chooses.
fn tcp_ports(config: &Config) -> Vec<u16> {
    let listeners = config.all_listeners();
    let ports = listeners.iter().filter_map(|listener| match listener.address {
        ListenAddress::Tcp { port, .. } => (port != 0).then_some(port),
        ListenAddress::Unix(_) => None,
    });
    ports.collect()
}

fn own_ports(facts: &Facts, config: &Config) -> Option<Finding> {
    const CHECK: &str = "ports";
    let (first, last) = facts.local_ports?;
    let list = |ports: &[u16]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let ports = tcp_ports(config);
    let is_free_game = |port: &u16| {
        (first..=last).contains(port) && !parsing::holds_port(&facts.reserved_ports, *port)
    };
    let inside: Vec<u16> = ports.iter().copied().filter(is_free_game).collect();
    let found = format!("net.ipv4.ip_local_port_range is {first} to {last}");
    Some(match (ports.is_empty(), inside.is_empty()) {
        (true, _) => return None,
        (false, true) => {
            Finding::ok(CHECK, found, format!("{} is outside, or reserved", list(&ports)))
        }
        (false, false) => {
            let others = facts.reserved_ports.trim();
            let comma = if others.is_empty() { "" } else { "," };
            let inside = list(&inside);
            Finding::warning(
                CHECK,
                found,
                format!(
                    "{inside} is inside: a connection of another program may have it when the server starts"
                ),
                format!("sysctl -w net.ipv4.ip_local_reserved_ports={others}{comma}{inside}"),
            )
        }
    })
}

fn source_ports(facts: &Facts, config: &Config) -> Option<Finding> {
    let (first, last) = facts.local_ports?;
    let count = u64::from(last.saturating_sub(first)) + 1;
    (config.server.is_loopback() && !tcp_ports(config).is_empty()).then(|| {
        Finding::ok(
            "source ports",
            format!("{count}"),
            format!(
                "a proxy on this machine can have {count} connections to one address of the server"
            ),
        )
    })
}

fn socket_memory(facts: &Facts, config: &Config) -> Option<Finding> {
    const CHECK: &str = "socket memory";
    let most = facts.tcp_memory_bytes?;
    let connections = config.limits.connections_max;
    let found = format!("net.ipv4.tcp_mem allows {}", bytes(most));
    Some(if most >= connections * QUEUED_BYTES {
        Finding::ok(
            CHECK,
            found,
            format!("{} for each of {connections} connections", bytes(most / connections.max(1))),
        )
    } else {
        Finding::warning(
            CHECK,
            found,
            format!(
                "{} for each of {connections} connections: the kernel drops packets when many of them are slow",
                bytes(most / connections.max(1))
            ),
            "more memory for the machine, a smaller limits.connections_max, or a larger net.ipv4.tcp_mem",
        )
    })
}

fn mailboxes(facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "mailboxes";
    let most = facts.wmem_max?;
    let wanted = QUEUE_BYTES as u64;
    let found = format!("net.core.wmem_max is {}", bytes(most));
    Some(if most >= wanted {
        Finding::ok(
            CHECK,
            found,
            format!("enough for the queues between processes ({})", bytes(wanted)),
        )
    } else if facts.uid == 0 {
        Finding::ok(
            CHECK,
            found,
            format!("root may have more ({}) for queues between processes", bytes(wanted)),
        )
    } else {
        Finding::warning(
            CHECK,
            found,
            format!(
                "queues between processes are shorter than {}: in a burst more waits in the memory of the sender",
                bytes(wanted)
            ),
            format!("sysctl -w net.core.wmem_max={wanted}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, facts::sound},
        *,
    };
    use crate::config::Machine;

    #[test]
    fn what_stands_in_the_way_of_clients() {
        type Case = (&'static str, fn(&mut Facts), &'static str, Level, &'static str);
        let cases: &[Case] = &[
            (
                "",
                |f| f.addresses[0].holder = Holder::Taken,
                "address",
                Level::Problem,
                "sport = :9501",
            ),
            ("", |f| f.addresses[0].holder = Holder::Ours(77), "address", Level::Ok, ""),
            ("", |f| f.addresses[0].holder = Holder::Any, "address", Level::Ok, ""),
            (
                "[server]\nport = 80",
                |f| {
                    f.addresses[0].holder =
                        Holder::Refused { reason: "no".to_owned(), is_privilege: true };
                },
                "address",
                Level::Problem,
                "CAP_NET_BIND_SERVICE",
            ),
            (
                "[server]\nhost = \"192.0.2.1\"",
                |f| {
                    f.addresses[0].holder =
                        Holder::Refused { reason: "no".to_owned(), is_privilege: false };
                },
                "address",
                Level::Problem,
                "ip address",
            ),
            ("", |f| f.somaxconn = Some(128), "backlog", Level::Warning, "somaxconn=4096"),
            ("[server]\nbacklog = 128", |f| f.somaxconn = Some(128), "backlog", Level::Ok, ""),
            (
                "[server]\nport = 40000",
                |f| f.reserved_ports = "8080,9000-9100".to_owned(),
                "ports",
                Level::Warning,
                "reserved_ports=8080,9000-9100,40000",
            ),
            (
                "[server]\nport = 40000",
                |f| f.reserved_ports = "39999-40001".to_owned(),
                "ports",
                Level::Ok,
                "",
            ),
            (
                "",
                |f| f.tcp_memory_bytes = Some(50_000_000),
                "socket memory",
                Level::Warning,
                "tcp_mem",
            ),
            ("", |f| f.wmem_max = Some(212_992), "mailboxes", Level::Warning, "wmem_max=4194304"),
            ("", |f| (f.wmem_max, f.uid) = (Some(212_992), 0), "mailboxes", Level::Ok, ""),
        ];
        let machine = Machine { uid: 1000, cpus: 4, runtime_dir: None };
        for (toml, change, check, level, remedy) in cases {
            let mut facts = sound();
            change(&mut facts);
            let config = Config::from_toml(toml, "x", &machine).expect(toml);
            let findings = examine(&facts, &config);
            let finding = findings.iter().find(|finding| finding.check == *check);
            let finding = finding.unwrap_or_else(|| panic!("{check} was not looked at"));
            assert_eq!(finding.level, *level, "{finding:?}");
            let told = finding.remedy.clone().unwrap_or_default();
            assert!(told.contains(remedy), "{remedy:?} is not in {finding:?}");
        }
    }
}

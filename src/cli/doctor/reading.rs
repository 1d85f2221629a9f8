//! The facts, read from the kernel and the file system. What cannot be read is left out; nothing is changed.

use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use wsmaster_ipc::sys::{
    clock, files, log_output::stream_number, resource, socket, user::Identity,
};

use super::{
    facts::{Address, Cgroup, Directory, DirectoryOf, DirectoryState, Facts, Holder},
    parsing::{self, Hierarchy},
};
use crate::{
    cli::{
        certificate_check,
        control_client::{self, Found, find},
    },
    config::{Config, ListenAddress},
    programs,
    tls::TlsSummary,
};

/// The bit of a file's mode that lets everybody read it.
const READABLE_BY_ALL: u32 = 0o004;
const CGROUPS: &str = "/sys/fs/cgroup";
/// How long a running server may take to say where it listens.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads all that is judged for this configuration, or for the defaults when `config_errors` says what is wrong with it.
pub(crate) fn read(config: &Config, config_errors: Vec<String>) -> Facts {
    let server = &config.server;
    let kernel = |entry: &str| fs::read_to_string(Path::new("/proc/sys").join(entry)).ok();
    let number = |entry: &str| kernel(entry)?.trim().parse::<u64>().ok();
    let account = Identity::look_up(server.user.as_deref(), server.group.as_deref());
    let uid = resource::effective_uid();
    let account_error = match account {
        Err(error) => Some(error.to_string()),
        Ok(Some(identity)) if uid != 0 && identity.uid() != uid => {
            Some(format!("user {uid} cannot become user {}: only root can", identity.uid()))
        }
        Ok(_) => None,
    };
    let ports = kernel("net/ipv4/ip_local_port_range").map(|text| parsing::numbers(&text));
    let port = |number: u64| u16::try_from(number).ok();
    let opened = kernel("fs/file-nr").map(|text| parsing::numbers(&text));
    let tcp_pages = kernel("net/ipv4/tcp_mem").map(|text| parsing::numbers(&text));
    let unix_secs = SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs());
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Facts {
        uid,
        config_errors,
        exposed: exposed(config),
        account_error,
        program_errors: match programs::check(config) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        },
        tls: unix_secs.and_then(|now| certificates(config, now)),
        directories: directories(config),
        addresses: addresses(config),
        kernel: kernel("kernel/osrelease").map(|text| text.trim().to_owned()),
        descriptors_hard: resource::descriptor_limits().ok().map(|(_, hard)| hard),
        nr_open: number("fs/nr_open"),
        files: opened.and_then(|numbers| Some((*numbers.first()?, *numbers.get(2)?))),
        somaxconn: number("net/core/somaxconn"),
        wmem_max: number("net/core/wmem_max"),
        local_ports: ports.and_then(|ports| Some((port(*ports.first()?)?, port(*ports.get(1)?)?))),
        reserved_ports: kernel("net/ipv4/ip_local_reserved_ports").unwrap_or_default(),
        tcp_memory_bytes: tcp_pages
            .and_then(|pages| pages.get(2)?.checked_mul(resource::page_bytes())),
        memory_bytes: parsing::meminfo_bytes(&meminfo, "MemTotal"),
        cpus: resource::cpus_available(),
        cgroup: cgroup(
            Path::new(CGROUPS),
            &fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
        ),
        unix_secs,
        clock_is_synchronised: clock::is_synchronised(),
    }
}

/// The file of the configuration and the secrets in it, where everybody may read it.
fn exposed(config: &Config) -> Option<(String, Vec<String>)> {
    let name = config.sources.file.clone()?;
    let facts = fs::metadata(&name).ok()?;
    let secrets = config.secrets_of_file();
    let is_open = facts.is_file() && facts.mode() & READABLE_BY_ALL != 0;
    (is_open && !secrets.is_empty()).then_some((name, secrets))
}

/// As a start does, but for what it keeps.
fn certificates(config: &Config, unix_secs: u64) -> Option<Result<TlsSummary, Vec<String>>> {
    let told = certificate_check::check(config, unix_secs.cast_signed());
    let told = told.map_err(|errors| errors.iter().map(ToString::to_string).collect());
    told.transpose()
}

fn directories(config: &Config) -> Vec<Directory> {
    let server = &config.server;
    let holds = |of: DirectoryOf, file: &Path| {
        let path = std::path::absolute(file).ok()?.parent()?.to_owned();
        let state = state_of(&path, of == DirectoryOf::PidFile);
        Some(Directory { of, path, state })
    };
    let pid = holds(DirectoryOf::PidFile, &server.pid_file);
    // A stream that the server is started with is in no directory.
    let log = server.log_file.as_ref().filter(|file| stream_number(file).is_none());
    let log = log.and_then(|file| holds(DirectoryOf::Log, file));
    let listeners = config.all_listeners();
    let sockets = listeners.iter().filter_map(|listener| match &listener.address {
        ListenAddress::Unix(file) => holds(DirectoryOf::Socket, file),
        ListenAddress::Tcp { .. } => None,
    });
    pid.into_iter().chain(log).chain(sockets).collect()
}

/// `is_made`: the server makes it when it is not there.
fn state_of(path: &Path, is_made: bool) -> DirectoryState {
    let Ok(facts) = fs::metadata(path) else {
        let above = path.ancestors().skip(1).find(|above| above.exists());
        return match above {
            Some(above) if is_made && above.is_dir() && files::may_write_in(above) => {
                DirectoryState::CanBeMade
            }
            Some(_) | None => DirectoryState::Missing,
        };
    };
    if !facts.is_dir() {
        return DirectoryState::NotADirectory;
    }
    if !files::may_write_in(path) {
        return DirectoryState::NotWritable;
    }
    let is_ours = facts.uid() == resource::effective_uid() || facts.uid() == 0;
    let is_open = facts.mode() & 0o022 != 0 && facts.mode() & 0o1000 == 0;
    if is_ours && !is_open { DirectoryState::Good } else { DirectoryState::OpenToOthers }
}

fn addresses(config: &Config) -> Vec<Address> {
    let listeners = config.all_listeners();
    let of_tcp = listeners.iter().filter_map(|listener| match &listener.address {
        ListenAddress::Tcp { host, port } => Some((host.as_str(), *port, &listener.address)),
        ListenAddress::Unix(_) => None,
    });
    let address = |(host, port, address): (&str, u16, &ListenAddress)| {
        let holder =
            if port == 0 { Holder::Any } else { who_holds(host, port, &config.server.pid_file)? };
        Some(Address { shown: address.to_string(), holder })
    };
    of_tcp.filter_map(address).collect()
}

fn who_holds(host: &str, port: u16, pid_file: &Path) -> Option<Holder> {
    let refused = |error: &std::io::Error| Holder::Refused {
        reason: error.to_string(),
        is_privilege: error.kind() == std::io::ErrorKind::PermissionDenied,
    };
    let address = match (host, port).to_socket_addrs().map(|mut all| all.next()) {
        Ok(address) => address?,
        Err(error) => return Some(refused(&error)),
    };
    Some(match socket::probe(address) {
        Ok(()) => Holder::Free,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            our_server(pid_file, address).map_or(Holder::Taken, Holder::Ours)
        }
        Err(error) => refused(&error),
    })
}

/// The pid of the server of this PID file, if it is the one that listens on this address.
fn our_server(pid_file: &Path, address: SocketAddr) -> Option<i32> {
    let Ok(Found::Running(process)) = find(pid_file) else { return None };
    let addresses = control_client::addresses(pid_file, STATUS_TIMEOUT)?;
    let is_this = |listening: &String| listening.parse() == Ok(address);
    addresses.iter().any(is_this).then(|| process.pid())
}

/// The limits below `root` for a process with this /proc/self/cgroup.
fn cgroup(root: &Path, text: &str) -> Cgroup {
    let mut found = Cgroup::default();
    for hierarchy in parsing::hierarchies(text) {
        let (root, path) = match &hierarchy {
            Hierarchy::Unified(path) => (root.to_owned(), path),
            Hierarchy::Controller(name, path) => (root.join(name), path),
        };
        for above in parsing::upwards(path) {
            let directory = root.join(above);
            let entry = |name: &str| fs::read_to_string(directory.join(name)).ok();
            let limit = |name: &str| entry(name).and_then(|text| parsing::limit(&text));
            let memory = limit("memory.max").or_else(|| limit("memory.limit_in_bytes"));
            found.memory_bytes = found.memory_bytes.into_iter().chain(memory).min();
            found.processes = found.processes.into_iter().chain(limit("pids.max")).min();
            let quota =
                match (entry("cpu.max"), entry("cpu.cfs_quota_us"), entry("cpu.cfs_period_us")) {
                    (Some(text), _, _) => parsing::cpu_max(&text),
                    (None, Some(quota), Some(period)) => parsing::cpu_quota(&quota, &period),
                    (None, _, _) => None,
                };
            found.cpus = found.cpus.into_iter().chain(quota).reduce(f64::min);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_limit_on_the_way_counts() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = directory.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "1000000\n");
        write("memory.max", "2000000\n");
        write("a/b/pids.max", "100\n");
        write("a/b/cpu.max", "200000 100000\n");
        write("a/cpu.max", "50000 100000\n");
        let found = cgroup(directory.path(), "0::/a/b\n");
        let expected =
            Cgroup { memory_bytes: Some(1_000_000), processes: Some(100), cpus: Some(0.5) };
        assert_eq!(found, expected);
        assert_eq!(cgroup(directory.path(), "0::/elsewhere\n").processes, None);

        write("memory/x/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/memory.limit_in_bytes", "4096\n");
        write("cpu/x/cpu.cfs_quota_us", "-1\n");
        write("cpu/x/cpu.cfs_period_us", "100000\n");
        let found = cgroup(directory.path(), "3:memory:/x\n2:cpu,cpuacct:/x\n");
        assert_eq!((found.memory_bytes, found.cpus), (Some(4096), None));
    }
}

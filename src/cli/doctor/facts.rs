//! What is known of a machine, as plain data. `None` is what could not be read.

use std::path::PathBuf;

use crate::tls::TlsSummary;

/// See the module.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Facts {
    /// The user that asks.
    pub(crate) uid: u32,
    /// What is wrong with the configuration, a line each.
    pub(crate) config_errors: Vec<String>,
    /// The file of the configuration and the secrets in it, where everybody may read it.
    pub(crate) exposed: Option<(String, Vec<String>)>,
    /// Why user or group of the configuration cannot be.
    pub(crate) account_error: Option<String>,
    /// Why programs of the configuration cannot be executed, a line each.
    pub(crate) program_errors: Vec<String>,
    /// What the files of `[tls]` come to, or what is wrong with them, a line each; `None` when TLS is off.
    pub(crate) tls: Option<Result<TlsSummary, Vec<String>>>,
    /// Directories that the server writes in.
    pub(crate) directories: Vec<Directory>,
    /// The addresses of the listeners of TCP, in the order of the configuration.
    pub(crate) addresses: Vec<Address>,
    /// uname(2), release.
    pub(crate) kernel: Option<String>,
    /// RLIMIT_NOFILE, the hard limit.
    pub(crate) descriptors_hard: Option<u64>,
    /// fs.nr_open: no process may have more.
    pub(crate) nr_open: Option<u64>,
    /// fs.file-nr: open on the machine, and the most there may be.
    pub(crate) files: Option<(u64, u64)>,
    /// net.core.somaxconn.
    pub(crate) somaxconn: Option<u64>,
    /// net.core.wmem_max.
    pub(crate) wmem_max: Option<u64>,
    /// net.ipv4.ip_local_port_range.
    pub(crate) local_ports: Option<(u16, u16)>,
    /// net.ipv4.ip_local_reserved_ports, as it is written there.
    pub(crate) reserved_ports: String,
    /// net.ipv4.tcp_mem, the most, in bytes.
    pub(crate) tcp_memory_bytes: Option<u64>,
    /// Memory of the machine in bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// CPUs that this process may use.
    pub(crate) cpus: usize,
    /// The limits of the control groups that this process is in.
    pub(crate) cgroup: Cgroup,
    /// CLOCK_REALTIME in seconds since 1970.
    pub(crate) unix_secs: Option<u64>,
    /// Whether something keeps the clock right.
    pub(crate) clock_is_synchronised: Option<bool>,
}

/// The narrowest limits on the way from the process's group to the root.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Cgroup {
    /// memory.max, or memory.limit_in_bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// pids.max.
    pub(crate) processes: Option<u64>,
    /// cpu.max, or cpu.cfs_quota_us: CPUs worth of time.
    pub(crate) cpus: Option<f64>,
}

/// A directory that the server writes in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Directory {
    /// What is to be there.
    pub(crate) of: DirectoryOf,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// How it is.
    pub(crate) state: DirectoryState,
}

/// What a directory is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DirectoryOf {
    /// The PID file and the control socket.
    PidFile,
    /// The log.
    Log,
    /// The unix socket of a listener.
    Socket,
}

/// How a directory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DirectoryState {
    /// It is there, ours or root's, and can be written in.
    Good,
    /// It is not there, and can be made.
    CanBeMade,
    /// It is not there, and cannot be made.
    Missing,
    /// Something that is no directory has its name.
    NotADirectory,
    /// It cannot be written in.
    NotWritable,
    /// Another user owns it, or others may write in it: they could replace what is in it.
    OpenToOthers,
}

/// The address of a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    /// As it is written.
    pub(crate) shown: String,
    /// Who has it.
    pub(crate) holder: Holder,
}

/// Who has an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Holder {
    /// The kernel will choose one.
    Any,
    /// Nobody, and it can be bound.
    Free,
    /// The running server of this configuration, with this pid.
    Ours(i32),
    /// Somebody else.
    Taken,
    /// Why it cannot be bound, and whether a privilege is all that is missing.
    Refused { reason: String, is_privilege: bool },
}

/// A machine with nothing to complain about.
#[cfg(test)]
pub(super) fn sound() -> Facts {
    Facts {
        uid: 1000,
        config_errors: Vec::new(),
        exposed: None,
        account_error: None,
        program_errors: Vec::new(),
        tls: None,
        directories: vec![Directory {
            of: DirectoryOf::PidFile,
            path: PathBuf::from("/run/user/1000/wsmaster"),
            state: DirectoryState::Good,
        }],
        addresses: vec![Address { shown: "127.0.0.1:9501".to_owned(), holder: Holder::Free }],
        kernel: Some("6.1.0-13-amd64".to_owned()),
        descriptors_hard: Some(1_048_576),
        nr_open: Some(1_048_576),
        files: Some((2_000, 9_000_000)),
        somaxconn: Some(4_096),
        wmem_max: Some(8 << 20),
        local_ports: Some((32_768, 60_999)),
        reserved_ports: String::new(),
        tcp_memory_bytes: Some(1 << 30),
        memory_bytes: Some(16 << 30),
        cpus: 4,
        cgroup: Cgroup::default(),
        unix_secs: Some(1_800_000_000),
        clock_is_synchronised: Some(true),
    }
}

//! What `ps` shows of a process: `wsmaster: worker 2` instead of the command line.

use std::{ffi::CString, sync::OnceLock};

/// The memory in which the kernel looks for this process's command line: first byte and length.
#[derive(Debug)]
struct Area {
    start: usize,
    length: usize,
}

static AREA: OnceLock<Option<Area>> = OnceLock::new();

/// Makes room for titles: takes the environment out of the memory behind the command line. To be called once, at the very
/// start of `main`, before any thread exists.
pub fn prepare() {
    AREA.get_or_init(|| {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // proc(5): fields 48 to 51 are arg_start, arg_end, env_start, env_end; the third stands behind the name.
        let fields: Vec<&str> =
            stat.get(stat.rfind(')')? + 2..)?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<usize>().ok();
        let (start, arguments_end, environment_start, end) =
            (field(48)?, field(49)?, field(50)?, field(51)?);
        if start == 0 || arguments_end <= start {
            return None;
        }
        if arguments_end != environment_start || end < environment_start {
            return Some(Area { start, length: arguments_end - start });
        }
        // setenv(3) keeps its own copies: after this, nothing points into the old environment any more.
        for (name, value) in std::env::vars_os() {
            // SAFETY: the process has one thread (the contract above), so nobody reads the environment meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
        Some(Area { start, length: end - start })
    });
}

/// Sets the title: in full for `ps -f` and `/proc/<pid>/cmdline`, and its first 15 bytes as the name of the main thread. A
/// no-op for the former when [`prepare`] was not called. No secret may be put here: every user can read it.
pub fn set(title: &str) {
    if let Ok(name) = CString::new(title) {
        let _ = nix::sys::prctl::set_name(&name);
    }
    let Some(Some(area)) = AREA.get() else { return };
    let text = &title.as_bytes()[..title.len().min(area.length - 1)];
    let start = area.start as *mut u8;
    // SAFETY: the area is this process's own argument memory, mapped for its whole life and writable; `prepare` has moved
    // the environment out of it. The last byte stays zero, so a late reader of the arguments finds an end.
    unsafe { std::ptr::write_bytes(start, 0, area.length) };
    // SAFETY: as above, and `text` is shorter than the area.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), start, text.len()) };
}

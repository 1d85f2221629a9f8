//! What is generated from the declaration of the arguments: shell completions and the manual page.
//!
//! Owns the layout of the page. It declares no argument.

use std::io;

use clap_complete::Shell;
use clap_mangen::Man;

use super::arguments::declaration;

/// The script that completes `wsmaster` in `shell`.
#[must_use]
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut declaration(), "wsmaster", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page `wsmaster(1)` in roff, with all the commands on it.
#[must_use]
pub fn man() -> String {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    if let Err(error) = write_page(&mut page) {
        debug_assert!(false, "{error}");
    }
    String::from_utf8_lossy(&page).into_owned()
}

fn write_page(page: &mut Vec<u8>) -> io::Result<()> {
    let mut program = declaration().disable_help_subcommand(true);
    program.build();
    let top = Man::new(program.clone());
    top.render_title(page)?;
    top.render_name_section(page)?;
    top.render_synopsis_section(page)?;
    top.render_description_section(page)?;
    top.render_options_section(page)?;
    for command in program.get_subcommands() {
        let nested: Vec<_> = command.get_subcommands().collect();
        if nested.is_empty() {
            write_command(page, command)?;
        }
        for command in nested {
            write_command(page, command)?;
        }
    }
    let mut notes = Vec::new();
    top.render_extra_section(&mut notes)?;
    page.extend_from_slice(titled(&notes, "EXAMPLES AND EXIT CODES").as_bytes());
    top.render_version_section(page)
}

/// A command as one section; what would be its sections become the parts of that.
fn write_command(page: &mut Vec<u8>, command: &clap::Command) -> io::Result<()> {
    let title = command.get_bin_name().unwrap_or(command.get_name()).to_uppercase();
    let man = Man::new(command.clone());
    let mut parts = Vec::new();
    man.render_description_section(&mut parts)?;
    man.render_synopsis_section(&mut parts)?;
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut parts)?;
    }
    if command.get_after_help().is_some() {
        man.render_extra_section(&mut parts)?;
    }
    let parts = titled(&parts, "NOTES").replace("\n.SH ", "\n.SS ");
    let parts = parts.strip_prefix(".SH ").map_or(parts.clone(), |rest| format!(".SS {rest}"));
    page.extend_from_slice(format!(".SH \"{title}\"\n{parts}").as_bytes());
    Ok(())
}

/// The sections with a title for what stands below the help, which is "extra" to the generator.
fn titled(sections: &[u8], title: &str) -> String {
    String::from_utf8_lossy(sections).replace(".SH EXTRA", &format!(".SH \"{title}\""))
}

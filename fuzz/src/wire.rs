//! Packets between processes: any bytes are commands or an error, and commands survive being written and read again.

use wsmaster_ipc::wire::{self, VERSION};

/// See the module. The first byte says how many of the last bytes are an attached body; 0 is none attached.
pub fn run(data: &[u8]) {
    let Some((&attached, packet)) = data.split_first() else { return };
    let (packet, attachment) = packet.split_at(packet.len().saturating_sub(attached.into()));
    let attachment = (attached > 0).then_some(attachment);
    let mut good = Vec::new();
    for step in wire::decode(packet, attachment) {
        match step {
            Ok(command) => good.push(command),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    assert!(good.len() <= packet.len() / 2, "a command has two bytes at least");
    let mut again = vec![VERSION];
    for command in &good {
        assert!(command.payload().len() <= data.len());
        wire::encode(command, false, &mut again).expect("it came out of a packet");
    }
    let read: Result<Vec<_>, _> = wire::decode(&again, None).collect();
    assert_eq!(read.as_ref(), Ok(&good), "written and read again");
}

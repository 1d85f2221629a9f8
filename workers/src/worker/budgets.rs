//! What each phase of a turn may take, so that none keeps the others waiting.

/// Packets taken from the mailbox in one turn.
pub const PACKETS_PER_TURN_MAX: usize = 64;
/// Connections accepted in one turn.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Reads from one connection in one turn.
pub const READS_PER_TURN_MAX: usize = 4;
/// Messages of one connection handled in one turn.
pub const MESSAGES_PER_TURN_MAX: usize = 256;
/// Decompressed bytes of one connection in one turn; the message that passes this bound is handled.
pub const INFLATED_BYTES_PER_TURN_MAX: usize = 1024 * 1024;
/// Connections whose first words of TLS are answered in one turn: each answer costs a signature, 0.1 to 1 ms.
pub const HELLOS_PER_TURN_MAX: usize = 16;
